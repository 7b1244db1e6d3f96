// The two processes behind the path: a WebSocket echo at /probe/ws and pages elsewhere. The
// WebSocket server is Debian's node-ws. What it does wrongly is asked for on a control socket.
'use strict';
const http = require('http');
const fs = require('fs');
const { WebSocketServer } = require('/usr/share/nodejs/ws');

const [name, host, port, control] = process.argv.slice(2);
const sockets = new Set();
let mode = {}; // late: ms; mute; wrong; ping: ms; status: for new requests
let count = 0;

function log(event, what) {
  fs.writeSync(1, `${new Date().toISOString()} ${name} ${event} ${what}\n`);
}

function page(request, response) {
  const status = mode.status || 200;
  const path = request.url.split('?')[0];
  const respond = () => {
    let body = 'Only somebody who has signed on may read this.\n';
    if (path === '/probe/healthz') body = 'ok\n';
    if (path === '/api/auth/session') body = '{"session":null}\n';
    response.writeHead(status, { 'content-type': 'text/plain', 'content-length': body.length });
    response.end(body);
    log('http', `${request.socket.remoteAddress} "${request.method} ${request.url}" ${status}`);
  };
  if (mode.late) setTimeout(respond, mode.late); else respond();
}

const server = http.createServer(page);
const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });
server.on('upgrade', (request, socket, head) => {
  if (request.url.split('?')[0] !== '/probe/ws' || mode.status) {
    const status = mode.status || 404;
    log('refused', `${request.url} ${status}`);
    socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    return;
  }
  wss.handleUpgrade(request, socket, head, (ws) => {
    const id = ++count;
    sockets.add(ws);
    log('open', `${id} ${request.socket.remoteAddress}`);
    ws.on('message', (data, binary) => {
      log('echo', id);
      if (mode.mute) return;
      const answer = mode.wrong ? Buffer.concat([data, Buffer.from('!')]) : data;
      const send = () => ws.send(answer, { binary });
      if (mode.late) setTimeout(send, mode.late); else send();
    });
    ws.on('error', (error) => log('error', `${id} ${error.code}`));
    ws.on('close', (code) => { sockets.delete(ws); log('close', `${id} ${code}`); });
    if (mode.ping) {
      const timer = setInterval(() => ws.ping('are you there?'), mode.ping);
      ws.on('close', () => clearInterval(timer));
    }
  });
});
server.listen(Number(port), host, () => log('ready', `${host}:${port}`));

// {"mode": {...}}, {"close": code}, {"terminate": true}, {"ping": times}, {"block": ms}
try { fs.unlinkSync(control); } catch (error) { /* there was none */ }
http.createServer((request, response) => {
  let body = '';
  request.on('data', (part) => { body += part; });
  request.on('end', () => {
    const asked = JSON.parse(body);
    log('control', body);
    response.end('done');
    if (asked.mode) mode = asked.mode;
    if (asked.close) for (const ws of sockets) ws.close(asked.close, 'as asked');
    if (asked.terminate) for (const ws of sockets) ws.terminate();
    if (asked.ping) for (const ws of sockets) for (let i = 0; i < asked.ping; i++) ws.ping('x');
    if (asked.block) {
      response.on('finish', () => setImmediate(() => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, asked.block);
      }));
    }
  });
}).listen(control);
