// Copy buttons: the text stands in data-copy, or in the element whose id is in data-copy-from.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  event.preventDefault();
  const from = button.dataset.copyFrom;
  const text = from ? document.getElementById(from).textContent : button.dataset.copy;
  await navigator.clipboard.writeText(text);
  button.classList.add("is-done");
  document.querySelector("#announcer").textContent = "Copied";
  setTimeout(() => button.classList.remove("is-done"), 1200);
});
