// Keyboard: "/" goes to the search box, "?" shows the keys, "g" and a letter opens a page of the navigation.
let awaitsLetter = false;

function isTyping(target) {
  return target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
}

function focusSearch() {
  const box = document.querySelector(".bar input[type=search]") ?? document.querySelector("input[type=search]");
  if (!box) return false;
  box.focus();
  box.select();
  return true;
}

function openPage(letter) {
  const link = document.querySelector(`[data-key="${CSS.escape(letter)}"]`);
  if (link) location.assign(link.href);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (awaitsLetter) {
    awaitsLetter = false;
    openPage(event.key.toLowerCase());
  } else if (event.key === "/") {
    if (focusSearch()) event.preventDefault();
  } else if (event.key === "?") {
    document.querySelector("#keys")?.showModal();
  } else if (event.key === "g") {
    awaitsLetter = true;
    setTimeout(() => { awaitsLetter = false; }, 1500);
  }
});
