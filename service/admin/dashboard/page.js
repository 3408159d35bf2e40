const past = new History();
const flow = new Chart('flow', [['allowed', 'allowed'], ['limited', 'limited'], ['denied, banned', 'denied'], ['other', 'other']], { stacked: true, format: rate, scale: n => rate(n).replace('.0', '') });
const latency = new Chart('latency', [['p50', 'allowed'], ['p90', 'quiet'], ['p99', 'limited']], { stacked: false, format: duration, scale: mark });
const sparks = new Map();
let last = null, seconds = 120;

const kGap = 3;  // seconds between two events from which on the time between was not seen

function show(now) {
  const passed = last ? now.uptime_seconds - last.uptime_seconds : 0;
  const seen = passed > 0 && passed < kGap;
  const per = pick => seen ? Math.max(pick(now) - pick(last), 0) / passed : 0;
  if (last && !seen) for (let missed = Math.min(Math.max(Math.round(passed), 1), History.seconds); missed > 0; missed--) past.push(null);
  if (seen) past.push(sample(now, per));
  state(now.ready ? 'good' : 'bad', now.ready ? 'ready' : 'not ready');
  say($('version'), now.version);
  say($('not-reloaded'), now.config.last_reload_ok === false ? 'The last reload failed, and nothing has changed: the log says why.' : '');
  say($('uptime'), 'up ' + age(now.uptime_seconds));
  document.title = rate(per(s => s.requests.total)) + '/s · Sluice';
  figures(now, per);
  limits(now, per);
  upstreams(now, per);
  details(now, per);
  last = now;
  draw();
}

function sample(now, per) {
  const r = pick => per(s => s.requests[pick]), window = now.window && now.window.latency_seconds.forwarded;
  const shares = Object.fromEntries(now.limits.map(({ name }) => [name, [limitRate(per, name, 'allowed'), refusedRate(per, name)]]));
  return { flow: [r('allowed'), r('limited'), r('denied') + r('banned'), r('undecided')],
    latency: window && window.p99 > 0 ? [window.p50, window.p90, window.p99] : null, limits: shares };
}
// Limits come and go with a reload; one that was not there a second ago began with nothing.
const limitRate = (per, name, field) => per(s => (s.limits.find(limit => limit.name === name) || {})[field] || 0);
const refusedRate = (per, name) => ['limited', 'shadow_limited', 'banned'].reduce((sum, field) => sum + limitRate(per, name, field), 0);

function draw() {
  flow.draw(past.last(seconds, s => s.flow, mean), seconds);
  latency.draw(past.last(seconds, s => s.latency, worst), seconds);
  for (const [name, spark] of sparks) {
    const seen = past.last(seconds, s => s.limits[name], mean);
    spark.draw(seen, spark.top(seen));
  }
}

function figures(now, per) {
  const r = now.requests, recent = now.window ? now.window.latency_seconds.forwarded : { p50: 0, p99: 0 };
  const total = per(s => s.requests.total), limited = per(s => s.requests.limited);
  const failed = s => Object.entries(s.requests.by_status).reduce((sum, [code, n]) => sum + (code >= 500 ? n : 0), 0);
  const share = total ? 100 * limited / total : 0;
  figure('requests', [rate(total), '/s'], count(r.total) + ' since the start');
  figure('limited', [share.toFixed(share > 0 && share < 10 ? 1 : 0), '%'], rate(limited) + '/s, ' + count(r.limited) + ' in all');
  figure('errors', [rate(per(failed)), '/s'], count(failed(now)) + ' in all');
  figure('median', recent.p50 ? time(recent.p50) : ['–', ''], recent.p99 ? 'median; p99 ' + duration(recent.p99) : 'none in the last second');
  figure('flight', [count(r.in_flight), ''], count(now.connections.open) + ' connections');
  figure('tracked', [count(now.clients.tracked), ''], 'room for ' + count(now.clients.max));
  chips('codes', [...Object.entries(r.by_status).map(([code, n]) => [code, count(n)]), r.total ? 'since the start' : 'none yet']);
  const all = now.latency_seconds.forwarded;
  chips('quantiles', [...[['p50', all.p50], ['p90', all.p90], ['p99', all.p99], ['p99.9', all.p999]].map(([name, s]) => [name, s ? duration(s) : '–']), 'since the start']);
}

const rule = limit => (limit.rate ? limit.rate + (limit.burst ? ', burst ' + count(limit.burst) : '') : count(limit.max) + ' at a time');

function limits(now, per) {
  for (const { name } of now.limits) if (!sparks.has(name)) {
    sparks.set(name, new Drawing(['allowed', 'limited'], true));
    sparks.get(name).node.classList.add('spark');
  }
  const delayed = now.limits.some(limit => limit.delayed);  // who delays nothing has no column for it
  table('limits', [['limit', 'l strong'], ['keeps', 'l soft wide'], ['', 'l'], ['allowed/s', ''], ['refused/s', ''], ['allowed', 'wide'], ['refused', ''], ...(delayed ? [['delayed', 'wide']] : []), ['clients', '']], now.limits.map(limit => [
    { text: limit.name, tag: limit.mode === 'shadow' ? 'shadow' : '', title: rule(limit) },
    rule(limit) + ' · ' + limit.algorithm.replace('_', ' '),
    { node: sparks.get(limit.name).node },
    speed(limitRate(per, limit.name, 'allowed')), speed(refusedRate(per, limit.name)),
    number(limit.allowed), number(limit.limited + limit.shadow_limited + limit.banned), ...(delayed ? [number(limit.delayed)] : []), number(limit.clients)]),
  'No limits: every request is let through.');
}

function upstreams(now, per) {
  const requests = (s, name, at, address) => {
    const { servers } = s.upstreams.find(upstream => upstream.name === name) || { servers: [] };
    return servers[at] && servers[at].address === address ? servers[at].requests : 0;
  };
  table('upstreams', [['server', 'l key'], ['upstream', 'l soft wide'], ['requests/s', ''], ['failures', ''], ['in flight', ''], ['weight', 'wide'], ['open, idle', 'wide']], now.upstreams.flatMap(upstream =>
    upstream.servers.map((s, j) => [
      { text: s.address, dot: s.healthy ? 'good' : 'bad', tag: s.healthy ? (s.backup ? 'backup' : '') : s.ejected_until ? 'ejected' : 'down', hot: !s.healthy, title: s.ejected_until ? `${s.address}, ejected until ${s.ejected_until}` : s.address },
      upstream.name, speed(per(stats => requests(stats, upstream.name, j, s.address))), number(s.failures), number(s.in_flight), number(s.weight),
      `${count(s.connections_open)}, ${count(s.connections_idle)}`])), 'No upstreams: every route responds itself.');
  const failures = Object.entries(now.upstream_failures).map(([kind, n]) => [kind.replace('_', ' '), count(n)]);
  if (now.upstream_retries) failures.push(['tried again', count(now.upstream_retries)]);
  chips('failures', failures.length ? ['failures', ...failures] : []);
}

function details(now, per) {
  const c = now.clients, j = now.janitor, r = now.runtime, p = now.process, n = now.connections;
  pairs('connections', [['Open', count(n.open)], ['Accepted', count(n.accepted)], ['New', rate(per(s => s.connections.accepted)) + '/s'], ['Turned away', count(n.refused)],
    ['Clients that left early', count(now.requests.client_aborted)], ['Bodies in', size(per(s => s.requests.bytes_in)) + '/s'], ['Bodies out', size(per(s => s.requests.bytes_out)) + '/s']]);
  pairs('table', [['Memory', size(c.bytes)], ['Forgotten, idle', count(c.evicted_idle)], ['Gone to make room', count(c.evicted_full)], ['On shared buckets', count(c.turned_away)],
    ['Janitor comes in', age(Math.max(j.next_in_seconds, 0))], ['Its last sweep of ' + count(j.sweeps), duration(j.last_sweep_seconds)], ['Its longest pause', duration(j.longest_pause_seconds)]]);
  pairs('runtime', [['Workers', count(r.workers)], ['Tasks', count(r.tasks.live)], ['At most', count(r.tasks.peak)], ['Started', rate(per(s => s.runtime.tasks.spawned)) + '/s'],
    ['Switches', rate(per(s => s.runtime.switches)) + '/s'], ['Steals', rate(per(s => s.runtime.steals)) + '/s'], ['Stacks, reserved', size(r.stack_bytes)]]);
  pairs('process', [['CPU', (100 * per(s => s.process.cpu_seconds)).toFixed(0) + ' %'], ['Memory', size(p.resident_bytes)], ['Threads', count(p.threads)],
    ['Descriptors', count(p.open_fds)], ['At most', count(p.max_fds)], ['Access log', count(now.access_log.lines) + ' lines'], ['Log lines dropped', count(now.access_log.dropped)]]);
}

const kClients = 10;
let order = 'denied';
async function clients() {
  if (!last) return;
  try {
    const answer = await ask(`stats/clients?top=${kClients}&order=${order}`);
    if (!answer.ok) return;
    const { clients: list, total } = await answer.json();
    table('clients', [['client', 'l key'], ['limit', 'l soft'], ['allowed', ''], ['refused', ''], ['remaining', 'wide'], ['last seen', 'soft wide']], list.map(client => [
      { text: client.key, title: client.key, tag: client.banned_until ? 'banned' : '', hot: true }, client.limit, number(client.allowed), number(client.denied),
      number(Math.floor(client.remaining)), client.last_seen_seconds < 1.5 ? 'now' : age(client.last_seen_seconds) + ' ago']),
    'No client has come yet.', total > list.length ? 'and ' + count(total - list.length) + ' more' : '');
  } catch { /* the state says so */ }
}

const kBans = 20, doors = new Map();  // the button of each row that is shown: a key may be shut out of several limits
const doorOf = ban => JSON.stringify([ban.key, ban.limit]);
function letIn(ban) {
  if (!doors.has(doorOf(ban))) {
    const button = el('button', { 'aria-label': 'Let in ' + ban.key }, 'let in');
    button.addEventListener('click', async () => {
      button.disabled = true;
      say($('not-let-in'), await whyNotLetIn(ban.key));
      button.disabled = false;
      bans();
    });
    doors.set(doorOf(ban), button);
  }
  return doors.get(doorOf(ban));
}
async function whyNotLetIn(key) {
  try {
    const answer = await ask('bans/' + encodeURIComponent(key), undefined, 'DELETE');
    if (answer.ok || answer.status === 401) return '';  // for 401 the token is asked for
    const { detail } = await answer.json().catch(() => ({}));
    return `${key} was not let in: ${detail || 'status ' + answer.status}`;
  } catch { return `${key} was not let in: no answer`; }
}
async function bans() {
  if (!last) return;
  try {
    const answer = await ask(`bans?top=${kBans}`);
    if (!answer.ok) return;
    const { bans: list, total } = await answer.json();
    for (const door of doors.keys()) if (!list.some(ban => doorOf(ban) === door)) doors.delete(door);
    table('bans', [['key', 'l key'], ['from', 'l soft'], ['by', 'l soft wide'], ['since', 'soft wide'], ['left', ''], ['', '']], list.map(ban => [
      { text: ban.key, title: ban.key, hot: true }, ban.limit ? 'what ' + ban.limit + ' limits' : 'everything', ban.by === 'operator' ? 'an operator' : 'its refusals',
      age(ban.since_seconds), { text: age(ban.left_seconds), title: 'until ' + ban.banned_until }, { node: letIn(ban) }]),
    'Nobody is shut out.', total > list.length ? 'and ' + count(total - list.length) + ' more' : '');
    const b = last.bans;
    chips('ban-counts', b.made + b.no_room ? [['made', count(b.made)], ['lifted', count(b.lifted)], ['over', count(b.expired)], ...(b.no_room ? [['found no room', count(b.no_room)]] : []), 'since the start'] : []);
  } catch { /* the state says so */ }
}

function state(kind, text) {
  $('state').className = 'pill ' + kind;
  say($('state'), text);
  $('page').classList.toggle('stale', kind === 'lost');
}

// Asks for the token; the promise is kept when there is one.
function door(refused) {
  sessionStorage.removeItem(kToken);
  $('page').hidden = $('span').hidden = $('leave').hidden = true;
  $('door').hidden = false;
  state('', 'locked');
  say($('refused'), refused ? 'This token was not accepted.' : '');
  $('token').focus();
  return new Promise(resolve => {
    $('door').onsubmit = event => {
      event.preventDefault();
      sessionStorage.setItem(kToken, $('token').value.trim());
      $('door').reset();
      $('door').hidden = true;
      $('page').hidden = $('span').hidden = false;
      resolve();
    };
  });
}

// A group of buttons of which one is pressed.
function choice(id, chosen) {
  $(id).addEventListener('click', event => {
    if (!event.target.dataset.value) return;
    for (const button of $(id).children) button.setAttribute('aria-pressed', button === event.target);
    chosen(event.target.dataset.value);
  });
}
choice('span', value => { seconds = Number(value); draw(); });
choice('order', value => { order = value; clients(); });
$('leave').addEventListener('click', () => { sessionStorage.removeItem(kToken); location.reload(); });

const system = window.matchMedia('(prefers-color-scheme: dark)');
const theme = () => { document.documentElement.dataset.theme = localStorage.getItem('sluice-theme') || (system.matches ? 'dark' : 'light'); };
$('theme').addEventListener('click', () => {
  const other = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  // As the system has it needs no remembering, and follows the system again.
  if (other === (system.matches ? 'dark' : 'light')) localStorage.removeItem('sluice-theme'); else localStorage.setItem('sluice-theme', other);
  theme();
});
system.addEventListener('change', theme);

theme();
draw();
follow({ show: stats => { const begins = !last; show(stats); $('leave').hidden = !sessionStorage.getItem(kToken); if (begins) clients(), bans(); },
  lost: () => state('lost', 'connection lost'), door });
setInterval(() => { if (!document.hidden && !$('page').hidden) clients(), bans(); }, 3000);
