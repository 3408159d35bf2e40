// websocket.cjs talk URL: talks to an echoing WebSocket server at URL, and prints what came of it as JSON.
// websocket.cjs serve [CERTIFICATE KEY]: is such a server, by wss with these files; prints its port. A message "close CODE REASON"
// makes it close.
// With Debian's node-ws, which NODE_PATH has to lead to.
'use strict';
const fs = require('fs');
const { WebSocket, WebSocketServer } = require('ws');

const COUNT = 10000;
const LARGE = 4 << 20;

const once = (emitter, event) => new Promise((done, fail) => {
  emitter.once(event, (...what) => done(what));
  if (event !== 'error') emitter.once('error', fail);
});

async function talk(url) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, 'open');
  const told = {};

  let echoed = 0, pushed = 0;
  const all = new Promise((done) => socket.on('message', function each(data, binary) {
    const text = data.toString();
    if (text === `message ${echoed}`) echoed++;
    else if (text === `push ${pushed}`) pushed++;
    if (echoed === COUNT && pushed === COUNT) { socket.off('message', each); done(); }
  }));
  socket.send(`push ${COUNT}`);
  for (let i = 0; i < COUNT; i++) socket.send(`message ${i}`);
  await all;
  Object.assign(told, { echoed, pushed });

  socket.ping('are you there');
  told.pong = (await once(socket, 'pong'))[0].toString();

  const large = Buffer.alloc(LARGE, 'large');
  socket.send(large);
  told.large = large.equals((await once(socket, 'message'))[0]) ? LARGE : 0;

  socket.send('close 4321 enough');
  const [code, reason] = await once(socket, 'close');
  Object.assign(told, { code, reason: reason.toString() });

  const second = new WebSocket(url, { perMessageDeflate: true });
  await once(second, 'open');
  second.send('squeezed '.repeat(1000));
  told.squeezed = (await once(second, 'message'))[0].toString().length;
  second.close(1000, 'bye');
  told.own_code = (await once(second, 'close'))[0];
  console.log(JSON.stringify(told));
}

function serve(certificate, key) {
  const server = certificate
    ? require('https').createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
    : require('http').createServer();
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  new WebSocketServer({ server, perMessageDeflate: true }).on('connection', (socket) => socket.on('message', (data, binary) => {
    const text = binary ? '' : data.toString();
    const [word, code, ...reason] = text.split(' ');
    if (word === 'close') return socket.close(Number(code), reason.join(' '));
    if (word === 'push') for (let i = 0; i < Number(code); i++) socket.send(`push ${i}`);
    else socket.send(data, { binary });
  }));
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'serve') serve(...rest);
else talk(...rest).catch((error) => { console.error(error); process.exit(1); });
