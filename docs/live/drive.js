// What a check does with a tab: find elements by role, act on them, and expect something of them.
// docs/live/tabs.py asks for it, with the words of Playwright's surface. Keys are simulated.
import { Tab } from "./tab.js";
import { inWords } from "./words.js";

const SIZE = [1280, 720]; // that of a page in Playwright
const ROLES = {
  button: "button, input[type=submit]",
  heading: "h1, h2, h3, h4, h5, h6",
  link: "a[href]",
  list: "ol, ul",
  listitem: "li",
  status: "output",
  textbox: "input:not([type]), input[type=text], input[type=search], textarea",
};
const TYPED = `${ROLES.textbox}, input[type=password]`; // a password has no role
const FOCUSABLE = "a[href], input, button, textarea, select, [tabindex]";
const TURN = 10; // milliseconds between two looks

const tabs = new Map(); // by name
let counted = 0; // sockets

function squeezed(text) {
  return (text ?? "").replace(/\s+/g, " ").trim();
}

function isVisible(element) {
  const style = element.ownerDocument.defaultView.getComputedStyle(element);
  return element.getClientRects().length > 0 && style.visibility !== "hidden";
}

function nameOf(element) {
  const { ownerDocument } = element;
  const ids = element.getAttribute("aria-labelledby")?.split(/\s+/) ?? [];
  if (ids.length) {
    return squeezed(ids.map((id) => ownerDocument.getElementById(id)?.textContent ?? "").join(" "));
  }
  if (element.getAttribute("aria-label")) return squeezed(element.getAttribute("aria-label"));
  const labels = [...(element.labels ?? [])].map((label) => label.textContent);
  if (labels.length) return squeezed(labels.join(" "));
  const own = element.type === "submit" && element.value ? element.value : element.textContent;
  return squeezed(own) || squeezed(element.title || element.getAttribute("placeholder"));
}

function pattern(wanted) {
  return new RegExp(wanted.source, wanted.flags);
}

// Whether a text is, or contains, what is wanted: a string, or a regular expression.
function fits(text, wanted, isWhole = false) {
  if (typeof wanted === "object") return pattern(wanted).test(text);
  const [have, want] = [squeezed(text), squeezed(wanted)];
  return isWhole ? have === want : have.toLowerCase().includes(want.toLowerCase());
}

function found(tab, steps) {
  let elements = null;
  for (const step of steps) {
    if ("role" in step) {
      const own = ROLES[step.role] ? `:is(${ROLES[step.role]}):not([role]), ` : "";
      const roots = elements ?? [tab.doc];
      elements = roots.flatMap((root) => [...root.querySelectorAll(`${own}[role=${step.role}]`)]);
      elements = elements.filter((element) => isVisible(element) && !element.closest("[aria-hidden=true]"));
      if (step.name !== undefined && step.name !== null) {
        elements = elements.filter((element) => fits(nameOf(element), step.name));
      }
    } else if ("label" in step) {
      const all = [...tab.doc.querySelectorAll("input, textarea, select, button")];
      elements = all.filter((element) => element.labels?.length && fits(nameOf(element), step.label));
    } else if ("text" in step) {
      // The innermost ones.
      const all = [...tab.doc.body.querySelectorAll("*")].filter((one) => fits(one.textContent, step.text));
      elements = all.filter((element) => ![...element.children].some((child) => all.includes(child)));
    } else if ("has_text" in step) {
      elements = elements.filter((element) => fits(element.textContent, step.has_text));
    } else if ("nth" in step) {
      elements = [elements.at(step.nth)].filter(Boolean);
    }
  }
  return elements;
}

async function until(milliseconds, condition) {
  const end = performance.now() + milliseconds;
  for (;;) {
    const result = condition();
    if (result || performance.now() > end) return result;
    await new Promise((done) => setTimeout(done, TURN));
  }
}

// Keys

function isTextBox(element) {
  return element?.matches?.(TYPED) && !element.disabled && !element.readOnly;
}

function setValue(tab, element, value) {
  const kind = element.tagName === "TEXTAREA" ? "HTMLTextAreaElement" : "HTMLInputElement";
  const text = element.maxLength >= 0 ? value.slice(0, element.maxLength) : value;
  const { set } = Object.getOwnPropertyDescriptor(tab.win[kind].prototype, "value");
  set.call(element, text);
  element.dispatchEvent(new tab.win.InputEvent("input", { bubbles: true, inputType: "insertText" }));
}

function focusNext(tab, element) {
  const all = [...tab.doc.querySelectorAll(FOCUSABLE)].filter(
    (one) => !one.disabled && one.tabIndex >= 0 && one.type !== "hidden" && isVisible(one),
  );
  element.blur?.();
  (all[all.indexOf(element) + 1] ?? all[0])?.focus();
}

// What Enter does in a box of a form: it presses the form's button, if that can be pressed.
function submitBy(tab, element) {
  element.dispatchEvent(new tab.win.Event("change", { bubbles: true }));
  const button = [...element.form.elements].find((one) => one.type === "submit");
  if (!button) element.form.requestSubmit();
  else if (!button.disabled) button.click();
}

function press(tab, key) {
  const element = tab.doc.activeElement ?? tab.doc.body;
  const code = key === "Space" ? " " : key;
  const event = { key: code, code: key, bubbles: true, cancelable: true };
  if (element.dispatchEvent(new tab.win.KeyboardEvent("keydown", event))) {
    if (key === "Tab") focusNext(tab, element);
    else if (key === "Enter" && element.matches("button, a[href]")) element.click();
    else if (key === "Enter" && element.form && element.tagName === "INPUT") submitBy(tab, element);
    else if (key === "Space" && element.matches("button")) element.click();
    else if (code.length === 1 && isTextBox(element)) setValue(tab, element, element.value + code);
  }
  const now = tab.doc.activeElement ?? tab.doc.body;
  now.dispatchEvent(new tab.win.KeyboardEvent("keyup", event));
}

// Expectations: whether it holds for the elements, and what there is.

function listed(elements, wanted, isWhole) {
  const texts = elements.map((element) => element.textContent);
  if (isWhole) {
    return texts.length === wanted.length && texts.every((text, i) => fits(text, wanted[i], true));
  }
  let next = 0;
  for (const text of texts) if (next < wanted.length && contains(text, wanted[next])) next += 1;
  return next === wanted.length;
}

function contains(text, wanted) {
  return typeof wanted === "object"
    ? pattern(wanted).test(text)
    : squeezed(text).includes(squeezed(wanted));
}

function isInView(tab, element) {
  if (!isVisible(element)) return false;
  let { left, top, right, bottom } = element.getBoundingClientRect();
  const { clientWidth, clientHeight } = tab.doc.documentElement;
  const areas = [{ left: 0, top: 0, right: clientWidth, bottom: clientHeight }];
  for (let box = element.parentElement; box; box = box.parentElement) {
    const { overflowY } = tab.win.getComputedStyle(box);
    if (box !== tab.doc.body && box !== tab.doc.documentElement && overflowY !== "visible") {
      areas.push(box.getBoundingClientRect());
    }
  }
  for (const area of areas) {
    [left, top] = [Math.max(left, area.left), Math.max(top, area.top)];
    [right, bottom] = [Math.min(right, area.right), Math.min(bottom, area.bottom)];
  }
  return right > left && bottom > top;
}

function text(whole) {
  return (elements, wanted) => {
    if (Array.isArray(wanted)) {
      return [listed(elements, wanted, whole), elements.map((element) => element.textContent)];
    }
    const [element] = elements;
    const holds = whole ? fits(element.textContent, wanted, true) : contains(element.textContent, wanted);
    return [holds, element.textContent];
  };
}

function state(holds, yes, no) {
  return ([element], wanted, tab) => {
    const result = holds(element, tab);
    return [result, result ? yes : no];
  };
}

const EXPECTATIONS = {
  to_have_text: text(true),
  to_contain_text: text(false),
  to_have_count: (elements, wanted) => [elements.length === wanted, elements.length],
  to_have_value: ([element], wanted) => [element.value === wanted, element.value],
  to_be_visible: state(isVisible, "visible", "hidden"),
  to_be_enabled: state((element) => !element.disabled, "enabled", "disabled"),
  to_be_disabled: state((element) => element.disabled, "disabled", "enabled"),
  to_be_focused: state((element, tab) => tab.doc.activeElement === element, "focused", "inactive"),
  to_be_in_viewport: state((element, tab) => isInView(tab, element), "viewport ratio 1", "viewport ratio 0"),
};
const OF_ALL = ["to_have_count"];

function expectation(tab, steps, name, wanted, isNot) {
  const elements = found(tab, steps);
  const isOfAll = OF_ALL.includes(name) || Array.isArray(wanted);
  if (!isOfAll && elements.length !== 1) {
    return { holds: false, found: elements.length > 0, received: "None" };
  }
  const [holds, received] = EXPECTATIONS[name](elements, wanted, tab);
  return { holds: holds !== isNot, found: true, received: shown(received) };
}

// A value as Python shows it.
function shown(value) {
  if (!Array.isArray(value)) return String(value);
  return `[${value.map((one) => `'${one}'`).join(", ")}]`;
}

// Time in a page that can be let pass: the timers of its window.
const FAKE_TIME = `
(() => {
  const real = { set: window.setTimeout.bind(window), clear: window.clearTimeout.bind(window) };
  const RealDate = Date;
  const began = performance.now.bind(performance);
  let ahead = 0;
  let last = 0;
  const timers = new Map();
  const now = () => began() + ahead;
  function add(again, wait = 0, words, repeats) {
    const id = (last += 1);
    timers.set(id, { due: now() + Number(wait), again, wait, words, repeats });
    real.set(fireDue, Number(wait));
    return id;
  }
  function fireDue() {
    for (;;) {
      const due = [...timers].filter(([, timer]) => timer.due <= now());
      if (!due.length) return;
      due.sort(([, one], [, other]) => one.due - other.due);
      const [id, timer] = due[0];
      if (timer.repeats) timer.due += Math.max(1, timer.wait);
      else timers.delete(id);
      if (typeof timer.again === "function") timer.again(...timer.words);
      else window.eval(timer.again);
    }
  }
  window.setTimeout = (again, wait, ...words) => add(again, wait, words, false);
  window.setInterval = (again, wait, ...words) => add(again, wait, words, true);
  window.clearTimeout = window.clearInterval = (id) => timers.delete(id);
  window.letTimePass = (milliseconds) => {
    ahead += milliseconds;
    fireDue();
  };
  window.Date = class extends RealDate {
    constructor(...words) {
      if (words.length) super(...words);
      else super(RealDate.now() + ahead);
    }
    static now() {
      return RealDate.now() + ahead;
    }
  };
})();
`;

// What tabs.py asks for, by name.
const METHODS = {
  async open(desk, name, path, jar, { address = "", html = null, scripts }) {
    let tab = tabs.get(name);
    if (!tab) {
      const frame = document.createElement("iframe");
      frame.title = inWords("A tab of the check: {name}", { name });
      [frame.style.width, frame.style.height] = SIZE.map((pixels) => `${pixels}px`);
      desk.place.append(frame);
      const tell = (message) => desk.python.tell({ kind: "tab", tab: name, isOfCheck: true, ...message });
      tab = new Tab(desk.python, frame, {
        problem: (words, error) => tell({ what: "problem", text: words, error }),
        socket: (socket) => {
          const number = (counted += 1);
          tell({ what: "socket", number, url: socket.url });
          socket.addEventListener("close", () => tell({ what: "socket closed", number }));
        },
        load: () => tell({ what: "load" }),
        log: (sent) => {
          if (["text", "binary"].includes(sent.kind)) {
            tell({ what: sent.to === "app" ? "sent" : "received", data: sent.data });
          }
        },
      }, { jar, isOfCheck: true });
      tabs.set(name, tab);
    }
    const first = address && html === null ? [FAKE_TIME] : [];
    tab.again = { address, html, scripts: [...first, ...scripts] };
    await tab.open(path);
  },
  close(desk, name) {
    const tab = tabs.get(name);
    tabs.delete(name);
    tab?.leave();
    tab?.frame.remove();
  },
  size(desk, name, width, height) {
    const { style } = tabs.get(name).frame;
    [style.width, style.height] = [`${width}px`, `${height}px`];
  },
  run_for: (desk, name, milliseconds) => tabs.get(name).win.letTimePass(milliseconds),
  press: (desk, name, key) => press(tabs.get(name), key),
  type(desk, name, words) {
    for (const character of words) press(tabs.get(name), character);
  },
  insert(desk, name, words) {
    const tab = tabs.get(name);
    const element = tab.doc.activeElement;
    if (isTextBox(element)) setValue(tab, element, element.value + words);
  },
  async evaluate(desk, name, code, argument) {
    const { win } = tabs.get(name);
    const value = evaluated(win, code.trim().replace(/;$/, ""));
    return plain(await (typeof value === "function" ? value.call(win, argument) : value));
  },
  // The elements of all roles, each in a line: as much of an aria snapshot as is asked for.
  roles(desk, name) {
    const all = Object.keys(ROLES).flatMap((role) =>
      found(tabs.get(name), [{ role }]).map((element) => {
        const words = nameOf(element);
        return `- ${role}${words && role !== "list" ? ` ${JSON.stringify(words)}` : ""}`;
      }));
    return all.join("\n");
  },
  texts: (desk, name, steps) => found(tabs.get(name), steps).map((element) => element.textContent),
  async act(desk, name, steps, what, [argument, more], milliseconds) {
    const tab = tabs.get(name);
    const needsEnabled = ["fill", "click"].includes(what);
    const element = await until(milliseconds, () => {
      const [one, ...others] = found(tab, steps);
      return one && !others.length && !(needsEnabled && one.disabled) ? one : null;
    });
    if (!element) throw new Error(`Locator.${what}: Timeout ${milliseconds}ms exceeded.`);
    if (what === "text") return element.textContent;
    if (what === "scroll") return void element.scrollIntoView({ block: "nearest" });
    if (what === "evaluate") {
      return plain(tab.win.eval(`(${argument})`).call(tab.win, element, more));
    }
    element.focus();
    if (what === "fill") setValue(tab, element, argument);
    else if (what === "click") element.click();
    else if (what === "press") press(tab, argument);
    return null;
  },
  async expect(desk, name, steps, what, wanted, isNot, milliseconds) {
    const tab = tabs.get(name);
    let result;
    await until(milliseconds, () => {
      result = expectation(tab, steps, what, wanted, isNot);
      return result.holds;
    });
    return result;
  },
};

// What an expression is, or what statements give.
function evaluated(win, code) {
  try {
    return win.eval(`(${code})`);
  } catch (error) {
    if (error.name === "SyntaxError") return win.eval(code);
    throw error;
  }
}

// A value that can be sent to the worker.
function plain(value) {
  const json = JSON.stringify(value);
  return json === undefined ? null : JSON.parse(json);
}

// Do what a check asks for; `desk` has the Python that checks and the place for its tabs.
export async function drive(desk, { call, method, arguments: words }) {
  let answer;
  try {
    answer = { value: await METHODS[method](desk, ...words) };
  } catch (error) {
    answer = { error: error.message };
  }
  desk.python.tell({ kind: "done", call, isOfCheck: true, ...answer });
}

// Close all tabs of a check that didn't finish.
export function closeAll() {
  for (const tab of tabs.values()) tab.frame.remove();
  tabs.clear();
}
