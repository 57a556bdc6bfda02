"""Scripts that run in a page before its own: what they note, a test can ask for later."""

# What a page did before a test could look: the state's texts, and where it connected to.
WATCH_STATE = """
window.states = [];
new MutationObserver(() => {
  const text = document.querySelector("[role=status], output")?.textContent.trim();
  if (text && text !== states.at(-1)) states.push(text);
}).observe(document, {subtree: true, childList: true, characterData: true});
"""
# And what it did with its socket and its listeners that has no effect.
WATCH_LISTENERS = """
(() => {
window.openedSockets = [];
window.idleListeners = [];
window.WebSocket = new Proxy(WebSocket, { construct(made, given) {
  const socket = new made(...given);
  openedSockets.push(socket);
  for (const type of ["open", "message", "close", "error"]) {
    let listener = null;
    Object.defineProperty(socket, `on${type}`, {
      get: () => listener,
      set(given) {
        if (given === undefined) {
          idleListeners.push(`sets .on${type} to undefined: ` +
            "assign the function's name, without ()");
        }
        listener = given;
      },
    });
    // The stand-in below calls its properties itself.
    if (!window.sockets) socket.addEventListener(type, (event) => listener?.call(socket, event));
  }
  return socket;
}});
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (type, listener, ...options) {
  if (listener === undefined) {
    idleListeners.push(`passes no function to addEventListener("${type}", …): ` +
      "pass the function's name, without ()");
  }
  if (openedSockets.includes(this) && !(`on${type}` in this)) {
    idleListeners.push(`listens to "${type}", which a socket does not have: ` +
      'its events are "open", "message", "close" and "error"');
  }
  return add.call(this ?? window, type, listener, ...options);
};
})();
"""
WATCH_SOCKET = """
window.sockets = [];
window.WebSocket = class extends EventTarget {
  static { Object.assign(this, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 }); }
  readyState = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  bufferedAmount = 0;
  constructor(url) {
    super();
    sockets.push(this);
    window.connectedTo = new URL(url, location.href.replace(/^http/, "ws")).href;
  }
  dispatchEvent(event) {
    this[`on${event.type}`]?.(event);
    return super.dispatchEvent(event);
  }
  send() {}
  close() {}
};
"""
