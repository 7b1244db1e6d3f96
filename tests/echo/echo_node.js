// A browser's WebSocket (Node's own), or the package `ws`, against the responder at argv[2].
const WebSocketClass =
  process.argv[3] === "ws" ? require("ws") : globalThis.WebSocket;
const socket = new WebSocketClass(process.argv[2]);
const bytes = Uint8Array.from({ length: 65536 }, (_, at) => at % 251);
const answers = [];
socket.binaryType = "arraybuffer";
socket.onopen = () => {
  socket.send("grüß dich");
  socket.send(bytes);
  socket.send(new Uint8Array(65537));
};
socket.onmessage = ({ data }) =>
  answers.push(
    typeof data === "string"
      ? data
      : Buffer.compare(Buffer.from(data), Buffer.from(bytes)) === 0
  );
socket.onerror = () => {};
socket.onclose = ({ code, wasClean }) =>
  console.log(JSON.stringify({ answers, code, extensions: socket.extensions }));
