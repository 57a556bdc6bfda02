const form = document.querySelector("#form");
const input = document.querySelector("#message");
const button = document.querySelector("#send");
const state = document.querySelector("#state");
const messages = document.querySelector("#messages");

const GAPS = {
  "too old": "Messages are missing here: you were away for too long.",
  "new log": "Messages may be missing here: the server has started again.",
};
let ws;
let log = "";
let last = 0;
let tries = 0;

function show(text, kind) {
  const item = document.createElement("li");
  // textContent, because a stranger may have typed HTML.
  item.textContent = text;
  item.className = kind;
  messages.append(item);
}

function take(frame) {
  if (frame.refused) {
    state.textContent = "Not sent: the server cannot store it now, so try again";
    show(`Not sent: ${frame.refused}`, "gap");
    if (!input.value) input.value = frame.refused;
    return;
  }
  state.textContent = "Connected";
  if (frame.messages) {
    for (const text of frame.messages) show(text, "message");
    last = frame.first + frame.messages.length - 1;
    return;
  }
  if (frame.gap) show(GAPS[frame.gap], "gap");
  ({ log, last } = frame);
  tries = 0;
  button.disabled = false;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const query = log ? `?log=${log}&last=${last}` : "";
  ws = new WebSocket(`${scheme}://${location.host}/api/v3/ws${query}`);
  ws.addEventListener("message", (event) => take(JSON.parse(event.data)));
  ws.addEventListener("close", comeBack);
}

function comeBack() {
  state.textContent = "Disconnected: connecting again…";
  button.disabled = true;
  // Back-off: wait longer after each try, so that a server in trouble is left in peace.
  const seconds = Math.min(30, 2 ** tries);
  tries += 1;
  // Jitter: wait a random part of it, so that not everyone is back in the same moment.
  setTimeout(connect, 1000 * seconds * Math.random());
}

form.addEventListener("submit", (event) => {
  // Without this, the browser would load the page again.
  event.preventDefault();
  ws.send(input.value);
  input.value = "";
  input.focus();
});

connect();
