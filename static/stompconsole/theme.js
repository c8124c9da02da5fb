// Runs before the first paint, so that no page flashes in the other theme. The key is the admin's own.
(function () {
  "use strict";
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: the system's preference stands.
  }
})();
