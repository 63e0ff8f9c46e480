// Light or dark: the system's choice, unless the reader made another, which is kept.
"use strict";
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  try {
    root.dataset.theme = localStorage.getItem("theme") || "";
  } catch {
    root.dataset.theme = "";
  }
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const tell = () => {
      button.textContent = dark() ? button.dataset.light : button.dataset.dark;
      dispatchEvent(new Event("theme"));
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch {
        // A browser that keeps nothing still switches.
      }
      tell();
    });
    system.addEventListener("change", tell);
    tell();
  });
})();
