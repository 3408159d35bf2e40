'use strict';

const $ = id => document.getElementById(id);

// Text only, ever: names and keys hold whatever a file or a client put there.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value) node.setAttribute(name, value);
  node.append(...children.filter(child => child !== null));
  return node;
}

// Writes only what has changed, so that a text that a reader has marked stays marked.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const whole = new Intl.NumberFormat('en'), compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const count = n => n >= 1e6 ? compact.format(n) : whole.format(Math.round(n));
const rate = n => n > 0 && n < 9.95 ? n.toFixed(1) : count(n);

// [number, unit]
function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; n >= 1024 && unit < 4; unit++) n /= 1024;
  return [n.toFixed(unit && n < 100 ? 1 : 0), units[unit]];
}
function time(s) {
  if (s < 1e-6) return ['0', 's'];
  if (s < 1e-3) return [(s * 1e6).toFixed(s < 1e-5 ? 1 : 0), 'µs'];
  if (s < 1) return [(s * 1e3).toFixed(s < .1 ? 1 : 0), 'ms'];
  return [s.toFixed(s < 10 ? 1 : 0), 's'];
}
// On a scale: 10 ms, not 10.0 ms.
const mark = s => s ? time(s)[0].replace(/\.0$/, '') + ' ' + time(s)[1] : '0';
const size = n => bytes(n).join(' '), duration = s => time(s).join(' ');
function age(s) {
  if (s < 120) return Math.floor(s) + ' s';
  if (s < 7200) return Math.floor(s / 60) + ' min';
  if (s < 172800) return Math.floor(s / 3600) + ' h ' + Math.floor(s / 60 % 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s / 3600 % 24) + ' h';
}

// A large figure with what it means below.
function figure(id, [number, unit], note) {
  const node = $(id);
  if (node.dataset.shown !== number + unit) {
    node.replaceChildren(number, unit ? el('small', {}, unit) : '');
    node.dataset.shown = number + unit;
  }
  say(node.nextElementSibling, note);
}

// [name, text] …
function pairs(id, list) {
  const node = $(id);
  if (node.children.length !== 2 * list.length) node.replaceChildren(...list.flatMap(() => [el('dt'), el('dd')]));
  list.flat().forEach((text, i) => say(node.children[i], text));
}

// [bold, text] …, or only a text
function chips(id, list) {
  const node = $(id), shown = JSON.stringify(list);
  if (node.dataset.shown === shown) return;
  node.dataset.shown = shown;
  node.replaceChildren(...list.map(chip => typeof chip === 'string' ? el('span', { class: 'bare' }, chip) : el('span', {}, el('b', {}, chip[0]), chip[1])));
}

// A table whose rows are kept and rewritten in place. A cell is a text or {text, class, title, dot, tag, hot, node};
// `node` is put in once and stays with the row.
function table(id, heads, rows, empty, foot) {
  const node = $(id);
  if (node.tHead && node.tHead.rows[0].cells.length !== heads.length) node.replaceChildren();
  if (!node.tHead) {
    node.append(el('thead', {}, el('tr', {}, ...heads.map(([text, style]) => el('th', { class: style.replace(/soft|strong|key/g, ''), scope: 'col' }, text)))), el('tbody'), el('tfoot'));
  }
  const body = node.tBodies[0];
  if (!rows.length) {
    body.replaceChildren(el('tr', {}, el('td', { class: 'empty', colspan: heads.length }, empty)));
  } else {
    if (body.querySelector('.empty')) body.replaceChildren();
    while (body.rows.length > rows.length) body.lastElementChild.remove();
    while (body.rows.length < rows.length) body.append(el('tr', {}, ...heads.map(() => el('td'))));
    rows.forEach((row, i) => row.forEach((cell, j) => fill(body.rows[i].cells[j], cell, heads[j][1])));
  }
  node.tFoot.replaceChildren(...(foot ? [el('tr', {}, el('td', { class: 'l', colspan: heads.length }, foot))] : []));
}
function fill(td, cell, style) {
  if (typeof cell === 'string') cell = { text: cell };
  const kind = [style, cell.class].filter(Boolean).join(' ');
  if (td.className !== kind) td.className = kind;
  if (cell.node) return td.firstChild === cell.node || td.replaceChildren(cell.node);
  if ((td.title || '') !== (cell.title || '')) td.title = cell.title || '';
  const parts = [cell.dot, cell.text, cell.tag, cell.hot].join('\n');
  if (td.dataset.shown === parts) return;
  td.dataset.shown = parts;
  const text = el('span', {}, cell.text), tag = el('span', { class: cell.hot ? 'tag hot' : 'tag' }, cell.tag || '');
  td.replaceChildren(cell.dot || cell.tag ? el('div', {}, cell.dot ? el('span', { class: 'dot ' + cell.dot }) : null, text, cell.tag ? tag : null) : cell.text);
}
const number = n => ({ text: count(n), class: n ? '' : 'zero' });
const speed = n => ({ text: rate(n), class: n ? '' : 'zero' });
