// Light, dark or as the system has it: chosen in the head of each page, before anything is drawn, and kept.
(() => {
  const CHOICES = ["system", "light", "dark"];
  const NAMES = { system: "as the system", light: "light", dark: "dark" };

  function kept() {
    try {
      return localStorage.getItem("scheme") ?? "system";
    } catch {
      return "system"; // the browser keeps nothing
    }
  }

  function use(choice) {
    document.documentElement.style.colorScheme = choice === "system" ? "" : choice;
  }

  function keep(choice) {
    try {
      localStorage.setItem("scheme", choice);
    } catch {
      // It then lasts as long as the page.
    }
  }

  let choice = CHOICES.includes(kept()) ? kept() : "system";
  use(choice);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("scheme");
    const name = () => {
      button.title = `Colours: ${NAMES[choice]}`;
      button.setAttribute("aria-label", button.title);
      button.dataset.choice = choice;
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
      use(choice);
      keep(choice);
      name();
    });
    name();
  });
})();
