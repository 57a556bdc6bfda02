// The files of an exercise: an editor with a tab for each, kept in this browser.
import { button, make } from "./make.js";
import { inWords } from "./words.js";
import { unzipped, zipped } from "./zip.js";

const KEY = "quart-websocket-workshop:live:";
const ORDER = [/^websocket\.py$/, /\.py$/, /\.html$/, /\.js$/, /\.css$/, /./];
const FIRST = "websocket.py";
const NOT_EDITED = /\.svg$/;

export class Files {
  // `changed()` is called when a file has changed.
  constructor(exercise, createEditor, changed) {
    this.exercise = exercise;
    this.createEditor = createEditor;
    this.changed = changed;
    this.element = make("div", { class: "files" });
    this.list = make("div", { role: "tablist", "aria-label": inWords("Files") });
    this.place = make("div", { class: "editor", role: "tabpanel" });
    const help = inWords("To leave the editor by keyboard, press Escape, then Tab.");
    this.element.append(this.list, this.place, make("p", { class: "note" }, help));
    this.place.addEventListener("keydown", (event) => this.letTabLeave(event), true);
    this.list.addEventListener("keydown", (event) => this.moveByArrow(event));
    this.content = this.load() ?? { ...exercise.start };
    this.show(FIRST);
  }

  // What a project consists of: files without a word in them are not there yet.
  get all() {
    return Object.fromEntries(Object.entries(this.content).filter(([, text]) => text.trim()));
  }

  get names() {
    const { start, solution } = this.exercise;
    const names = new Set([...Object.keys(start), ...Object.keys(solution), ...Object.keys(this.content)]);
    const place = (name) => ORDER.findIndex((kind) => kind.test(name));
    const shown = [...names].filter((name) => !NOT_EDITED.test(name));
    return shown.sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
  }

  show(name, line = 0) {
    this.current = name;
    this.place.replaceChildren();
    this.place.setAttribute("aria-label", name);
    this.editor = this.createEditor(this.place, name, this.content[name] ?? "", (text) => {
      if (this.current === name && text !== (this.content[name] ?? "")) this.set(name, text);
    });
    this.list.replaceChildren(...this.names.map((one) => this.tab(one)));
    if (line) this.goTo(line);
  }

  tab(name) {
    const isCurrent = name === this.current;
    const attributes = { role: "tab", "aria-selected": isCurrent, tabindex: isCurrent ? 0 : -1 };
    const isNew = !(this.content[name] ?? "").trim();
    const words = isNew ? [name, make("span", { class: "new" }, ` ${inWords("(empty)")}`)] : name;
    return button(words, () => this.show(name), attributes);
  }

  moveByArrow(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const { names } = this;
    this.show(names.at((names.indexOf(this.current) + step) % names.length));
    this.list.querySelector("[aria-selected=true]").focus();
  }

  // Tab indents; after Escape, it leaves the editor as it leaves any other box.
  letTabLeave(event) {
    if (event.key === "Tab" && this.isLeaving) event.stopImmediatePropagation();
    else if (event.key === "Shift") return;
    this.isLeaving = event.key === "Escape";
  }

  // Put the cursor into a line of the file that is shown.
  goTo(line) {
    const box = this.place.querySelector("textarea");
    const before = box.value.split("\n").slice(0, line - 1).join("\n").length;
    const start = line > 1 ? before + 1 : 0;
    const end = box.value.indexOf("\n", start);
    box.focus();
    box.setSelectionRange(start, end < 0 ? box.value.length : end);
    this.place.scrollIntoView({ block: "nearest" });
  }

  set(name, text) {
    this.content[name] = text;
    this.keep();
    this.changed();
  }

  setAll(content) {
    this.content = { ...content };
    this.keep();
    this.show(this.names.includes(this.current) ? this.current : FIRST);
    this.changed();
  }

  // ---- Kept in this browser

  get key() {
    return KEY + this.exercise.id;
  }

  load(key = this.key) {
    try {
      const found = JSON.parse(localStorage.getItem(key));
      const isGood = found && Object.values(found).every((text) => typeof text === "string");
      return isGood ? found : null;
    } catch {
      return null;
    }
  }

  keep(key = this.key, content = this.content) {
    try {
      localStorage.setItem(key, JSON.stringify(content));
    } catch {
      // It then lasts as long as the page does.
    }
  }

  remove(key) {
    try {
      localStorage.removeItem(key);
    } catch {
      // There was nothing.
    }
  }

  // Show the solution, and set aside what was written: `aside` has it until `bringBack`.
  showSolution() {
    this.mine = this.aside ?? { ...this.content };
    this.keep(`${this.key}:mine`, this.mine);
    this.setAll(this.exercise.solution);
  }

  get aside() {
    return this.mine ?? this.load(`${this.key}:mine`);
  }

  bringBack() {
    this.setAll(this.aside);
    this.mine = null;
    this.remove(`${this.key}:mine`);
  }

  // Begin anew, and forget what was written.
  forget() {
    this.setAll(this.exercise.start);
    this.mine = null;
    this.remove(this.key);
    this.remove(`${this.key}:mine`);
  }

  save() {
    const link = make("a", { href: URL.createObjectURL(zipped(this.all)), download: `${this.exercise.id}.zip` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  // Take the files of a zip; throws an Error with a sentence.
  async take(file) {
    const content = await unzipped(await file.arrayBuffer());
    const app = Object.keys(content).find((name) => /(^|\/)websocket\.py$/.test(name));
    if (!app) throw new Error(inWords("This zip has no websocket.py."));
    const folder = app.slice(0, -"websocket.py".length);
    const own = Object.entries(content).filter(([name]) => name.startsWith(folder));
    const named = own.map(([name, text]) => [name.slice(folder.length), text]);
    this.setAll(Object.fromEntries(named.filter(([name]) => !/(^|\/)[._]|^progress\./.test(name))));
  }
}
