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
const TRY_AGAIN_LATER = 1013; // a close code
// Fewer than the messages that the server takes at once.
const MOST_ON_THEIR_WAY = 5;
// crypto.randomUUID() would work only on localhost and over HTTPS.
const sender = crypto.getRandomValues(new Uint32Array(4)).join("-");
const pending = []; // messages that may not be stored yet
let onTheirWay = 0; // how many of these were sent on this connection
let answered = 0; // the number of the last message that the server has answered
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

function sendMore() {
  if (ws.readyState !== WebSocket.OPEN) return; // once it is open, all that is pending is sent
  while (onTheirWay < Math.min(pending.length, MOST_ON_THEIR_WAY)) ws.send(pending[onTheirWay++]);
}

function takeAnswer(number) {
  onTheirWay -= pending.splice(0, number - answered).length;
  answered = number;
  tellPending();
  sendMore();
}

function take(frame) {
  if (frame.refused) {
    say("Not sent: the server cannot store messages right now, so try again");
    show(`Not sent: ${frame.refused}`, "em");
    if (!input.value) input.value = frame.refused;
    takeAnswer(answered + 1); // its number is never used again
    return;
  }
  // After a message was refused, the page reconnects and still says so.
  if (!frame.log || button.disabled) say("Connected");
  if (frame.stored) {
    takeAnswer(frame.stored);
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
  button.disabled = false;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const place = log ? `&log=${log}&last=${last}` : "";
  const name = `sender=${sender}&number=${answered + 1}`;
  ws = new WebSocket(`${scheme}://${location.host}/api/v3/ws?${name}${place}`);
  onTheirWay = 0; // the server stores each number once, so what it has already does no harm
  ws.addEventListener("open", sendMore);
  ws.addEventListener("message", (event) => take(JSON.parse(event.data)));
  ws.addEventListener("close", comeBack);
}

function comeBack(event) {
  if (event.code !== TRY_AGAIN_LATER) {
    say("Disconnected: connecting again…");
    button.disabled = true;
  }
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
  sendMore();
  input.value = "";
  input.focus();
});

connect();
