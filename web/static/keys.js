// Keyboard: / search, j k rows, Enter opens, v verifies, y copies the address. Never inside a field, never with a modifier.
// `localStorage.keys = "off"` switches them off.
const rows = [...document.querySelectorAll("tr[data-row]")];
let current = -1;

const move = step => {
  if (!rows.length) return;
  rows[current]?.classList.remove("current");
  current = Math.min(Math.max(current + step, 0), rows.length - 1);
  rows[current].classList.add("current");
  rows[current].scrollIntoView({ block: "nearest" });
  rows[current].querySelector("a")?.focus({ preventScroll: true });
};

const actions = {
  "/": () => document.querySelector("#find").focus(),
  j: () => move(1),
  k: () => move(-1),
  v: () => document.querySelector("[data-verify]")?.requestSubmit(),
  y: () => navigator.clipboard?.writeText(location.href),
};

addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.keys === "off") return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  const action = actions[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});
