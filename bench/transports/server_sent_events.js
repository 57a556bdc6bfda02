// Call show() with each message.
function receive(show) {
  const source = new EventSource("/messages");
  source.addEventListener("message", (event) => show(event.data));
}
