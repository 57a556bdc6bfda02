const form = document.querySelector("#form");
const input = document.querySelector("#message");
const button = document.querySelector("#send");
const state = document.querySelector("#state");
const you = document.querySelector("#you");
const messages = document.querySelector("#messages");

const GAPS = {
  "too old": "Messages are missing here: you were away for too long.",
  "new log": "Messages may be missing here: the server has restarted.",
};
let ws;
let log = "";
let last = 0;
let tries = 0;

function show(text, element = "span", from = "") {
  const item = document.createElement("li");
  const content = document.createElement(element);
  // textContent, because a stranger may have typed HTML.
  content.textContent = text;
  if (from) {
    const author = document.createElement("b");
    author.textContent = from;
    item.append(author, " ");
  }
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

function take(frame) {
  if (frame.refused) {
    say("Not sent: the server cannot store messages right now, so try again");
    show(`Not sent: ${frame.refused}`, "em");
    if (!input.value) input.value = frame.refused;
    return;
  }
  say("Connected");
  if (frame.messages) {
    for (const { from, text } of frame.messages) show(text, "span", from);
    last = frame.first + frame.messages.length - 1;
    return;
  }
  if (frame.gap) show(GAPS[frame.gap], "em");
  // While this page was away, somebody else may have signed in.
  if (log) reloadIfSignedOut();
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

function comeBack(event) {
  // 3000: signed out. Reloading the page leads to the form.
  if (event.code === 3000) return location.reload();
  // Why a handshake is refused, a browser doesn't say, so ask for the page itself.
  if (tries > 0) reloadIfSignedOut();
  say("Disconnected: connecting again…");
  button.disabled = true;
  // Back-off: wait longer after each try, so as not to overload a server in trouble.
  const seconds = Math.min(30, 2 ** tries);
  tries += 1;
  // Jitter: wait a random part of it, so that not all pages reconnect at the same moment.
  setTimeout(connect, 1000 * seconds * Math.random());
}

async function reloadIfSignedOut() {
  try {
    const page = await fetch(location);
    // Is it the form now, or somebody else's page?
    if (page.ok && !(await page.text()).includes(you.outerHTML)) location.reload();
  } catch {
    // The server is away.
  }
}

form.addEventListener("submit", (event) => {
  // Without this, the browser would load the page again.
  event.preventDefault();
  ws.send(input.value);
  input.value = "";
  input.focus();
});

connect();
