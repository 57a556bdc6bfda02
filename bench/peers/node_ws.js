// The loop of the documentation of Node's ws: a send to everyone who is open.
const { WebSocket, WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  backlog: 2048,
  // 0: by itself, ws leaves messages of less than 1 KiB as they are.
  perMessageDeflate: "DEFLATE" in process.env ? { threshold: 0 } : false,
});

server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) {
        client.send(data, { binary: isBinary });
      }
    }
  });
});
