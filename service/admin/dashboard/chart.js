// What was seen, a sample a second: a flow of requests by outcome, latencies, and each limit's allowed and refused. A
// second that was not seen is null.
class History {
  static seconds = 3600;
  static buckets = 180;
  samples = [];
  first = 0;  // how many have been forgotten

  push(sample) {
    this.samples.push(sample);
    if (this.samples.length > History.seconds) { this.samples.shift(); this.first++; }
  }

  // The last `seconds`, in buckets of equal length that do not change when time goes on: {each, list}, the newest last.
  // `join` makes one value of the samples of a bucket.
  last(seconds, pick, join) {
    const each = Math.max(1, Math.ceil(seconds / History.buckets)), slots = Math.floor(seconds / each);
    const end = this.first + this.samples.length, list = [];
    for (let bucket = Math.floor((end - 1) / each); list.length < slots && (bucket + 1) * each > this.first && end > 0; bucket--) {
      const from = Math.max(bucket * each - this.first, 0), seen = [];
      for (const sample of this.samples.slice(from, (bucket + 1) * each - this.first)) {
        const value = sample && pick(sample);
        if (value) seen.push(value);
      }
      list.unshift(seen.length ? join(seen) : null);
    }
    return { each, slots, list };
  }
}
const mean = rows => rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
const worst = rows => rows[0].map((_, i) => Math.max(...rows.map(row => row[i])));

const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const colored = (node, color) => { node.style.setProperty('--of', `var(--${color})`); return node; };

const kWidth = 1000, kHeight = 100;  // of the drawing, which is stretched to its place

// Lines, or areas on top of each other, of one History.last(); a null interrupts them.
class Drawing {
  constructor(colors, stacked) {
    this.stacked = stacked;
    this.paths = colors.map(color => ['area', 'line'].map(kind => colored(svg('path', { class: kind }), color)));
    this.node = svg('svg', { viewBox: `0 0 ${kWidth} ${kHeight}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    this.node.append(...[...this.paths].reverse().flat());
  }
  x(i) { return kWidth * (i + this.slots - this.list.length) / (this.slots - 1); }
  top({ list }) {
    return Math.max(0, ...list.map(row => !row ? 0 : this.stacked ? row.reduce((a, b) => a + b) : Math.max(...row)));
  }
  draw({ list, slots }, top) {
    Object.assign(this, { list, slots });
    const y = value => (kHeight - (top ? value / top : 0) * kHeight).toFixed(2);
    const base = list.map(() => 0);
    this.paths.forEach(([area, line], s) => {
      let lines = '', areas = '', i = 0;
      const shown = !this.stacked || list.some(row => row && row[s] > 0);
      while (shown && i < list.length) {
        if (!list[i]) { i++; continue; }
        const upper = [], lower = [];
        for (; i < list.length && list[i]; i++) {
          const value = list[i][s] + (this.stacked ? base[i] : 0);
          upper.push(`${this.x(i).toFixed(1)} ${y(value)}`);
          lower.unshift(`${this.x(i).toFixed(1)} ${y(this.stacked ? base[i] : 0)}`);
          if (this.stacked) base[i] = value;
        }
        lines += 'M' + upper.join('L');
        if (this.stacked) areas += 'M' + [...upper, ...lower].join('L') + 'Z';
      }
      line.setAttribute('d', lines);
      area.setAttribute('d', areas);
    });
  }
}

// A drawing with a scale, a legend that tells the newest values, and what was at the pointer; arrow keys move it too.
class Chart {
  constructor(id, series, { stacked, format, scale = format }) {
    Object.assign(this, { series, format, scale, at: null, drawing: new Drawing(series.map(([, color]) => color), stacked) });
    this.box = $(id);
    this.cursor = svg('line', { class: 'cursor', y1: 0, y2: kHeight, visibility: 'hidden' });
    for (const part of [0, .5, 1]) this.drawing.node.prepend(svg('line', { class: 'rule', x1: 0, x2: kWidth, y1: kHeight * part, y2: kHeight * part }));
    this.drawing.node.append(this.cursor);
    this.marks = [1, .5, 0].map(() => el('span', { class: 'label y' }));
    this.then = el('span', { class: 'label then' });
    this.tip = el('div', { class: 'tip', hidden: 'hidden' });
    this.box.append(this.drawing.node, ...this.marks, this.then, el('span', { class: 'label now' }, 'now'), this.tip);
    this.values = series.map(() => el('b', {}, '–'));
    $(id + '-legend').append(...series.map(([name, color], i) => el('li', {}, colored(el('span', { class: 'swatch' }), color), name + ' ', this.values[i])));
    Object.assign(this.box, { tabIndex: 0, onpointermove: event => this.point(event), onpointerleave: () => this.look(null),
      onblur: () => this.look(null), onkeydown: event => this.step(event) });
    this.box.setAttribute('role', 'group');
    this.box.setAttribute('aria-label', $(id + '-title').textContent + ': arrow keys read it out');
  }

  // 1, 2, 4, 5 or 8 of a power of ten: half of it is a good number too.
  static scale(top) {
    const power = 10 ** Math.floor(Math.log10(top));
    return [1, 2, 4, 5, 8, 10].map(step => step * power).find(step => step >= top * 1.04) || 20 * power;
  }

  draw(seen, seconds) {
    const top = Chart.scale(this.drawing.top(seen) || (this.series.length > 3 ? 8 : .008));
    this.seen = seen;
    this.drawing.draw(seen, top);
    this.marks.forEach((mark, i) => {
      say(mark, this.scale(top * (1 - i / 2)));
      mark.style.top = `calc(8px + (100% - 28px) * ${i / 2})`;
    });
    say(this.then, age(seconds) + ' ago');
    const newest = seen.list.at(-1);
    this.tip.setAttribute('aria-live', 'off');
    this.values.forEach((value, s) => say(value, newest ? this.format(newest[s]) : '–'));
    this.look(this.at);
  }

  point(event) {
    const box = this.drawing.node.getBoundingClientRect();
    this.look(Math.round((1 - (event.clientX - box.left) / box.width) * (this.seen.slots - 1)));
  }
  step(event) {
    const by = { ArrowLeft: 1, ArrowRight: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === 'Escape') this.look(null);
    if (!by) return;
    event.preventDefault();
    this.tip.setAttribute('aria-live', 'polite');  // for this once: it changes every second
    this.look(Math.min(Math.max((this.at ?? -1) + by, 0), this.seen.list.length - 1));
  }

  // `at`: buckets back from the newest.
  look(at) {
    const i = at === null ? -1 : this.seen.list.length - 1 - at, row = this.seen && this.seen.list[i];
    this.at = row ? at : null;
    this.tip.hidden = !row;
    this.cursor.setAttribute('visibility', row ? 'visible' : 'hidden');
    if (!row) return;
    const x = this.drawing.x(i);
    this.cursor.setAttribute('x1', x); this.cursor.setAttribute('x2', x);
    this.tip.replaceChildren(el('div', { class: 'soft' }, at ? age(at * this.seen.each) + ' ago' : 'now'), ...this.series.map(([name, color], s) =>
      el('div', {}, el('span', {}, colored(el('span', { class: 'swatch' }), color), name), el('b', {}, this.format(row[s])))));
    this.tip.style.left = x < kWidth / 2 ? `calc(48px + (100% - 48px) * ${x / kWidth} + 10px)` : 'auto';
    this.tip.style.right = x < kWidth / 2 ? 'auto' : `calc((100% - 48px) * ${1 - x / kWidth} + 10px)`;
  }
}
