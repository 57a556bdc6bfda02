const form = document.querySelector("#form");
const input = document.querySelector("#message");
const button = document.querySelector("#send");
const state = document.querySelector("#state");
const messages = document.querySelector("#messages");
const times = document.querySelector("#times");

const sentAt = [];
const durations = [];

function show(text) {
  const item = document.createElement("li");
  // textContent, because a stranger may have typed HTML.
  item.textContent = text;
  const toEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight;
  messages.append(item);
  // Keep the newest message in view, unless the reader has scrolled up.
  if (toEnd < 10) messages.scrollTop = messages.scrollHeight;
}

function showTimes() {
  const sorted = durations.toSorted((a, b) => a - b);
  const [fastest, median, slowest] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map(
    (place) => sorted[place].toFixed(1),
  );
  times.textContent = `fastest ${fastest} ms, median ${median} ms, slowest ${slowest} ms`;
}

const scheme = location.protocol === "https:" ? "wss" : "ws";
const ws = new WebSocket(`${scheme}://${location.host}/ws`);

ws.addEventListener("open", () => {
  state.textContent = "Connected";
  button.disabled = false;
});

ws.addEventListener("message", (event) => {
  // Replies arrive in the order in which the messages were sent.
  const duration = performance.now() - sentAt.shift();
  durations.push(duration);
  show(`${event.data} (${duration.toFixed(1)} ms)`);
  showTimes();
});

ws.addEventListener("close", () => {
  state.textContent = "Disconnected: reload the page to connect again";
  button.disabled = true;
});

form.addEventListener("submit", (event) => {
  // Without this, the browser would load the page again.
  event.preventDefault();
  sentAt.push(performance.now());
  ws.send(input.value);
  input.value = "";
  input.focus();
});
