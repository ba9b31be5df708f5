"use strict";
const root = document.documentElement;
const theme = document.getElementById("theme");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function setTheme(name) {
  root.dataset.theme = name;
  theme.setAttribute("aria-pressed", String(name === "dark"));
}
setTheme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
theme.addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
document.getElementById("print").addEventListener("click", () => window.print());
let before = "light";
window.addEventListener("beforeprint", () => {
  before = root.dataset.theme;
  setTheme("light");
});
window.addEventListener("afterprint", () => setTheme(before));
root.dataset.ready = "yes";
