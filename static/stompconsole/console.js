// Makes the console quicker to use. Every page works without it.
(function () {
  "use strict";

  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const one = (selector) => document.querySelector(selector);

  // --- Times: relative ones tick, exact ones are put into the viewer's zone. ---

  const serverIsAhead = Date.parse(document.documentElement.dataset.now) - Date.now() || 0;
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

  function span(seconds) {
    let [unit, size] = UNITS.find(([, size]) => seconds >= size) || UNITS[3];
    if (unit === "d" && seconds < 2 * size) [unit, size] = UNITS[1];
    return `${Math.floor(seconds / size)} ${unit}`;
  }

  function ago(then) {
    const seconds = (Date.now() + serverIsAhead - then) / 1000;
    if (seconds < -1) return `in ${span(-seconds)}`;
    return seconds < 1 ? "just now" : `${span(seconds)} ago`;
  }

  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function localise(element) {
    const then = new Date(element.dateTime);
    if ("clock" in element.dataset) {
      const second = element.dataset.clock === "s" ? { second: "2-digit" } : {};
      write(element, then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false, ...second }));
    }
    element.title = then.toLocaleString();
    element.dataset.local = element.dateTime;
  }

  function tickTimes() {
    for (const element of all("time")) {
      if (element.dataset.local !== element.dateTime) localise(element);
      if ("ago" in element.dataset) write(element, ago(Date.parse(element.dateTime)));
    }
  }

  // --- The live connection: live, stale after three missed ticks, closed while the tab is hidden. ---

  const live = one("#live");
  const connection = one("#connection");
  const markup = live ? live.innerHTML : "";
  const interval = live ? Math.max(1, Number(live.dataset.interval)) * (live.dataset.mode === "poll" ? 2000 : 1000) : 0;
  let lastTick = Date.now();
  let lastAsked = 0;

  function connect(html) {
    htmx.swap(live, html, { swapStyle: "innerHTML" });
  }

  function ticked() {
    lastTick = Date.now();
    showConnection();
    showRoster();
    tickTimes();
  }

  function showConnection() {
    if (!live || document.hidden) return;
    const silent = Date.now() - lastTick;
    const stale = silent > 3 * interval + 500;
    connection.dataset.state = stale ? "stale" : "live";
    write(connection, stale ? `stale, last heard ${span(silent / 1000)} ago` : "live");
    document.body.classList.toggle("is-stale", stale);
    if (stale) askOnce();
  }

  // A stream can be held back by what stands between; asking once tells that from a server that is away.
  function askOnce() {
    if (live.dataset.mode !== "stream" || Date.now() - lastAsked < 5000) return;
    lastAsked = Date.now();
    htmx.ajax("GET", live.dataset.url, { source: live, swap: "none" }).catch(() => undefined);
  }

  function startLive() {
    if (!live) return;
    document.body.addEventListener("htmx:sseMessage", ticked);
    document.body.addEventListener("htmx:afterRequest", (event) => {
      if (live.contains(event.detail.elt) && event.detail.successful) ticked();
    });
    document.addEventListener("visibilitychange", () => {
      connect(document.hidden ? "" : markup);
      lastTick = Date.now();
    });
    window.addEventListener("pagehide", () => connect(""));
    window.addEventListener("pageshow", (event) => event.persisted && connect(markup));
    setInterval(showConnection, 500);
    showConnection();
  }

  // --- Lists that change as a whole wait while a person points at them or has focus in them. ---

  const waiting = new Map();

  const isBusy = (element) => element.matches(":hover") || element.contains(document.activeElement);

  function holdBack(event) {
    const target = event.detail.target;
    if (!("calm" in target.dataset) || !isBusy(target)) return;
    event.detail.shouldSwap = false;
    waiting.set(target, Array.from(event.detail.fragment.childNodes));
  }

  function release() {
    for (const [target, nodes] of waiting) {
      if (isBusy(target)) continue;
      waiting.delete(target);
      target.replaceChildren(...nodes);
      tickTimes();
    }
  }

  // A tick is the same for every browser; a page that shows a part of it takes what it has a place for.
  htmx.defineExtension("present", {
    transformResponse(text) {
      const template = document.createElement("template");
      template.innerHTML = text;
      for (const part of Array.from(template.content.children)) {
        if (!document.getElementById(part.id)) part.remove();
      }
      return template.innerHTML;
    },
  });

  // --- New and removed consumers are told of; rows stay where they are. ---

  function showRoster() {
    const panel = one("[data-roster]");
    const now = one("#roster");
    if (!panel || !now) return;
    const ids = (text) => new Set(text.split(" ").filter(Boolean));
    const shown = ids(panel.dataset.roster);
    const current = ids(now.textContent);
    const added = [...current].filter((id) => !shown.has(id)).length;
    const gone = [...shown].filter((id) => !current.has(id)).length;
    const words = [added && `${added} new`, gone && `${gone} gone`].filter(Boolean).join(", ");
    const news = one("#roster-news");
    if (news.dataset.words === words) return;
    news.dataset.words = words;
    const link = document.createElement("a");
    link.className = "news";
    link.href = news.dataset.current;
    link.textContent = `${words}, show`;
    news.replaceChildren(...(words ? [link] : []));
  }

  // --- Choosing rows. ---

  function startPicking() {
    const form = one("#pick");
    if (!form) return;
    const boxes = all("[data-pick]", form);
    const page = one("[data-pick-page]");
    const everything = one("[data-pick-all]");
    const said = one("[data-picked]");
    const buttons = all("button[formaction]", form).filter((button) => !button.disabled);
    if (!boxes.length) return;
    const before = said.textContent;
    let last = null;
    one("[data-pick-page-label]").hidden = false;

    function show() {
      const picked = boxes.filter((box) => box.checked).length;
      const matching = Boolean(everything && everything.checked);
      const count = matching ? Number(form.dataset.total) : picked;
      page.checked = picked === boxes.length;
      page.indeterminate = picked > 0 && picked < boxes.length;
      for (const box of boxes) box.disabled = matching;
      for (const button of buttons) button.disabled = count === 0;
      form.classList.toggle("picked", count > 0);
      write(said, count ? `${count.toLocaleString("en")} selected` : before);
    }

    form.addEventListener("change", show);
    page.addEventListener("change", () => {
      for (const box of boxes) box.checked = page.checked;
      if (everything) everything.checked = false;
      show();
    });
    form.addEventListener("click", (event) => {
      const at = boxes.indexOf(event.target);
      if (at < 0) return;
      if (event.shiftKey && last !== null) {
        for (const box of boxes.slice(Math.min(at, last), Math.max(at, last) + 1)) box.checked = event.target.checked;
      }
      last = at;
      show();
    });
    window.addEventListener("pageshow", show);
    show();
  }

  // --- Keys: / to the filter, j and k through the rows, x to choose one, n and p through dead letters. ---

  function move(step) {
    const rows = all("[data-row]").filter((row) => row.querySelector("[data-open]"));
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const to = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
    if (to) to.querySelector("[data-open]").focus();
  }

  function pickFocused() {
    const row = document.activeElement.closest("[data-row]");
    const box = row && row.querySelector("[data-pick]");
    if (box) box.click();
  }

  const follow = (selector) => one(selector) && one(selector).click();

  const KEYS = {
    "/": () => one("[data-filter]") && one("[data-filter]").focus(),
    j: () => move(1),
    k: () => move(-1),
    x: pickFocused,
    n: () => follow("[data-next]"),
    p: () => follow("[data-prev]"),
  };

  function pressed(event) {
    if (event.key === "Escape") for (const menu of all("details.menu[open]")) menu.open = false;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // --- Toasts: good news goes by itself, bad news stays until it is dismissed. ---

  function startToasts() {
    for (const toast of all(".toast:not([data-started])")) {
      toast.dataset.started = "";
      const close = toast.querySelector("[data-dismiss]");
      close.hidden = false;
      close.addEventListener("click", () => toast.remove());
      if (toast.matches(".error, .warning")) continue;
      const time = toast.querySelector("form") ? 20000 : 8000;
      const leave = () => (isBusy(toast) ? setTimeout(leave, 2000) : toast.remove());
      setTimeout(leave, time);
    }
  }

  // --- Small things. ---

  function startTheme() {
    const group = one(".theme");
    if (!group) return;
    group.hidden = false;
    const show = () => {
      for (const button of all("[data-theme-choice]", group)) {
        button.setAttribute("aria-pressed", String(button.dataset.themeChoice === document.documentElement.dataset.theme));
      }
    };
    group.addEventListener("click", (event) => {
      const theme = event.target.dataset.themeChoice;
      if (!theme) return;
      document.documentElement.dataset.theme = theme;
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // No storage: it holds for this page.
      }
      show();
    });
    show();
  }

  function startCopying() {
    if (!navigator.clipboard) return;
    for (const button of all("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(one(button.dataset.copy).textContent);
        write(button, "Copied");
        setTimeout(() => write(button, "Copy"), 2000);
      });
    }
  }

  function startForms() {
    for (const select of all("[data-submit]")) select.addEventListener("change", () => select.form.requestSubmit());
    for (const form of all("[data-once]")) {
      const buttons = all("button[type=submit]:not(:disabled)", form);
      form.addEventListener("submit", () => buttons.forEach((button) => (button.disabled = true)));
      window.addEventListener("pageshow", () => buttons.forEach((button) => (button.disabled = false)));
    }
  }

  function swapped() {
    tickTimes();
    startToasts();
  }

  document.addEventListener("keydown", pressed);
  document.addEventListener("click", (event) => {
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.body.addEventListener("htmx:oobBeforeSwap", holdBack);
  document.body.addEventListener("htmx:afterSwap", swapped);
  document.body.addEventListener("htmx:oobAfterSwap", startToasts);
  for (const name of ["pointerout", "focusout"]) document.addEventListener(name, () => setTimeout(release, 50));
  tickTimes();
  setInterval(tickTimes, 1000);
  startToasts();
  startPicking();
  startTheme();
  startCopying();
  startForms();
  startLive();
})();
