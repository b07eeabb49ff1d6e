// Dialogs and menus. Native elements do most of it; here is what opens and closes them.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.dialog).showModal();
    return;
  }
  if (event.target.closest("[data-close]") || event.target.matches("dialog")) {
    event.target.closest("dialog")?.close();
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// A confirmation that htmx fetched arrives in the slot as a closed dialog.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id !== "dialog-slot") return;
  event.target.querySelector("dialog")?.showModal();
  for (const field of event.target.querySelectorAll("[data-confirm-word]")) {
    field.form.querySelector("[type=submit]").disabled = true;
  }
});

// A word typed to confirm what cannot be undone. The server checks it again.
document.addEventListener("input", (event) => {
  const word = event.target.dataset.confirmWord;
  if (word === undefined) return;
  event.target.form.querySelector("[type=submit]").disabled = event.target.value.trim() !== word;
});

// A second click must not send a form twice; the idempotency key would catch it, an error page would not help.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.matches("[data-theme-form], [hx-post]")) return;
  if (form.dataset.isSent) event.preventDefault();
  form.dataset.isSent = "true";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-is-sent]")) delete form.dataset.isSent;
});
