// fetch.mjs URL NAME FILE: gets URL/NAME, puts FILE once as a buffer (Content-Length) and once as a stream (chunked);
// prints what came as JSON.
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';

const [url, name, file] = process.argv.slice(2);

async function download() {
  const response = await fetch(`${url}/${name}`);
  const hash = createHash('sha256');
  for await (const piece of response.body) hash.update(piece);
  return { status: response.status, digest: hash.digest('hex') };
}

async function upload(kind, body) {
  const response = await fetch(`${url}/up/fetch-${kind}-${name}`, { method: 'PUT', body, duplex: 'half' });
  await response.arrayBuffer();
  return { ok: response.ok };
}

console.log(JSON.stringify({
  get: await download(),
  buffer: await upload('buffer', readFileSync(file)),
  stream: await upload('stream', Readable.toWeb(createReadStream(file))),
}));
