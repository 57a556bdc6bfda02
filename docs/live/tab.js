// A browser's tab: an iframe that shows what the app answers, and whose requests lead to the app.
import { inWords } from "./words.js";

// The elements of a page that load a file, and the attribute that says which.
const LOADERS = [["script[src]", "src"], ["link[rel=stylesheet]", "href"], ["img[src]", "src"]];
const WITHOUT_BODY = [204, 205, 304];
const REDIRECTS = [301, 302, 303, 307, 308];
const MOST_REDIRECTS = 20; // one after the other
const HOST = "127.0.0.1:5000"; // the app's own: docs/live/bridge.py has it, too
const LOAD_SECONDS = 5; // after which a page is shown as it is
const FORM = [["content-type", "application/x-www-form-urlencoded"]];

export class Tab {
  // `events` may have functions: log(frame), problem(text), load(). Tabs with the same `jar` share their cookies.
  constructor(python, frame, events, { jar, isOfCheck = false }) {
    this.python = python;
    this.frame = frame;
    this.events = events;
    this.jar = jar;
    this.isOfCheck = isOfCheck;
    this.sockets = new Set();
    this.path = "/";
    this.opened = 0; // how often
    // At which address the page believes to be, if not at the app's; and its HTML, if it isn't the app's.
    this.again = { address: "", html: null, scripts: [] };
  }

  get win() {
    return this.frame.contentWindow;
  }

  get doc() {
    return this.frame.contentDocument;
  }

  log(frame) {
    this.events.log?.(frame, this);
  }

  // Tell what the console of a browser would show; `error` has the details of an exception.
  problem(text, error = null) {
    this.events.problem?.(text, error);
  }

  // What its requests and handshakes say of it: another site's page has an origin of its own.
  get sender() {
    const { jar, isOfCheck, again } = this;
    return { jar, isOfCheck, origin: again.html === null ? "" : new URL(again.address).origin };
  }

  // Ask the app, and follow where it leads. The answer also has the last `path`, and `failed` says what went wrong.
  async request(path, { method = "GET", headers = [], body = null, redirect = "follow" } = {}) {
    for (let count = 0; count <= MOST_REDIRECTS; count += 1) {
      const answer = await this.python.request(path, { method, headers, body, ...this.sender });
      const place = header(answer, "location");
      const leads = REDIRECTS.includes(answer.status) && place !== "";
      if (!leads || redirect !== "follow") return { ...answer, path, leads, isRedirected: count > 0 };
      const next = this.local(place, path);
      if (next === null) return failure(path, inWords("{path} leads to another site: {place}", { path, place }));
      path = next;
      const isAsBefore = answer.status > 303 || ["GET", "HEAD"].includes(method);
      if (!isAsBefore) [method, headers, body] = ["GET", [], null];
    }
    const number = MOST_REDIRECTS;
    return failure(path, inWords("{path} redirects more than {number} times", { path, number }));
  }

  // Close its connections: 1001 is a browser's "going away", 1006 a lost connection.
  leave(code = 1001) {
    for (const socket of [...this.sockets]) socket.leave(code);
  }

  // The path of an address in the page, or null if it is on another site.
  local(address, path = this.path) {
    const url = new URL(address, `http://page${path}`);
    // The window's location is that of the page around it.
    if (url.href.split("#")[0] === location.href.split("#")[0]) return this.path;
    const folder = new URL(".", location.href).href; // to which a script's location is relative
    if (url.href.startsWith(folder)) return `/${url.href.slice(folder.length).split("#")[0]}`;
    const own = ["page", HOST, location.host];
    if (this.again.address) own.push(new URL(this.again.address).host);
    return own.includes(url.host) ? url.pathname + url.search : null;
  }

  // Show a path: the same HTML, styles and scripts as the app serves.
  async open(path = this.path, options = {}) {
    const { address, html, scripts } = this.again;
    const opened = (this.opened += 1);
    this.path = path;
    const answer = html === null ? await this.request(path, options) : textual(path, html, "text/html");
    if (opened !== this.opened) return; // it was sent elsewhere meanwhile
    this.path = answer.path;
    this.leave();
    const text = new TextDecoder().decode(answer.body);
    const type = header(answer, "content-type");
    const isHtml = /html/.test(type);
    const page = new DOMParser().parseFromString(isHtml ? text : "<pre></pre>", "text/html");
    if (!isHtml) page.querySelector("pre").textContent = text;
    await this.putFilesIn(page, address);
    if (!this.frame.isConnected || opened !== this.opened) return; // it was closed meanwhile
    // A fresh one has a global scope of its own, in which names can be declared again.
    const before = this.frame;
    this.frame = before.cloneNode();
    before.replaceWith(this.frame);
    const { doc, win } = this;
    doc.open(); // so that the address is the page's own, and location.host works
    this.prepare(win);
    if (address) giveAddress(win, address);
    for (const script of scripts) {
      // Only location differs for them: document must be the real one, to be observed.
      win.eval(address ? `((location) => {${script}\n})(elsewhere.location)` : script);
    }
    const loaded = new Promise((done) => {
      win.addEventListener("load", done);
      setTimeout(done, LOAD_SECONDS * 1000);
    });
    doc.write(`<!doctype html>${page.documentElement.outerHTML}`);
    doc.close();
    await loaded;
    // A browser leaves the focus where it is, outside the frame.
    if (this.isOfCheck && doc.activeElement === doc.body) doc.querySelector("[autofocus]")?.focus();
    this.events.load?.(this);
  }

  // Put the files that a page loads in place of their addresses.
  async putFilesIn(page, address) {
    for (const [selector, attribute] of LOADERS) {
      for (const element of page.querySelectorAll(selector)) {
        const path = this.local(element.getAttribute(attribute));
        if (!path) continue;
        const answer = await this.request(path);
        if (answer.status >= 400) this.problem(notLoaded(answer.status, path));
        let content = answer.body;
        if (selector === "script[src]") {
          content = new TextDecoder().decode(content);
          // Names are looked up there first, so that location is that of the other address.
          if (address && element.type !== "module") content = `with (elsewhere) {${content}\n}`;
          content += `\n//# sourceURL=${path}`;
        }
        const blob = new Blob([content], { type: header(answer, "content-type") });
        if (answer.status < 400) element.setAttribute(attribute, URL.createObjectURL(blob));
        else element.removeAttribute(attribute);
      }
    }
  }

  // Send the page's requests to the app, and report its errors.
  prepare(win) {
    win.WebSocket = this.python.socketClass(this);
    win.fetch = async (address, options = {}) => {
      const path = this.local(String(address));
      if (path === null) throw new win.TypeError("Only this app can be reached from here.");
      const sent = new Response(options.body);
      const headers = new Headers(options.headers);
      const type = sent.headers.get("content-type");
      if (type && !headers.has("content-type")) headers.set("content-type", type);
      const body = options.body ? new Uint8Array(await sent.arrayBuffer()) : null;
      const { redirect } = options;
      const method = options.method?.toUpperCase();
      const answer = await this.request(path, { method, headers: [...headers], body, redirect });
      if (answer.failed || (answer.leads && redirect === "error")) throw new win.TypeError("Failed to fetch");
      if (answer.leads) return withFields(win.Response.error(), { type: "opaqueredirect" });
      const content = WITHOUT_BODY.includes(answer.status) ? null : answer.body;
      const response = new win.Response(content, { status: answer.status, headers: answer.headers });
      const url = new URL(answer.path, win.location.origin).href;
      return withFields(response, { type: "basic", url, redirected: answer.isRedirected });
    };
    win.addEventListener("error", (event) => this.problem(...described(event)), true);
    win.addEventListener("unhandledrejection", (event) => this.problem(String(event.reason)));
    const shown = win.console.error;
    win.console.error = (...words) => {
      this.problem(words.join(" "));
      shown.apply(win.console, words);
    };
    if (this.isOfCheck) win.alert = win.confirm = win.prompt = () => null;
    // A link or a form would load a page of this site into the frame.
    win.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return;
      event.preventDefault();
      this.submit(event.target, event.submitter);
    });
    const tab = this;
    win.HTMLFormElement.prototype.submit = function submit() {
      tab.submit(this);
    };
    win.addEventListener("click", (event) => {
      const link = event.target.closest?.("a[href]");
      if (!link || event.defaultPrevented || link.getAttribute("href").startsWith("#")) return;
      event.preventDefault();
      this.go(link.getAttribute("href"));
    });
    // A script may use its location, which is known only once the window has left the app.
    const { doc } = this;
    win.addEventListener("pagehide", () => setTimeout(() => this.comeBack(win, doc)));
  }

  // Send a form.
  submit(form, submitter = null) {
    const action = form.getAttribute("action") || this.path;
    const query = String(new URLSearchParams(new FormData(form, submitter)));
    if (form.getAttribute("method")?.toLowerCase() === "post") {
      this.go(action, { method: "POST", headers: FORM, body: new TextEncoder().encode(query) });
    } else {
      this.go(`${action.replace(/[?#].*/, "")}?${query}`);
    }
  }

  // Go to an address, as if its link was clicked: what is on its way to the page is lost.
  go(address, options = {}) {
    this.leave();
    const path = this.local(address);
    if (path !== null) this.open(path, options);
  }

  // Go where a script has sent a window; after location.reload(), an empty page is there.
  comeBack(win, doc) {
    if (win !== this.win || doc === this.doc || !this.frame.isConnected) return; // it has not left, or was closed
    let address = "about:blank";
    try {
      address = win.location.href;
    } catch {
      // Another site: it can't be opened here.
    }
    this.go(address === "about:blank" ? this.path : address);
  }
}

function header(answer, name) {
  return answer.headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? "";
}

// An answer that is a text.
function textual(path, text, type) {
  return { path, status: 200, headers: [["content-type", type]], body: new TextEncoder().encode(text) };
}

// In place of an answer, what went wrong.
function failure(path, failed) {
  return { ...textual(path, failed, "text/plain"), failed };
}

// An object whose fields are these, though it does not let them be set.
function withFields(object, fields) {
  for (const [name, value] of Object.entries(fields)) Object.defineProperty(object, name, { value });
  return object;
}

function notLoaded(status, path) {
  const words = { 404: " (Not Found)", 500: " (Internal Server Error)" }[status] ?? "";
  return `Failed to load resource: the server responded with a status of ${status}${words}: ${path}`;
}

// What an error is, with its place in a script of the app; and its details, if it is an exception.
function described(event) {
  const { target } = event;
  if (target?.tagName) return [notLoaded(404, new URL(target.src || target.href, location).pathname)];
  const message = event.message?.replace(/^Uncaught (\w*Error: )?/, "") ?? "";
  if (/^Uncaught SyntaxError/.test(event.message)) {
    return [`a script cannot be read: ${message}`, { message, stack: "" }];
  }
  const file = /\/(static\/[^?]+)$/.exec(event.filename ?? "")?.[1];
  const stack = file ? `/${file}:${event.lineno}:${event.colno}` : "elsewhere";
  return [file ? `${file}, line ${event.lineno}: ${message}` : message, { message, stack }];
}

// Let the scripts of a window believe that they live at another address: see putFilesIn.
function giveAddress(win, address) {
  const url = new URL(address);
  const location = new Proxy({}, {
    get: (_, name) => {
      if (name === "toString" || name === Symbol.toPrimitive) return () => url.href;
      return url[name];
    },
  });
  const seen = (real) => new Proxy(real, {
    get: (target, name) => {
      if (name === "location") return location;
      if (["window", "self", "globalThis"].includes(name)) return win.elsewhere.window;
      const value = Reflect.get(target, name);
      const isPlain = typeof value === "function" && !/^[A-Z]/.test(String(name));
      return isPlain ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value),
  });
  win.elsewhere = { location };
  const window = seen(win);
  Object.assign(win.elsewhere, { window, self: window, globalThis: window, document: seen(win.document) });
}
