// The service's word, once a second, for as long as the page is open. Read with fetch, for an EventSource cannot send the
// token.
const kToken = 'sluice-token', kLocked = 'locked';
let listening = new AbortController();  // ends the stream that is read now

// When another token is in force than ours, any call may be the first to be told so. It ends the stream, too: the next
// one asks for the token.
async function ask(path, signal, method = 'GET') {
  const token = sessionStorage.getItem(kToken);
  const answer = await fetch(path, { method, signal, cache: 'no-store', credentials: 'omit', headers: token ? { Authorization: 'Bearer ' + token } : {} });
  if (answer.status === 401 && token === sessionStorage.getItem(kToken)) listening.abort(kLocked);
  return answer;
}

// The data of each server-sent event of an answer.
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const data = text.slice(0, end).split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6));
      if (data.length) yield JSON.parse(data.join('\n'));
    }
  }
}

const kSilence = 5000;  // longer, and the connection is taken for dead
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

// Calls show(stats) for each; lost() when the connection is; door(refused) when a token is needed, which waits for one.
async function follow({ show, lost, door }) {
  for (let wait = 500;; wait = Math.min(wait * 2, 5000)) {
    const given = sessionStorage.getItem(kToken), ending = listening = new AbortController();
    let silence = setTimeout(() => ending.abort(), kSilence);
    try {
      const answer = await ask('events', ending.signal);
      if (answer.status === 401) { await door(given !== null); wait = 250; continue; }
      if (answer.ok) for await (const stats of events(answer)) {
        clearTimeout(silence);
        silence = setTimeout(() => ending.abort(), kSilence);
        wait = 500;
        show(stats);
      }
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof ReferenceError) console.error(error);
    } finally { clearTimeout(silence); }
    if (ending.signal.reason === kLocked) { wait = 250; continue; }
    lost();
    await pause(wait);
  }
}
