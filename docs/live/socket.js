// The WebSocket of a tab: it has the surface of the browser's, and leads to the app in the worker.
import { inWords } from "./words.js";

const LOST = 1006; // the close code where there was no close frame
const NONE = 1005; // that of a close frame without one

// A class for the window of a tab, so that all it hands out belongs there.
export function socketsOf(python, tab) {
  const { win } = tab;
  const kindOf = (value) => Object.prototype.toString.call(value);

  return class WebSocket extends win.EventTarget {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSING = 2;
    static CLOSED = 3;
    CONNECTING = 0;
    OPEN = 1;
    CLOSING = 2;
    CLOSED = 3;
    readyState = 0;
    bufferedAmount = 0;
    extensions = "";
    protocol = "";
    binaryType = "blob";
    #id = python.nextId++;
    #status = 0;

    constructor(url, protocols = []) {
      super();
      this.url = new URL(url, win.location.href.replace(/^http/, "ws")).href;
      for (const type of ["open", "message", "error", "close"]) {
        this.addEventListener(type, (event) => this[`on${type}`]?.(event));
      }
      python.sockets.set(this.#id, this);
      tab.sockets.add(this);
      tab.events.socket?.(this);
      const { pathname, search } = new URL(this.url);
      const path = pathname + search;
      tab.log({ to: "app", kind: "handshake", data: `GET ${path}` });
      this.#tell({ kind: "open", path, protocols: [].concat(protocols) });
    }

    #tell(message) {
      python.tell({ ...message, id: this.#id, ...tab.sender });
    }

    send(data) {
      if (this.readyState === 0) {
        const why = "Failed to execute 'send' on 'WebSocket': Still in CONNECTING state.";
        throw new win.DOMException(why, "InvalidStateError");
      }
      if (this.readyState !== 1) return;
      if (kindOf(data) === "[object Blob]") {
        data.arrayBuffer().then((content) => this.send(content));
        return;
      }
      if (kindOf(data) === "[object ArrayBuffer]") data = new Uint8Array(data);
      else if (!ArrayBuffer.isView(data)) data = String(data);
      tab.log({ to: "app", kind: typeof data === "string" ? "text" : "binary", data });
      this.#tell({ kind: "send", data });
    }

    close(code, reason = "") {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
        const why = `The close code must be either 1000, or between 3000 and 4999. ${code} is neither.`;
        throw new win.DOMException(why, "InvalidAccessError");
      }
      this.leave(code ?? NONE, reason);
    }

    // Close the connection from this end: as close() does, or as a browser does for its user.
    leave(code, reason = "") {
      if (this.readyState > 1) return;
      const isOpen = this.readyState === 1;
      this.readyState = 2;
      if (code !== LOST) tab.log({ to: "app", kind: "close", code, data: reason });
      this.#tell({ kind: "close", code });
      setTimeout(() => this.#end(isOpen ? code : LOST, reason));
    }

    // The server has gone, without a word.
    lose() {
      this.#end(LOST, "");
    }

    hear(message) {
      if (this.readyState === 3) return;
      if (!win.CloseEvent) return void this.#forget(); // the tab has gone
      if (message.kind === "accepted" && this.readyState === 0) {
        tab.log({ to: "tab", kind: "handshake", data: "101 Switching Protocols" });
        this.readyState = 1;
        this.protocol = message.protocol;
        this.dispatchEvent(new win.Event("open"));
      } else if (message.kind === "message" && this.readyState === 1) {
        const { data } = message;
        tab.log({ to: "tab", kind: typeof data === "string" ? "text" : "binary", data });
        this.dispatchEvent(new win.MessageEvent("message", { data: this.#given(data) }));
      } else if (message.kind === "refused") {
        this.#status = message.status;
      } else if (message.kind === "closed" && this.readyState < 2) {
        const code = message.is_open ? message.code : LOST;
        if (!message.is_open) {
          const status = this.#status || 403;
          tab.log({ to: "tab", kind: "handshake", data: inWords("refused with status {status}", { status }) });
        } else if (code !== LOST) {
          tab.log({ to: "tab", kind: "close", code, data: message.reason });
        }
        this.#end(code, message.is_open ? message.reason : "");
      }
    }

    #given(data) {
      if (typeof data === "string") return data;
      if (this.binaryType === "blob") return new win.Blob([data]);
      return new win.Uint8Array(data).buffer;
    }

    #forget() {
      this.readyState = 3;
      python.sockets.delete(this.#id);
      tab.sockets.delete(this);
    }

    #end(code, reason) {
      if (this.readyState === 3) return;
      this.#forget();
      if (code === LOST) tab.log({ to: "tab", kind: "lost", data: "" });
      if (!win.CloseEvent) return;
      if (code === LOST) this.dispatchEvent(new win.Event("error"));
      const wasClean = code !== LOST;
      this.dispatchEvent(new win.CloseEvent("close", { code, reason, wasClean }));
    }
  };
}
