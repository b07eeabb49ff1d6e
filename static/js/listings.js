// Lists: what changed is announced; a live list rests while nobody looks, or someone selects or tabs through it.
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt } = event.detail;
  if (!elt.matches("[data-live]")) return;
  const isRead = !getSelection().isCollapsed || document.querySelector("dialog[open]");
  if (document.hidden || isRead || elt.querySelector(":focus-visible")) event.preventDefault();
});

document.addEventListener("htmx:afterSettle", (event) => {
  const region = event.target.closest?.("[data-announce]");
  if (region && !region.matches("[data-live]")) {
    document.querySelector("#announcer").textContent = region.dataset.announce;
  }
});

// On a narrow screen the order is chosen from a menu; the fragment's own field carries it to the form.
document.addEventListener("change", (event) => {
  const name = event.target.dataset.sortFor;
  const field = name && document.getElementById(name);
  if (field) field.value = event.target.value;
}, { capture: true });
