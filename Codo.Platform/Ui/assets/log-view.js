// A log of any length in some sixty elements: lines are kept as text, and only those in view are drawn.
import { copy, request, say } from './api.js';
import { follow } from './live.js';
import { h, t } from './words.js';

const LINE = 18, TAIL = 500, PAGE = 1000, MOST = 400000, OVERSCAN = 6;
// eslint-disable-next-line no-control-regex
const ESCAPES = /\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1a\x1c-\x1f]/g;
const plain = (text) => (text.includes('\x1b') || /[\x00-\x08\x0b-\x1f]/.test(text) ? text.replace(ESCAPES, '') : text);
// Cells of a fixed-width face: what East Asia writes takes two.
function cells(text) {
  let width = text.length;
  // eslint-disable-next-line no-control-regex
  if (/^[\x20-\x7e]*$/.test(text)) return width;
  width = 0;
  for (const letter of text) {
    const code = letter.codePointAt(0);
    width += letter === '\t' ? 8 - (width % 8)
      : code >= 0x1100 && (code <= 0x115f || (code >= 0x2e80 && code <= 0xa4cf) || (code >= 0xac00 && code <= 0xd7a3)
        || (code >= 0xf900 && code <= 0xfaff) || (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) || code >= 0x1f300) ? 2 : 1;
  }
  return width;
}

/** A text as the regular expression that it alone meets; a colon ahead of it would be taken for that of a line's number. @param {string} text */
export const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/^:/, '[:]');

/** The text in pieces, each with the classes of its colours. */
function pieces(text) {
  if (!text.includes('\x1b')) return [[plain(text), '']];
  const found = [];
  let at = 0, style = { f: '', b: '', set: new Set() };
  const classes = () => [style.f, style.b, ...style.set].filter(Boolean).join(' ');
  for (const match of text.matchAll(ESCAPES)) {
    if (match.index > at) found.push([text.slice(at, match.index), classes()]);
    at = match.index + match[0].length;
    if (match[1] === undefined) continue;
    const codes = match[1].split(';').map(Number);
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i];
      if (code === 0) style = { f: '', b: '', set: new Set() };
      else if (code === 1 || code === 3 || code === 4) style.set.add(`a${code}`);
      else if (code === 22) style.set.delete('a1');
      else if (code >= 30 && code <= 37) style.f = `f${code - 30}`;
      else if (code >= 90 && code <= 97) style.f = `f${code - 90}`;
      else if (code === 39) style.f = '';
      else if (code >= 40 && code <= 47) style.b = `b${code - 40}`;
      else if (code === 49) style.b = '';
      else if (code === 38 || code === 48) {
        if (codes[i + 1] === 5) {
          if (code === 38 && codes[i + 2] < 16) style.f = `f${codes[i + 2] % 8}`;
          i += 2;
        } else i += 4;
      }
    }
  }
  if (at < text.length) found.push([text.slice(at), classes()]);
  return found;
}

/** The output of a step of an order. */
export function stepSource(key) {
  const address = `/v2/task/log/?log_key=${encodeURIComponent(key)}`;
  const line = (row) => ({
    text: row.log_info, at: row.exec_time, isCommand: row.line === 1 && row.log_info.startsWith('[CMD]: '), joins: row.continues,
  });
  return {
    topic: `log:${key}`, name: key,
    async tail() {
      const answer = await request('GET', `${address}&tail=${TAIL}`);
      return { ...answer, lines: (answer.data ?? []).map(line) };
    },
    async next(after, limit = PAGE) {
      const answer = await request('GET', `${address}&limit=${limit}${after ? `&after=${encodeURIComponent(after)}` : ''}`);
      return { ...answer, lines: (answer.data ?? []).map(line) };
    },
  };
}

/**
 * The output of a run of a job: a text that grows, its end perhaps half a line; the newest attempt first, or the one that is named, then each that comes
 * after it.
 */
export function runSource(id, attempt = 0) {
  // Bytes count anew in each attempt. The one that is shown is named until it has ended, so that neither its last lines nor the next one's first are left out.
  let rest = '', shown = attempt, over = 0;
  return {
    topic: `run:${id}`, name: `run-${id}`,
    async tail() { return { code: 0, lines: [], before: 0, after: '' }; },
    async next(after) {
      const named = shown;
      const answer = await request('GET', `/v1/cron/log/output/?log_id=${id}${named ? `&attempt=${named}` : ''}${after ? `&after=${after}` : ''}`);
      if (answer.code !== 0) return { ...answer, lines: [] };
      if (!named && over && answer.attempt > over) {
        shown = over + 1;
        return { code: 0, lines: [{ text: t(`—— 第 ${shown} 次尝试 ——`, `—— Attempt ${shown} ——`), isCommand: true }], after: '', more: true };
      }
      if (!named && !over) shown = answer.attempt;
      const parts = (rest + answer.data).split('\n');
      rest = parts.pop();
      if (answer.ended && rest) { parts.push(rest); rest = ''; }
      const isOver = named > 0 && answer.ended;
      if (isOver) { shown = 0; over = named; }
      return {
        code: 0, lines: parts.map((text) => ({ text: text.endsWith('\r') ? text.slice(0, -1) : text })), after: String(answer.after),
        more: isOver || (!answer.ended && Number(answer.after) > Number(after || 0)), ended: answer.ended,
      };
    },
  };
}

export class LogView {
  /** @type {any} */ place;
  /** @type {any} */ source;
  /** @type {any[]} */ lines = [];
  /** What answers said of lines that are lost. @type {Set<string>} */ gaps = new Set();

  /** @param {any} place @param {any} source @param {string} sought a regular expression whose first match is gone to once the lines are read */
  constructor(place, source, sought = '') {
    Object.assign(this, {
      place, source, lines: [], follows: true, wrap: localStorage.getItem('codo_wrap') !== '0', matches: [], match: -1, tops: null, from: 0, marked: null,
    });
    this.build();
    this.search.value = this.sought = sought;
    // What has no topic of its own brings its news itself.
    this.unfollow = source.listen ? source.listen(() => this.more()) : follow(source.topic, source.version ?? '', () => this.more());
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.scroller);
    this.load();
  }

  dispose() { this.disposed = true; this.unfollow(); this.observer.disconnect(); this.place.replaceChildren(); }

  build() {
    this.search = h('input', {
      type: 'search', placeholder: t('搜索或 :行号', 'Search, or :line'),
      'aria-label': t('在输出中搜索，正则表达式', 'Search the output, a regular expression'),
      oninput: () => this.find(), onkeydown: (event) => this.searchKey(event),
    });
    this.found = h('span', { class: 'status', role: 'status' });
    this.count = h('span', { class: 'status' });
    this.followButton = h('button', {
      type: 'button', class: 'button small', 'aria-pressed': 'true', onclick: () => this.setFollow(!this.follows),
    }, t('跟随', 'Follow'));
    this.wrapButton = h('button', { type: 'button', class: 'button small', 'aria-pressed': String(this.wrap), onclick: () => this.setWrap() }, t('换行', 'Wrap'));
    this.scroller = h('div', {
      class: `log-lines${this.wrap ? ' wrap' : ''}`, tabindex: '0', role: 'region', 'aria-label': t('输出行', 'Lines of output'),
      onscroll: () => this.scrolled(), onkeydown: (event) => this.key(event), onclick: (event) => this.clicked(event),
    });
    this.space = h('div', { class: 'log-space' });
    this.note = h('div', { class: 'empty', hidden: true });
    this.scroller.append(this.space);
    this.place.classList.add('log');
    this.place.replaceChildren(
      h('div', { class: 'log-bar' }, this.search, this.found, h('span', { class: 'grow' }), this.count, this.followButton, this.wrapButton,
        h('button', { type: 'button', class: 'button small', onclick: () => this.copyText() }, t('复制', 'Copy')),
        h('button', { type: 'button', class: 'button small', onclick: () => this.download() }, t('下载', 'Download'))),
      this.note, this.scroller);
    this.place.dataset.log = '';
    const hash = /^#L(\d+)(?:-(\d+))?$/.exec(location.hash);
    if (hash && this.place.dataset.hash !== undefined) { this.marked = [Number(hash[1]) - 1, Number(hash[2] ?? hash[1]) - 1]; this.setFollow(false); }
  }

  // A page that does not come is asked for again, later each time; a refusal is an answer.
  async ask(read) {
    for (let pause = 500; ; pause = Math.min(pause * 2, 30000)) {
      const part = await read();
      // Of lines that are lost only the answer that passes them says so.
      if (part.lost_lines) this.gaps.add(part.missing);
      const isMissing = part.lost || part.code === 429;
      if (this.disposed || (!isMissing && pause === 500)) return part;
      this.note.textContent = isMissing ? part.msg : '';
      this.note.hidden = !isMissing;
      if (!isMissing) return part;
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (this.disposed) return part;
    }
  }

  // The end first, then the beginning, then what lies between.
  async load() {
    const end = await this.ask(() => this.source.tail());
    if (this.disposed) return;
    if (end.code !== 0) { this.note.textContent = end.msg; this.note.hidden = false; this.scroller.hidden = true; return; }
    this.before = end.before ?? 0;
    this.after = end.after;
    for (let i = 0; i < end.lines.length; i++) this.lines[this.before + i] = end.lines[i];
    this.changed(this.before);
    let after = '', head = 0;
    while (head < this.before && head < MOST) {
      const part = await this.ask(() => this.source.next(after));
      if (this.disposed) return;
      if (part.code !== 0 || !part.lines.length) break;
      const first = head;
      for (const line of part.lines) { if (head >= this.before) break; this.lines[head++] = line; }
      after = part.after;
      this.changed(first);
    }
    this.head = head;
    // Lines of one attempt are numbered: where the gap lies within one, each of its lines can be asked for.
    const [attempt, line, step] = after.split(':').map(Number), next = end.data?.[0];
    if (head < this.before && next?.attempt === attempt && next.line === line + this.before - head + 1 && (!step || next.sched_id === step))
      this.cursor = (index) => `${attempt}:${line + index - head}${step ? `:${step}` : ''}`;
    this.isLoaded = true;
    if (this.cursor) this.layout();
    this.place.dataset.loaded = '1';
    await this.more();
    // Unless something else was typed meanwhile.
    if (this.marked && !this.pattern) this.jump(this.marked[0]);
    else if (this.sought && this.search.value === this.sought) this.find();
  }

  async more() {
    if (!this.isLoaded) return;
    if (this.reading) { this.readAgain = true; return; }
    this.reading = true;
    let part;
    do {
      this.readAgain = false;
      part = await this.ask(() => this.source.next(this.after));
      if (this.disposed) return;
      if (part.code !== 0) break;
      if (part.lines.length) { const first = this.lines.length; for (const line of part.lines) this.lines.push(line); this.changed(first); }
      this.after = part.after;
    } while (part.more || this.readAgain);
    this.reading = false;
    this.note.textContent = [...new Set([...this.gaps, part.missing])].filter(Boolean).join(t('；', '; '));
    this.note.hidden = !this.note.textContent;
    if (part.catching_up) setTimeout(() => this.more(), 1000);
    if (!this.lines.length) this.changed(0);
  }

  // Of a log that is longer than what is read by itself: the page of a line that is looked at.
  async fill(index) {
    if (this.filling || !this.cursor) return;
    let at = Math.max(this.head, index - (index % PAGE));
    while (this.lines[at]) at++;
    this.filling = true;
    const part = await this.ask(() => this.source.next(this.cursor(at)));
    this.filling = false;
    if (this.disposed || part.code !== 0 || !part.lines.length) return;
    if (this.pattern) this.unsearched ??= this.absent();
    this.dirty = Math.min(this.dirty ?? Infinity, at);
    const keep = this.at(this.scroller.scrollTop);
    for (const line of part.lines) { if (at >= this.before) break; this.lines[at++] = line; }
    this.measure();
    if (!this.follows) this.scroller.scrollTop = this.top(keep);
    this.draw();
  }

  /** Lines between the beginning and the end that are not here. */
  absent() {
    const absent = { count: 0, first: 0, last: 0 };
    for (let i = this.head ?? 0; i < this.before; i++) if (!this.lines[i]) { absent.count++; absent.first ||= i + 1; absent.last = i + 1; }
    return absent;
  }

  changed(first) {
    this.dirty = Math.min(this.dirty ?? Infinity, first);
    if (this.pattern) this.findFrom(first);
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.measure(); this.draw(); });
  }

  measure() {
    this.count.textContent = t(`${this.lines.length.toLocaleString()} 行`, this.lines.length === 1 ? '1 line' : `${this.lines.length.toLocaleString()} lines`);
    if (this.wrap) {
      const width = Math.max(20, Math.floor((this.scroller.clientWidth - 62 - 12) / this.cell()));
      if (width !== this.width) { this.width = width; this.dirty = 0; }
      if (!this.tops || this.tops.length < this.lines.length + 1) {
        const grown = new Float64Array(Math.max(1024, this.lines.length * 1.5 + 1));
        if (this.tops) grown.set(this.tops);
        this.tops = grown;
      }
      for (let i = this.dirty ?? 0; i < this.lines.length; i++) {
        const line = this.lines[i];
        if (line && line.width === undefined) line.width = cells(plain(line.text));
        this.tops[i + 1] = this.tops[i] + LINE * Math.max(1, Math.ceil((line?.width ?? 0) / width));
      }
    }
    this.dirty = undefined;
    this.space.style.height = `${this.top(this.lines.length)}px`;
    if (this.follows) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  cell() {
    if (this.cellWidth) return this.cellWidth;
    const probe = h('span', {}, 'M'.repeat(100));
    probe.style.position = 'absolute'; probe.style.visibility = 'hidden';
    this.scroller.append(probe);
    this.cellWidth = probe.getBoundingClientRect().width / 100 || 7.2;
    probe.remove();
    return this.cellWidth;
  }

  layout() { if (this.frame) return; this.frame = requestAnimationFrame(() => { this.frame = 0; this.measure(); this.draw(); }); }

  top(index) { return this.wrap ? this.tops?.[index] ?? 0 : index * LINE; }

  at(y) {
    if (!this.wrap) return Math.floor(y / LINE);
    let low = 0, high = this.lines.length;
    while (low < high) { const middle = (low + high) >> 1; if (this.tops[middle + 1] <= y) low = middle + 1; else high = middle; }
    return low;
  }

  draw() {
    const first = Math.max(0, this.at(this.scroller.scrollTop) - OVERSCAN);
    const last = Math.min(this.lines.length, this.at(this.scroller.scrollTop + this.scroller.clientHeight) + OVERSCAN + 1);
    const rows = [];
    let hole = -1;
    for (let i = first; i < last && rows.length < 120; i++) { rows.push(this.row(i)); if (hole < 0 && !this.lines[i]) hole = i; }
    this.space.replaceChildren(...rows);
    if (hole >= 0) this.fill(hole);
    if (rows.length && !this.isDrawn) { this.isDrawn = true; performance.mark('codo-log'); }
  }

  row(index) {
    const line = this.lines[index];
    const text = h('span');
    for (const [piece, classes] of line ? pieces(line.text) : [['…', 'f0']])
      text.append(classes ? h('span', { class: classes }, ...this.marks(piece)) : document.createDocumentFragment(), ...(classes ? [] : this.marks(piece)));
    const isMarked = this.marked && index >= Math.min(...this.marked) && index <= Math.max(...this.marked);
    const row = h('div', {
      class: `log-line${line?.isCommand ? ' cmd' : ''}${isMarked ? ' mark' : ''}${this.matches[this.match] === index ? ' now' : ''}`,
      'data-index': String(index), title: line?.at ?? null,
    }, h('i', {}, String(index + 1)), text);
    row.style.top = `${this.top(index)}px`;
    return row;
  }

  marks(text) {
    if (!this.pattern) return [text];
    const parts = [];
    let at = 0;
    for (const match of text.matchAll(this.pattern)) {
      if (!match[0] || parts.length > 20) break;
      parts.push(text.slice(at, match.index), h('mark', {}, match[0]));
      at = match.index + match[0].length;
    }
    return [...parts, text.slice(at)];
  }

  scrolled() {
    const isAtEnd = this.scroller.scrollTop + this.scroller.clientHeight >= this.scroller.scrollHeight - 4;
    if (this.follows && !isAtEnd && !this.frame) this.setFollow(false, false);
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => { this.drawing = 0; this.draw(); });
  }

  setFollow(on, move = true) {
    this.follows = on;
    this.followButton?.setAttribute('aria-pressed', String(on));
    if (on && move) { this.scroller.scrollTop = this.scroller.scrollHeight; this.draw(); }
  }

  setWrap() {
    const keep = this.at(this.scroller.scrollTop);
    this.wrap = !this.wrap;
    localStorage.setItem('codo_wrap', this.wrap ? '1' : '0');
    this.scroller.classList.toggle('wrap', this.wrap);
    this.wrapButton.setAttribute('aria-pressed', String(this.wrap));
    this.dirty = 0;
    this.measure();
    if (!this.follows) this.scroller.scrollTop = this.top(keep);
    this.draw();
  }

  /** @param {number} index from 0 */
  jump(index) {
    const line = Math.max(0, Math.min(this.lines.length - 1, index));
    this.setFollow(false, false);
    this.measure();
    this.scroller.scrollTop = Math.max(0, this.top(line) - this.scroller.clientHeight / 3);
    this.draw();
  }

  find() {
    const text = this.search.value;
    this.matches = []; this.match = -1; this.pattern = null; this.unsearched = null; this.searched = 0; this.run = (this.run ?? 0) + 1;
    const line = /^:(\d+)$/.exec(text);
    if (line) { this.found.textContent = ''; this.marked = [Number(line[1]) - 1, Number(line[1]) - 1]; this.jump(Number(line[1]) - 1); return; }
    if (!text) { this.found.textContent = ''; this.draw(); return; }
    try { this.pattern = new RegExp(text, 'gi'); } catch { this.pattern = new RegExp(literal(text), 'gi'); }
    this.findFrom(0, true);
  }

  // In parts, so that no task is long. One scan at a time: lines that come meanwhile put it back to the first of them.
  async findFrom(first, isNew = false) {
    this.matches = this.matches.filter((index) => index < first);
    this.searched = Math.min(this.searched, first);
    if (!this.isLoaded) this.unsearched = null;
    if (this.scanning === this.run) return;
    const run = this.scanning = this.run;
    while (this.searched < this.lines.length) {
      const end = Math.min(this.searched + 8000, this.lines.length);
      for (let i = this.searched; i < end; i++) {
        this.pattern.lastIndex = 0;
        if (this.lines[i] && this.pattern.test(plain(this.lines[i].text))) this.matches.push(i);
      }
      this.searched = end;
      if (isNew && this.match < 0 && this.matches.length) this.step(1);
      if (end < this.lines.length) await new Promise((resolve) => setTimeout(resolve));
      if (run !== this.run || this.disposed) return;
    }
    this.scanning = 0;
    // The one that was gone to may be another by its number.
    if (this.match >= 0) this.match = Math.max(0, this.matches.indexOf(this.stood));
    // What is scrolled to from now on is not searched.
    this.unsearched ??= this.absent();
    this.told();
    this.draw();
  }

  told() {
    const { count, first, last } = this.unsearched ?? this.absent();
    const found = this.matches.length ? `${this.match + 1} / ${this.matches.length}` : t('没有匹配', 'No match');
    this.found.textContent = this.pattern
      ? found + (count ? t(`；第 ${first}–${last} 行中有 ${count} 行未搜索`, `; ${count} of lines ${first}–${last} are not searched`) : '') : '';
  }

  step(by) {
    if (!this.matches.length) return;
    this.match = (this.match + by + this.matches.length) % this.matches.length;
    this.stood = this.matches[this.match];
    this.jump(this.stood);
    this.told();
  }

  searchKey(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter') { event.preventDefault(); this.step(event.shiftKey ? -1 : 1); }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      f: () => this.setFollow(true), g: () => { this.setFollow(false, false); this.scroller.scrollTop = 0; this.draw(); }, G: () => this.setFollow(true),
      n: () => this.step(1), N: () => this.step(-1), w: () => this.setWrap(), '/': () => this.search.focus(),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }

  clicked(event) {
    const row = event.target.closest('.log-line');
    if (!row || !event.target.matches('i')) return;
    const index = Number(row.dataset.index);
    this.marked = event.shiftKey && this.marked ? [this.marked[0], index] : [index, index];
    const [a, b] = [Math.min(...this.marked) + 1, Math.max(...this.marked) + 1];
    if (this.place.dataset.hash !== undefined) history.replaceState(null, '', `#L${a}${b > a ? `-${b}` : ''}`);
    this.draw();
  }

  text(from = 0, to = this.lines.length) {
    let text = '', absent = 0;
    const tell = () => {
      if (!absent) return;
      text += (text && !text.endsWith('\n') ? '\n' : '')
        + t(`… 此文件中缺少 ${absent} 行 …\n`, absent === 1 ? '… 1 line is not in this file …\n' : `… ${absent} lines are not in this file …\n`);
      absent = 0;
    };
    for (let i = from; i < Math.min(to, this.lines.length); i++) {
      const line = this.lines[i];
      if (!line) { absent++; continue; }
      tell();
      text += plain(line.text) + (line.joins ? '' : '\n');
    }
    tell();
    return text;
  }

  copyText() { const [a, b] = this.marked ? [Math.min(...this.marked), Math.max(...this.marked) + 1] : [0, this.lines.length]; copy(this.text(a, b)); }

  download() {
    if (!this.isLoaded) { say(t('输出还在读取，稍后再试', 'The output is still being read; try again shortly'), true); return; }
    const link = h('a', { download: `${this.source.name}.log`, href: URL.createObjectURL(new Blob([this.text()], { type: 'text/plain' })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

for (const place of document.querySelectorAll('[data-run-log]'))
  place.view = new LogView(place, runSource(place.dataset.runLog, Number(place.dataset.attempt ?? 0)));
for (const place of document.querySelectorAll('[data-step-log]')) place.view = new LogView(place, stepSource(place.dataset.stepLog));
