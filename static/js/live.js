// Live parts of a page: a button lets them rest, and what has come is said once in a while, not all the time.
const SAY_AFTER = 8000;
const known = new Map();
let arrived = 0;
let timer = null;

const rowsOf = (region) => [...region.querySelectorAll("a.row-link")].map((link) => link.getAttribute("href"));

function say() {
  timer = null;
  document.querySelector("#announcer").textContent = `${arrived} new ${arrived === 1 ? "row" : "rows"}`;
  arrived = 0;
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.closest("[data-paused]")) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const region = event.detail.target;
  if (region.matches("[data-live]")) known.set(region.id, new Set(rowsOf(region)));
});

document.addEventListener("htmx:afterSettle", (event) => {
  const region = event.target.closest?.("[data-live]");
  if (!region || !known.has(region.id)) return;
  arrived += rowsOf(region).filter((href) => !known.get(region.id).has(href)).length;
  known.delete(region.id);
  if (arrived) timer ??= setTimeout(say, SAY_AFTER);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pause]");
  if (!button) return;
  const box = document.getElementById(button.dataset.pause);
  const isPaused = box.toggleAttribute("data-paused");
  button.setAttribute("aria-pressed", String(isPaused));
  document.querySelector("#announcer").textContent = isPaused ? "Paused" : "Live again";
});
