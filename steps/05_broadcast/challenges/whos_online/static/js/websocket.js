const form = document.querySelector("#form");
const input = document.querySelector("#message");
const button = document.querySelector("#send");
const state = document.querySelector("#state");
const messages = document.querySelector("#messages");
const online = document.querySelector("#online");

function show(text) {
  const item = document.createElement("li");
  // textContent, because a stranger may have typed HTML.
  item.textContent = text;
  const toEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight;
  messages.append(item);
  // Keep the newest message in view, unless the reader has scrolled up.
  if (toEnd < 10) messages.scrollTop = messages.scrollHeight;
}

const scheme = location.protocol === "https:" ? "wss" : "ws";
const ws = new WebSocket(`${scheme}://${location.host}/api/v2/ws`);

ws.addEventListener("open", () => {
  state.textContent = "Connected";
  button.disabled = false;
});

ws.addEventListener("message", (event) => show(event.data));

ws.addEventListener("close", () => {
  state.textContent = "Disconnected: reload the page to connect again";
  button.disabled = true;
});

form.addEventListener("submit", (event) => {
  // Without this, the browser would load the page again.
  event.preventDefault();
  ws.send(input.value);
  input.value = "";
  input.focus();
});

const watching = new WebSocket(`${scheme}://${location.host}/api/v2/online`);

watching.addEventListener("message", (event) => {
  online.textContent = `${event.data} online`;
});
