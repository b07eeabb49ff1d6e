// The editor of plan files: a click on a problem selects its line in the file.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-line]");
  if (!link) return;
  event.preventDefault();
  const field = document.getElementById("plan-text");
  const lines = field.value.split("\n");
  const number = Math.min(Number(link.dataset.line), lines.length);
  const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + lines[number - 1].length);
  const height = field.scrollHeight / lines.length;
  field.scrollTop = Math.max(0, (number - 4) * height);
});
