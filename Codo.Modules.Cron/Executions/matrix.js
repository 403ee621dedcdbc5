// Jobs against time on one canvas: 500 jobs by the minute are 720,000 cells, of which the rows in sight are drawn. A table says the same to a screen reader.
import { request } from './api.js';
import { refresh } from './app.js';
import { h, inZone, t } from './words.js';

const ROW = 20, HEAD = 24, MostRows = 24;
// The worst last: of the cells behind one pixel it is what is seen.
const WORST = '.sqrkmixtf';
const WORDS = {
  '.': t('没有到期', 'nothing was due'), s: t('成功', 'succeeded'), q: t('排队', 'queued'), r: t('运行中', 'runs'), k: t('跳过', 'skipped'),
  m: t('错过', 'missed'), i: t('中断', 'interrupted'), x: t('被终止', 'killed'), t: t('超时', 'timed out'), f: t('失败', 'failed'),
};
const LETTERS = { success: 's', queued: 'q', running: 'r', skipped: 'k', missed: 'm', interrupted: 'i', killed: 'x', timeout: 't', faild: 'f' };
const HINT = t('点击一格看原因', 'A click on a cell says why');
const CLEAN = t('本页任务没有出错或未执行的', 'Of the jobs of this page nothing went wrong, and all that was due ran');
// What went wrong, or did not run.
const isBad = (letter) => WORST.indexOf(letter) > 3;
const TONES = { s: '--ok', q: '--idle', r: '--run', k: '--line-strong', m: '--warn', i: '--bad', x: '--bad', t: '--bad', f: '--bad' };

class Matrix {
  constructor(place) {
    this.place = place;
    this.row = 0;
    this.slot = -1;
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.space = h('div', { class: 'grid-space' });
    this.scroller = h('div', {
      class: 'grid-scroll', tabindex: '0', role: 'application',
      'aria-label': t('任务与时间：方向键移动，回车看原因', 'Jobs against time: arrows move, Enter says why'),
      onscroll: () => this.draw(), onkeydown: (event) => this.key(event),
      onclick: (event) => this.point(event, true), onmousemove: (event) => this.point(event, false),
    }, this.space, this.canvas);
    this.told = h('div', { class: 'muted', role: 'status', 'aria-live': 'polite' }, HINT);
    this.table = h('div', { class: 'grid-table', hidden: true, tabindex: '0', role: 'region', 'aria-label': t('任务与时间', 'Jobs against time') });
    const button = h('button', { type: 'button', class: 'button small', 'aria-pressed': 'false', onclick: () => this.toggle(button) }, t('表格', 'Table'));
    const bar = h('div', { class: 'grid-bar' }, this.told, h('span', { class: 'grow' }), button);
    // A fresh rendering brings new attributes, and no children.
    for (const part of [bar, this.scroller, this.table]) part.setAttribute('data-keep', '');
    place.replaceChildren(bar, this.scroller, this.table);
    this.read();
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    new MutationObserver(() => this.read()).observe(place, {
      attributes: true, attributeFilter: ['data-matrix', 'data-only', 'data-from', 'data-ticks', 'data-step'],
    });
    document.addEventListener('codo:theme', () => this.draw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  read() {
    const { matrix, from, step, ticks, only } = this.place.dataset;
    const whole = (text) => text.replace(/(.)(\d+)/g, (_, letter, count) => letter.repeat(Number(count)));
    this.rows = JSON.parse(matrix)
      .map(([name, short]) => [name, whole(short)])
      .map(([name, cells]) => ({ name, cells: only ? cells.replace(/[sqr]/g, '.') : cells }))
      .filter((row) => !only || [...row.cells].some(isBad));
    // The cell that is chosen stays at its time, which moves to the left as time passes.
    if (this.slot >= 0) this.slot = Number(step) === this.step ? Math.max(-1, this.slot - Math.round((Date.parse(from) - this.from) / 1000 / this.step)) : -1;
    this.from = Date.parse(from);
    this.step = Number(step);
    this.ticks = JSON.parse(ticks);
    // Only a filter that the page itself applies leaves no row.
    const isEmpty = !this.rows.length;
    if (isEmpty !== (this.told.textContent === CLEAN)) this.told.textContent = isEmpty ? CLEAN : HINT;
    this.space.style.height = `${HEAD + this.rows.length * ROW}px`;
    this.scroller.style.height = `${HEAD + Math.min(MostRows, Math.max(3, this.rows.length)) * ROW + 2}px`;
    if (!this.table.hidden) this.fillTable();
    this.draw();
  }

  get name() { return Math.min(220, Math.max(96, this.scroller.clientWidth * 0.2)); }
  get slots() { return this.rows[0]?.cells.length ?? 1; }

  draw() {
    const wide = this.scroller.clientWidth, high = this.scroller.clientHeight, ratio = devicePixelRatio || 1;
    if (!wide || !high) return;
    Object.assign(this.canvas.style, { width: `${wide}px`, height: `${high}px` });
    this.canvas.width = wide * ratio;
    this.canvas.height = high * ratio;
    const pen = this.canvas.getContext('2d'), style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
    pen.scale(ratio, ratio);
    pen.fillStyle = colour('--surface');
    pen.fillRect(0, 0, wide, high);
    pen.font = `12px ${colour('--sans')}`;
    pen.textBaseline = 'middle';
    const left = this.name, span = wide - left - 8;
    const first = Math.floor(this.scroller.scrollTop / ROW), last = Math.min(this.rows.length, first + Math.ceil(high / ROW) + 1);
    let free = 0;
    for (const [slot, word] of this.ticks) {
      const x = left + (slot / this.slots) * span;
      pen.fillStyle = colour('--line');
      pen.fillRect(x, HEAD - 4, 1, high);
      pen.fillStyle = colour('--muted');
      if (x < free || x + 40 > wide) continue;
      pen.fillText(word, x + 3, HEAD / 2);
      free = x + 44;
    }
    for (let at = first; at < last; at++) {
      const y = HEAD + at * ROW - this.scroller.scrollTop, { name, cells } = this.rows[at];
      if (y < HEAD - ROW) continue;
      if (at === this.row && this.slot >= 0) { pen.fillStyle = colour('--selected'); pen.fillRect(0, y, wide, ROW); }
      pen.fillStyle = colour('--text');
      pen.save(); pen.beginPath(); pen.rect(8, y, left - 16, ROW); pen.clip(); pen.fillText(name, 8, y + ROW / 2); pen.restore();
      this.line(pen, cells, left, span, y, colour);
    }
    pen.fillStyle = colour('--surface');
    pen.fillRect(0, 0, left, HEAD);
    if (this.slot >= 0 && this.row >= first && this.row < last) {
      pen.strokeStyle = colour('--accent');
      pen.lineWidth = 2;
      pen.strokeRect(
        left + (this.slot / this.slots) * span - 2, HEAD + this.row * ROW - this.scroller.scrollTop + 1,
        Math.max(3, span / this.slots) + 3, ROW - 2);
    }
  }

  // One rectangle for each run of pixels that show the same.
  line(pen, cells, left, span, y, colour) {
    const pixels = new Uint8Array(Math.ceil(span));
    const each = span / cells.length;
    for (let at = 0; at < cells.length; at++) {
      const worst = WORST.indexOf(cells[at]);
      if (worst <= 0) continue;
      const begin = Math.floor(at * each), end = Math.max(begin + 2, Math.floor((at + 1) * each));
      for (let x = begin; x < end && x < pixels.length; x++) if (pixels[x] < worst) pixels[x] = worst;
    }
    for (let x = 0; x < pixels.length;) {
      let end = x + 1;
      while (end < pixels.length && pixels[end] === pixels[x]) end++;
      if (pixels[x]) {
        // What did not run is half as high: colour is not the only sign.
        const half = WORST[pixels[x]] === 'k' || WORST[pixels[x]] === 'm';
        pen.fillStyle = colour(TONES[WORST[pixels[x]]]);
        pen.fillRect(left + x, y + (half ? ROW / 2 : 3), end - x, half ? ROW / 2 - 3 : ROW - 6);
        // And what went wrong has a notch.
        if (TONES[WORST[pixels[x]]] === '--bad') { pen.fillStyle = colour('--surface'); pen.fillRect(left + x, y + ROW - 8, end - x, 2); }
      }
      x = end;
    }
  }

  timeOf(slot) { return new Date(this.from + slot * this.step * 1000); }

  words() {
    const row = this.rows[this.row];
    return `${row.name} · ${inZone(this.timeOf(this.slot).getTime()).slice(0, 16)} · ${WORDS[row.cells[this.slot]]}`;
  }

  point(event, isClick) {
    const box = this.scroller.getBoundingClientRect(), x = event.clientX - box.left - this.name, y = event.clientY - box.top + this.scroller.scrollTop - HEAD;
    const row = Math.floor(y / ROW), span = this.scroller.clientWidth - this.name - 8;
    if (x < 0 || x >= span || event.clientY - box.top < HEAD || !this.rows[row]) return;
    // The nearest cell in which anything was due, within a few pixels.
    const wanted = (x / span) * this.slots, reach = Math.ceil((4 / span) * this.slots), { cells } = this.rows[row];
    let slot = Math.min(this.slots - 1, Math.floor(wanted));
    for (let away = 0; away <= reach; away++) {
      const near = [slot - away, slot + away].find((one) => cells[one] && cells[one] !== '.');
      if (near !== undefined) { slot = near; break; }
    }
    [this.row, this.slot] = [row, slot];
    this.told.textContent = this.words();
    this.draw();
    if (isClick) this.why();
  }

  key(event) {
    const keys = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === 'Enter' && this.slot >= 0) { event.preventDefault(); this.why(); return; }
    if (!keys || !this.rows.length) return;
    event.preventDefault();
    if (this.slot < 0) this.slot = this.slots - 1;
    this.row = Math.max(0, Math.min(this.rows.length - 1, this.row + keys[0]));
    // Sideways to the next cell in which anything was due.
    if (keys[1]) {
      for (let at = this.slot + keys[1]; at >= 0 && at < this.slots; at += keys[1]) {
        if (this.rows[this.row].cells[at] !== '.') { this.slot = at; break; }
      }
    }
    const top = this.row * ROW, space = this.scroller.clientHeight - HEAD - ROW;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top > this.scroller.scrollTop + space) this.scroller.scrollTop = top - space;
    this.told.textContent = this.words();
    this.draw();
  }

  async why() {
    const row = this.rows[this.row];
    if (!row) return;
    const { name } = row, panel = document.getElementById('cell'), words = this.words(), letter = row.cells[this.slot];
    const mine = this.asked = (this.asked ?? 0) + 1;
    const [from, to] = [this.timeOf(this.slot), this.timeOf(this.slot + 1)].map((at) => at.toISOString().slice(0, 19) + 'Z');
    const until = new Date(Date.parse(to) - 1000).toISOString().slice(0, 19) + 'Z';
    const ask = (more) => request('GET', `/v1/cron/log/?job_id=${encodeURIComponent(name)}&start_date=${from}&end_date=${until}&limit=20${more}`);
    // The cell has the colour of the worst in it, which may be one among hundreds that succeeded.
    const worst = isBad(letter) ? Object.keys(LETTERS).find((word) => LETTERS[word] === letter) : null;
    const found = worst ? await ask(`&status=${worst}`) : null;
    // A stretch of skips or misses is one row, which stands where it ends: here, or in a later cell.
    const endsLater = found?.code === 0 && !found.data?.length;
    const answer = found && !endsLater ? found : await ask('');
    const rows = answer.data ?? [];
    const told = answer.code === 0 && (endsLater || !rows.length) && letter !== '.'
      ? await request('GET', `/v1/cron/log/why/?job_id=${encodeURIComponent(name)}&time=${until}`) : null;
    if (mine !== this.asked) return;
    panel.hidden = false;
    panel.replaceChildren(h('h2', {}, words), answer.code !== 0 ? h('div', { class: 'body error' }, answer.msg)
      : told?.log_id ? h('div', { class: 'body' }, h('a', { href: `/runs/${told.log_id}` }, told.sentence))
      : !rows.length ? h('div', { class: 'body muted' }, t('这里没有到期时刻', 'Nothing was due here'))
      : h('table', { class: 'phone-cards' }, h('tbody', {}, ...rows.map((row) => h('tr', {},
        h('td', {}, h('a', { href: `/runs/${row.log_id}` }, row.exec_time)),
        h('td', {}, WORDS[LETTERS[row.status]] ?? row.status),
        h('td', { class: 'line' }, lastLine(row)))))));
    panel.scrollIntoView({ block: 'nearest' });
  }

  toggle(button) {
    this.table.hidden = !this.table.hidden;
    this.scroller.hidden = !this.table.hidden;
    button.setAttribute('aria-pressed', String(!this.table.hidden));
    if (!this.table.hidden) this.fillTable();
  }

  fillTable() {
    const count = (cells, letters) => [...cells].filter((letter) => letters.includes(letter)).length;
    this.table.replaceChildren(h('table', {},
      h('thead', {}, h('tr', {}, ...[t('任务', 'Job'), t('成功', 'Succeeded'), t('出错', 'Wrong'), t('错过', 'Missed'), t('跳过', 'Skipped')]
        .map((word, at) => h('th', { scope: 'col', class: at ? 'number' : null }, word)))),
      h('tbody', {}, ...this.rows.map((row) => h('tr', {},
        h('td', {}, h('a', { href: `/ledger?job_id=${encodeURIComponent(row.name)}` }, row.name)),
        ...['s', 'fxit', 'm', 'k'].map((letters) => h('td', { class: 'number' }, String(count(row.cells, letters)))))))));
  }
}

// A list has the beginning of a long output alone, and an address for its rest.
function lastLine(row) {
  const line = row.task_log.trimEnd().split('\n').at(-1);
  return line.startsWith('… /v1/cron/log/output/') ? t('输出很长，见该次运行', 'A long output: see the run') : line;
}

const start = () => {
  for (const place of document.querySelectorAll('[data-matrix]:not([data-live])')) {
    place.dataset.live = '1';
    place.matrix = new Matrix(place);
  }
};
start();
new MutationObserver(start).observe(document.getElementById('main'), { childList: true, subtree: true });
// Whole rows are read again, so not with every run.
setInterval(() => { if (!document.hidden) refresh(); }, 15000);
