// Toasts: the server's messages, those of the page and those that came with a fragment, and failed requests.
const ERRORS = {
  0: "The server cannot be reached. What you see may be out of date.",
  403: "You do not have the right to do this.",
  404: "This is not there any more.",
  429: "Too many requests. Try again in a moment.",
};

function show(level, text) {
  const template = document.querySelector(`#toast-${level}`) ?? document.querySelector("#toast-info");
  const toast = template.content.firstElementChild.cloneNode(true);
  toast.querySelector("p").textContent = text;
  document.querySelector("#toasts").append(toast);
  letGo(toast);
}

// Success goes by itself, unless one is on it; anything else waits until it is closed.
function letGo(toast) {
  if (!toast.matches(".is-success, .is-info")) return;
  setTimeout(() => (toast.matches(":hover, :focus-within") ? letGo(toast) : toast.remove()), 6000);
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-dismiss]")) event.target.closest(".toast").remove();
});
document.addEventListener("toasts", (event) => {
  for (const { level, text } of event.detail.value) show(level, text);
});
document.addEventListener("htmx:responseError", (event) => {
  show("error", ERRORS[event.detail.xhr.status] ?? "That did not work. Nothing was changed on this page.");
});
document.addEventListener("htmx:sendError", (event) => {
  if (!event.detail.elt.matches("[data-live]")) show("error", ERRORS[0]);
});
for (const toast of document.querySelectorAll("#toasts .toast")) letGo(toast);
