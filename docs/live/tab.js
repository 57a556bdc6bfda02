// A browser's tab: an iframe that shows what the app answers, and whose requests lead to the app.

// The elements of a page that load a file, and the attribute that says which.
const LOADERS = [["script[src]", "src"], ["link[rel=stylesheet]", "href"], ["img[src]", "src"]];
const WITHOUT_BODY = [204, 205, 304];
const LOAD_SECONDS = 5; // after which a page is shown as it is

export class Tab {
  // `events` may have functions: log(frame), problem(text), load().
  constructor(python, frame, events = {}, isOfCheck = false) {
    this.python = python;
    this.frame = frame;
    this.events = events;
    this.isOfCheck = isOfCheck;
    this.sockets = new Set();
    this.path = "/";
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

  request(path, options = {}) {
    return this.python.request(path, { ...options, isOfCheck: this.isOfCheck });
  }

  // Close its connections: 1001 is a browser's "going away", 1006 a lost connection.
  leave(code = 1001) {
    for (const socket of [...this.sockets]) socket.leave(code);
  }

  // The path of an address in the page, or null if it is on another site.
  local(address) {
    const url = new URL(address, `http://page${this.path}`);
    return url.host === "page" ? url.pathname + url.search : null;
  }

  // Show a path: the same HTML, styles and scripts as the app serves.
  async open(path = this.path, again = {}) {
    const { address = "", scripts = [] } = again;
    this.path = path;
    this.again = again;
    const answer = await this.request(path);
    this.leave();
    const text = new TextDecoder().decode(answer.body);
    const type = header(answer, "content-type");
    const isHtml = /html/.test(type);
    const page = new DOMParser().parseFromString(isHtml ? text : "<pre></pre>", "text/html");
    if (!isHtml) page.querySelector("pre").textContent = text;
    await this.putFilesIn(page, address);
    if (!this.frame.isConnected) return; // it was closed meanwhile
    // A fresh one has a global scope of its own, in which names can be declared again.
    const fresh = this.frame.cloneNode();
    this.frame.replaceWith(fresh);
    this.frame = fresh;
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
      const body = options.body ? new Uint8Array(await new Response(options.body).arrayBuffer()) : null;
      const headers = [...new Headers(options.headers)];
      const answer = await this.request(path, { method: options.method, headers, body });
      const content = WITHOUT_BODY.includes(answer.status) ? null : answer.body;
      return new win.Response(content, { status: answer.status, headers: answer.headers });
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
      this.leave(); // so what is on its way is lost, as in a browser
      const form = event.target;
      const path = this.local(form.getAttribute("action") || this.path);
      const query = new URLSearchParams(new FormData(form));
      if (form.method === "get" && path) this.open(`${path.replace(/\?.*/, "")}?${query}`, this.again);
    });
    win.addEventListener("click", (event) => {
      const link = event.target.closest?.("a[href]");
      if (!link || event.defaultPrevented || link.getAttribute("href").startsWith("#")) return;
      event.preventDefault();
      this.leave();
      const path = this.local(link.getAttribute("href"));
      if (path) this.open(path, this.again);
    });
  }
}

function header(answer, name) {
  return answer.headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? "";
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
