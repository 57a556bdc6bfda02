const form = document.querySelector("#form");
const input = document.querySelector("#message");
const button = document.querySelector("#send");
const state = document.querySelector("#state");
const messages = document.querySelector("#messages");
const note = document.querySelector("#pending");

const GAPS = {
  "too old": "Messages are missing here: you were away for too long.",
  "new log": "Messages may be missing here: the server has restarted.",
};
// crypto.randomUUID() would work only on localhost and over HTTPS.
const sender = crypto.getRandomValues(new Uint32Array(4)).join("-");
const pending = []; // messages that may not be stored yet
let stored = 0; // the number of the last message that is
let ws;
let log = "";
let last = 0;
let tries = 0;

function show(text, element = "span") {
  const item = document.createElement("li");
  const content = document.createElement(element);
  // textContent, because a stranger may have typed HTML.
  content.textContent = text;
  item.append(content);
  const toEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight;
  messages.append(item);
  // Keep the newest message in view, unless the reader has scrolled up.
  if (toEnd < 10) messages.scrollTop = messages.scrollHeight;
}

function say(text) {
  // Screen readers announce every change, so don't set a state that hasn't changed.
  if (state.textContent !== text) state.textContent = text;
}

function tellPending() {
  note.textContent = `${pending.length} not stored yet`;
}

function take(frame) {
  if (frame.stored) {
    pending.splice(0, frame.stored - stored);
    stored = frame.stored;
    tellPending();
    return;
  }
  if (frame.messages) {
    for (const text of frame.messages) show(text);
    last = frame.first + frame.messages.length - 1;
    return;
  }
  if (frame.gap) show(GAPS[frame.gap], "em");
  ({ log, last } = frame);
  tries = 0;
  say("Connected");
  button.disabled = false;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const place = log ? `&log=${log}&last=${last}` : "";
  const name = `sender=${sender}&number=${stored + 1}`;
  ws = new WebSocket(`${scheme}://${location.host}/api/v3/ws?${name}${place}`);
  // The server stores each number once, so what it has already does no harm.
  ws.addEventListener("open", () => pending.forEach((text) => ws.send(text)));
  ws.addEventListener("message", (event) => take(JSON.parse(event.data)));
  ws.addEventListener("close", comeBack);
}

function comeBack() {
  say("Disconnected: connecting again…");
  button.disabled = true;
  // Back-off: wait longer after each try, so as not to overload a server in trouble.
  const seconds = Math.min(30, 2 ** tries);
  tries += 1;
  // Jitter: wait a random part of it, so that not all pages reconnect at the same moment.
  setTimeout(connect, 1000 * seconds * Math.random());
}

form.addEventListener("submit", (event) => {
  // Without this, the browser would load the page again.
  event.preventDefault();
  pending.push(input.value);
  tellPending();
  ws.send(input.value);
  input.value = "";
  input.focus();
});

connect();
