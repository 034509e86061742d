// A running training: numbers and the loss plot grow by server-sent events. The page reads the same after a reload.
const section = document.querySelector("[data-events]");
const announce = section.querySelector("[data-announce]");
const pause = section.querySelector("[data-pause]");
const line = section.querySelector("polyline");
const ANNOUNCE_EVERY_MS = 5000;
const UNITS = 1000; // the plot's own coordinates, as drawn by the server

let source = null;
let lastStep = Number(section.querySelector("[data-live=step]").textContent.replaceAll(",", ""));
let announcedAt = -ANNOUNCE_EVERY_MS;

const formats = {
  step: value => value.toLocaleString("en"),
  loss: value => value.toFixed(3),
  tokens_per_second: value => Math.round(value).toLocaleString("en"),
  eta_seconds: value => (value < 60 ? `${Math.round(value)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`),
};

let waiting = null; // the newest words that were not said yet

function say(text) {
  const rest = announcedAt + ANNOUNCE_EVERY_MS - performance.now();
  if (waiting === null) setTimeout(() => {
    announcedAt = performance.now();
    announce.textContent = waiting;
    waiting = null;
  }, Math.max(rest, 100));
  waiting = text;
}

function addPoint(step, loss) {
  const right = Number(line.dataset.right);
  const top = Number(line.dataset.top);
  const x = UNITS * Math.min(step / right, 1);
  const y = UNITS * (1 - Math.min(Math.max(loss / top, 0), 1));
  line.setAttribute("points", `${line.getAttribute("points")} ${x.toFixed(1)},${y.toFixed(1)}`.trim());
}

function showStep(event) {
  if (event.step < lastStep) return; // the feed begins at its first event; the page is ahead of it
  for (const [name, format] of Object.entries(formats)) {
    if (typeof event[name] === "number") section.querySelector(`[data-live=${name}]`).textContent = format(event[name]);
  }
  if (event.step === lastStep) return; // a step that comes twice is drawn once
  if (!line.getAttribute("points") && !sessionStorage.getItem(location.pathname)) {
    sessionStorage.setItem(location.pathname, "drawn");
    location.reload(); // the first step: the server draws the axes, now that it knows how far they go
    return;
  }
  addPoint(event.step, event.loss);
  lastStep = event.step;
}

function show(event) {
  if (event.event === "step") showStep(event);
  say(event.event === "step" ? `Step ${event.step} of ${event.total}` : `The run says: ${event.event}`);
}

function open() {
  source = new EventSource(section.dataset.events);
  source.onmessage = message => show(JSON.parse(message.data));
  source.onerror = () => say("Connection lost, trying again. The numbers are the last ones received.");
  source.addEventListener("end", () => {
    source.close();
    setTimeout(() => location.reload(), 1000); // the final page is the server's: result, model, log entries
  });
}

pause.hidden = false;
pause.addEventListener("click", () => {
  const running = source !== null;
  if (running) {
    source.close();
    source = null;
  } else open();
  pause.textContent = running ? "Resume updates" : "Pause updates";
});
open();
