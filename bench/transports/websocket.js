// Call show() with each message.
function receive(show) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/messages`);
  socket.addEventListener("message", (event) => {
    for (const [number, text] of JSON.parse(event.data)) show(text);
  });
}
