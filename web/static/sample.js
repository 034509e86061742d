// "Check it yourself": runs verify.js over the evidence and shows each step. Pinned keys stay in this browser.
// A page that was saved to disk does the same with an evidence file that was kept beside it.
"use strict";

const WORDS = { ok: "Verified", bad: "Failed", unsure: "Could not check" };
const form = document.querySelector("[data-verify]");
const outcome = document.querySelector(".outcome");
const fromDisk = document.querySelector("[data-from-disk]");
const pin = document.querySelector("[data-pin]");
const trust = document.querySelector("[data-trust]");
const served = document.querySelector("[data-served-vkey]").textContent.trim();
const storageKey = `pinned-vkey ${form.dataset.origin}`;

const readPin = () => JSON.parse(localStorage.getItem(storageKey) ?? "null");

function showTrust() {
  const pinned = readPin();
  pin.hidden = false;
  pin.textContent = pinned ? "Forget the pinned key" : "Pin this key";
  if (!pinned) {
    trust.textContent = "Sent by this server, not pinned: it proves that the page agrees with itself. Compare the key with one that you got elsewhere, then pin it.";
  } else if (pinned.vkey === served) {
    trust.textContent = `Pinned by you on ${pinned.at.slice(0, 10)}, and still the same.`;
  } else {
    trust.textContent = `Not the key that you pinned on ${pinned.at.slice(0, 10)}. Do not trust this page before you know why.`;
  }
}

pin.addEventListener("click", () => {
  if (readPin()) localStorage.removeItem(storageKey);
  else localStorage.setItem(storageKey, JSON.stringify({ vkey: served, at: new Date().toISOString() }));
  showTrust();
});

function showStep(step, state, note) {
  const item = document.querySelector(`[data-step="${step}"]`);
  if (!item) return;
  item.dataset.state = state;
  item.querySelector(".state").textContent = WORDS[state];
  item.querySelector(".note").textContent = note ?? "";
}

function finish(state, text) {
  outcome.dataset.state = state;
  outcome.textContent = text;
}

async function loadEvidence() {
  const [kept] = fromDisk.querySelector("input").files;
  if (kept) return JSON.parse(await kept.text());
  if (!fromDisk.hidden) throw new Error("choose the evidence file that you kept");
  const response = await fetch(form.dataset.verify, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
}

form.addEventListener("submit", async event => {
  event.preventDefault();
  const started = performance.now();
  const states = {};
  finish("", "Checking…");
  if (!crypto.subtle) {
    finish("unsure", "This browser checks nothing over plain http to another machine. Use the command below, or open the page as localhost.");
    return;
  }
  try {
    const evidence = await loadEvidence();
    if (evidence.index !== Number(form.dataset.index)) {
      finish("bad", `Verification failed: this is the evidence of entry ${evidence.index}, not of this sample.`);
      return;
    }
    const pinned = readPin();
    await verifier.verifyEvidence(evidence, { pinnedVkeys: pinned ? [pinned.vkey] : [] }, (step, state, note) => {
      states[step] = state;
      showStep(step, state, note);
    });
  } catch (error) {
    finish("unsure", `The evidence could not be read: ${error.message}. Nothing more was checked.`);
    return;
  }
  const all = Object.values(states);
  const duration = `${Math.round(performance.now() - started)} ms`;
  const passed = all.filter(state => state === "ok").length;
  if (all.includes("bad")) finish("bad", `Verification failed in this browser, ${duration}. Keep the evidence and tell whoever runs this log.`);
  else if (passed < all.length) finish("unsure", `${passed} of ${all.length} checks passed, the others could not be made, ${duration}.`);
  else finish("ok", `All ${all.length} checks passed in this browser, ${duration}.`);
});

fromDisk.hidden = location.protocol !== "file:";
showTrust();
