// The button that opens an exercise on its page; nothing else is loaded before it is pressed.
"use strict";

(() => {
  // What of this script's texts is translated, and a text in the language of the page, with its values.
  const translations = JSON.parse(document.currentScript.dataset.words ?? "{}");

  function inWords(text, values = {}) {
    return (translations[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  const base = new URL(document.currentScript.dataset.base ?? "live/", document.currentScript.src);

  function make(tag, attributes, ...content) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...content);
    return element;
  }

  async function json(name) {
    const response = await fetch(new URL(name, base));
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    return response.json();
  }

  // Why this browser cannot run Python, or "".
  function whyNot() {
    if (location.protocol === "file:") return inWords("Browsers can't run Python on a page that was opened from a file.");
    if (typeof WebAssembly !== "object") return inWords("This browser has no WebAssembly.");
    if (typeof DecompressionStream !== "function") return inWords("This browser is too old to run Python.");
    return "";
  }

  // Whether somebody has opened an exercise in this tab, on this page or on one before.
  const KEY = "quart-websocket-workshop:live";

  function wasOpened(now = false) {
    try {
      if (now) sessionStorage.setItem(KEY, "yes");
      return sessionStorage.getItem(KEY) !== null;
    } catch {
      return now; // this browser keeps nothing
    }
  }

  // Start Python while the page is read, once the button comes near: a learner who used it before will again.
  function startEarly(place) {
    const observer = new IntersectionObserver(async ([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      observer.disconnect();
      const { Python } = await import(new URL("python.js", base));
      if (place.panel) return;
      place.python = new Python({});
      place.python.start();
    }, { rootMargin: "100%" });
    observer.observe(place);
  }

  async function open(place, button, state) {
    const command = inWords("On your own machine, use: {command}", { command: place.dataset.command });
    const why = whyNot();
    if (why) {
      state.textContent = `${why} ${command}`;
      return;
    }
    button.disabled = true;
    state.textContent = inWords("Loading …");
    wasOpened(true);
    try {
      const [exercise, { sizes, missing }, { Panel }, editor] = await Promise.all([
        json(`exercises/${place.dataset.live}.json`),
        json("runtime/files.json"),
        import(new URL("panel.js", base)),
        import(new URL("editor/editor.js", base)),
      ]);
      if (missing) throw new Error("this site was built without it");
      const style = new URL("editor/editor.css", base);
      document.head.append(make("link", { rel: "stylesheet", href: style }));
      place.panel = new Panel(place, exercise, editor.create, sizes);
      place.classList.add("is-open");
      if ("demo" in place.dataset) await place.panel.onRun();
      else place.querySelector("[role=tab]").focus();
    } catch (error) {
      button.disabled = false;
      const told = inWords("Python can't be loaded here: {why}.", { why: error.message });
      state.textContent = `${told} ${command}`;
    }
  }

  for (const place of document.querySelectorAll("[data-live]")) {
    const button = make("button", { type: "button", class: "leading" }, place.dataset.button);
    const note = make("span", { class: "note" }, ` ${inWords("Loads 17 MB, once. Nothing is installed.")}`);
    const state = make("p", { class: "state", role: "status" });
    button.addEventListener("click", () => open(place, button, state));
    place.append(make("p", {}, button, note), state);
    if (!whyNot() && wasOpened()) startEarly(place);
  }
})();
