// An order's hosts and steps on one canvas: ten thousand cells are drawn in a few milliseconds and cost no elements. A table says the same to a screen reader.
import { confirm, request, say, typedFor } from './api.js';
import { refresh } from './app.js';
import { follow } from './live.js';
import { LogView, literal, stepSource } from './log-view.js';
import { h, seconds, size, t } from './words.js';

const HEAD = 30, BAND = 24, NAME = 232;
// The sizes of what is pointed at: a row, the selection's box with its edge and the width that selects, where the name begins, the least of a step.
// A finger meets 44 pixels.
const POINTER = { row: 26, box: 11, edge: 12.5, pick: 30, host: 32, cell: 17 }, FINGER = { row: 44, box: 17, edge: 13.5, pick: 44, host: 44, cell: 44 };
const LANES = {
  failed: ['bad', t('失败', 'Failed'), 0], interrupted: ['bad', t('中断', 'Interrupted'), 1], hand: ['warn', t('等待人工', 'Waits for a person'), 2],
  running: ['run', t('运行中', 'Running'), 3], stopped: ['idle', t('已停止', 'Stopped'), 4], ready: ['idle', t('就绪', 'Ready'), 5],
  waiting: ['idle', t('等待', 'Waiting'), 6], timed: ['idle', t('等待时间', 'Waits for its time'), 6], done: ['ok', t('完成', 'Done'), 7],
  ended: ['idle', t('已结束', 'Ended'), 7],
};
const STEPS = {
  0: ['idle', '·', t('未批准', 'Not approved')], 1: ['idle', '·', t('等待', 'Waiting')], 2: ['run', '▶', t('运行中', 'Running')],
  3: ['ok', '✓', t('完成', 'Done')], 4: ['bad', '✕', t('失败', 'Failed')], 5: ['warn', '☞', t('等待人工', 'Waits for a person')],
  6: ['bad', '!', t('中断', 'Interrupted')], 7: ['idle', '◷', t('等待时间', 'Waits for its time')],
};
const OUTCOMES = {
  i: t('失败但忽略', 'Failed, ignored'), t: t('超时', 'Timed out'), u: t('连不上', 'Unreachable'), l: t('失联', 'Lost'),
  s: t('已停止', 'Stopped'), e: t('已结束', 'Ended'), r: t('已驳回', 'Rejected'), k: t('已跳过', 'Skipped'),
};
const wordOf = (step, outcome) => OUTCOMES[outcome] ?? STEPS[step]?.[2] ?? step;
// Steps that count as done, and were not.
const FACES = { i: ['warn', '!'], k: ['idle', '⤼'] };
/** The tone and the sign of a step: one that failed and was ignored, or was skipped, looks like none that is done. */
export const faceOf = (step, outcome) => FACES[outcome] ?? STEPS[step] ?? ['idle', '?'];
const UNDER_WAY = ['ready', 'running', 'timed'];
const ACTS = {
  restart: {
    word: t('重新执行', 'Restart'), from: ['failed', 'interrupted', 'stopped'], tone: '',
    none: t('没有失败、中断或已停止的主机', 'None has failed, is interrupted or stopped'),
  },
  skip: { word: t('跳过该步', 'Skip the step'), from: ['failed', 'interrupted'], tone: '', none: t('没有失败或中断的主机', 'None has failed or is interrupted') },
  execute: { word: t('放行人工步骤', 'Release the hand step'), from: ['hand'], tone: '', none: t('没有等待人工的主机', 'None waits for a person') },
  stop_one: {
    word: t('停止', 'Stop'), from: ['running', 'hand', 'timed', 'failed', 'interrupted', 'ready', 'waiting'], tone: 'danger',
    none: t('都已结束', 'All have ended'),
  },
};
const MOST_TOLD = 20;
const hostCount = (count) => t(`${count} 台主机`, count === 1 ? '1 host' : `${count} hosts`);
// An action that has not reached all of its hosts is not left without a question.
const stay = (event) => event.preventDefault();

class OrderGrid {
  constructor(place) {
    this.place = place;
    this.id = Number(place.dataset.grid);
    this.lanes = new Map();
    this.groups = [];
    this.states = new Set();
    this.chosen = new Set();
    this.focus = null;
    this.column = 0;
    // What an action has done by now and of how many, while it goes on.
    this.busy = null;
    this.coarse = matchMedia('(max-width: 760px), (pointer: coarse)');
    this.size = this.coarse.matches ? FINGER : POINTER;
    this.coarse.addEventListener('change', () => { this.size = this.coarse.matches ? FINGER : POINTER; if (this.rows) this.arrange(); });
    this.build();
    this.colours();
    const why = document.getElementById('grid-reason');
    if (why) new MutationObserver(() => this.showActs()).observe(why, { attributes: true });
    request('GET', `/v2/task/grid/?list_id=${this.id}`).then((answer) => { if (answer.code === 0 && !this.groups.length) this.whole(answer); });
    follow(`order:${this.id}`, '', ({ data }) => this.take(data));
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    document.addEventListener('codo:theme', () => { this.colours(); this.draw(); });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.colours(); this.draw(); });
  }

  // It stands outside of what is kept: a page that was opened before the order began lets act once it runs.
  get reason() { return document.getElementById('grid-reason')?.dataset.reason || null; }

  build() {
    const query = new URLSearchParams(location.search);
    this.filter = h('input', {
      type: 'search', value: query.get('host') ?? '', placeholder: t('主机，正则表达式', 'Host, a regular expression'),
      'aria-label': t('按主机筛选', 'Filter by host'), oninput: () => { this.remember(); this.arrange(); },
    });
    for (const state of (query.get('state') ?? '').split(',').filter(Boolean)) this.states.add(state);
    // What a search has found in the output of the cell that the address names.
    this.find = query.get('find') ?? '';
    this.chips = h('div', { class: 'chips', role: 'group', 'aria-label': t('按状态筛选', 'Filter by state') });
    this.tableButton = h('button', { type: 'button', class: 'button small', 'aria-pressed': 'false', onclick: () => this.showTable() }, t('表格', 'Table'));
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.space = h('div', { class: 'grid-space' });
    this.scroller = h('div', {
      class: 'grid-scroll', tabindex: '0', role: 'application',
      'aria-label': t('主机与步骤：方向键移动，空格选择，回车看输出', 'Hosts and steps: arrows move, space selects, Enter shows the output'),
      onscroll: () => this.plan(), onkeydown: (event) => this.key(event), onclick: (event) => this.click(event),
    }, this.space, this.canvas);
    this.told = h('div', { class: 'sr', role: 'status', 'aria-live': 'polite' });
    this.table = h('div', { class: 'grid-table', hidden: true, tabindex: '0', role: 'region', 'aria-label': t('主机与步骤', 'Hosts and steps') });
    this.selected = h('strong');
    this.buttons = Object.entries(ACTS).map(([kind, { tone }]) => h('button', {
      type: 'button', class: `button small ${tone}`, 'data-kind': kind, onclick: () => this.act(kind),
    }));
    this.acts = h('div', { class: 'grid-acts', hidden: true }, this.selected, ...this.buttons, h('span', { class: 'grow' }),
      h('button', { type: 'button', class: 'button small ghost', onclick: () => { this.chosen.clear(); this.showActs(); this.draw(); } }, t('取消选择', 'Clear')));
    this.place.replaceChildren(
      h('div', { class: 'grid-bar' }, this.filter, this.chips, h('span', { class: 'grow' }), this.tableButton),
      this.scroller, this.table, this.acts, this.told);
    this.log = document.querySelector('[data-cell-log]');
    // A line that is in the address is one of this cell.
    this.log?.addEventListener('click', () => { if (location.hash) this.remember(); });
  }

  remember(hash = location.hash) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of [
      ['host', this.filter.value], ['state', [...this.states].join(',')],
      ['cell', this.focus ? `${this.focus.key}/${this.column}` : ''], ['find', this.find],
    ]) if (value) query.set(name, value); else query.delete(name);
    history.replaceState(null, '', `${location.pathname}${query.size ? `?${query}` : ''}${hash}`);
  }

  take(data) {
    const before = this.shown && this.focus.steps[this.column];
    if (data?.groups) this.whole(data);
    else if (data?.lanes) {
      for (const lane of data.lanes) {
        const known = this.lanes.get(`${lane.task_group}/${lane.host}`);
        if (known) Object.assign(known, { state: lane.state, steps: lane.steps, outcomes: lane.outcomes, batch: lane.batch });
      }
      this.dirty = true;
      this.plan();
    }
    if (before && before !== this.focus.steps[this.column]) {
      this.showUsage(this.shown);
      this.showCause(this.shown, this.focus, this.column);
    }
  }

  whole({ groups }) {
    this.groups = groups.map((group) => ({ number: group.task_group, steps: group.names }));
    const known = this.lanes;
    this.lanes = new Map();
    for (const group of groups)
      for (let i = 0; i < group.hosts.length; i++) {
        const key = `${group.task_group}/${group.hosts[i]}`;
        this.lanes.set(key, Object.assign(known.get(key) ?? { key, group: group.task_group, host: group.hosts[i], place: i }, {
          batch: group.batches[i], state: group.states[i], steps: group.steps[i], outcomes: group.outcomes[i],
        }));
      }
    this.arrange();
    if (!this.opened) {
      this.opened = true;
      // The last part is a place in the row, or L and the step's level.
      const asked = /^(\d+\/.+)\/(L?)(\d+)$/.exec(new URLSearchParams(location.search).get('cell') ?? '');
      const lane = (asked && this.lanes.get(asked[1])) ?? this.rows.find((row) => row.lane)?.lane;
      if (lane) {
        this.focus = lane;
        this.column = Math.max(0, asked?.[2]
          ? groups.find((group) => group.task_group === lane.group).names.findIndex((step) => step.task_level === Number(asked[3]))
          : asked ? Number(asked[3]) : this.hot(lane));
        this.showLog();
        this.reveal(this.rows.find((row) => row.lane === lane));
        this.draw();
      }
      performance.mark('codo-grid');
      this.place.dataset.ready = '1';
    }
  }

  // The step that stands: the first that is not done.
  hot(lane) { const at = [...lane.steps].findIndex((step) => step !== '3'); return at < 0 ? lane.steps.length - 1 : at; }

  plan() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; if (this.dirty) this.arrange(); else this.draw(); });
  }

  arrange() {
    this.dirty = false;
    const counts = {};
    for (const lane of this.lanes.values()) counts[lane.state] = (counts[lane.state] ?? 0) + 1;
    this.countChips(counts);
    this.tellPage();
    let pattern = null;
    try {
      pattern = this.filter.value ? new RegExp(this.filter.value, 'i') : null;
      this.filter.removeAttribute('aria-invalid');
    } catch { this.filter.setAttribute('aria-invalid', 'true'); }
    this.rows = [];
    for (const group of this.groups) {
      const lanes = [...this.lanes.values()].filter((lane) => lane.group === group.number
        && (!pattern || pattern.test(lane.host)) && (!this.states.size || this.states.has(lane.state)));
      if (!lanes.length) continue;
      // Failures first; batches as bands where there are several.
      const bands = new Set(lanes.map((lane) => lane.batch)).size > 1;
      lanes.sort((a, b) =>
        (LANES[a.state]?.[2] < 3 || LANES[b.state]?.[2] < 3 ? (LANES[a.state]?.[2] ?? 9) - (LANES[b.state]?.[2] ?? 9) : 0)
        || a.batch - b.batch || a.place - b.place);
      this.rows.push({ group });
      let band = null;
      for (const lane of lanes) {
        const urgent = LANES[lane.state]?.[2] < 3;
        const name = urgent ? 'urgent' : bands ? `${lane.batch}` : null;
        if (name !== band && (bands || band === 'urgent' || urgent)) {
          this.rows.push({
            band: urgent ? t('需要处理', 'Needs a person') : bands ? t(`第 ${lane.batch} 批`, `Batch ${lane.batch}`) : t('其余主机', 'Other hosts'),
          });
          band = name;
        }
        this.rows.push({ lane, group });
      }
    }
    let y = 0;
    for (const row of this.rows) { row.y = y; y += row.group && !row.lane ? HEAD : row.band ? BAND : this.size.row; }
    this.height = y;
    this.space.style.height = `${y}px`;
    if (!this.table.hidden) this.fillTable();
    this.showActs();
    this.draw();
  }

  // What stands above the grid is the page's, as the button of a batch that may begin, and no topic tells of a host that has ended where others failed
  // before it.
  tellPage() {
    if (!this.lanes.size) return;
    const groups = new Map();
    for (const lane of this.lanes.values()) {
      if (!groups.has(lane.group)) groups.set(lane.group, { next: 0, states: new Set(), gates: new Set() });
      const at = groups.get(lane.group);
      at.states.add(UNDER_WAY.includes(lane.state) ? 'under way' : lane.state);
      if (lane.state === 'waiting') at.next = at.next ? Math.min(at.next, lane.batch) : lane.batch;
      // A hand step at which a host stands has a button; it counts its hosts anew before it asks.
      if (lane.state === 'hand') at.gates.add(this.hot(lane));
    }
    const text = JSON.stringify([...groups].map(([group, { next, states, gates }]) => [group, next, [...states].sort(), [...gates].sort()]));
    if (text === this.standing) return;
    // The page is older than what the grid reads first: a batch before this one may have ended in between.
    const mayBegin = [...groups.values()].some(({ next, states }) => next > 1 && !states.has('under way') && !states.has('hand'));
    if (this.standing || mayBegin) refresh();
    this.standing = text;
  }

  countChips(counts) {
    const text = JSON.stringify([counts, [...this.states]]);
    if (text === this.chipText) return;
    this.chipText = text;
    const focused = this.chips.contains(document.activeElement) ? document.activeElement.dataset.state : null;
    const states = Object.keys(LANES).filter((state) => counts[state] || this.states.has(state));
    this.chips.replaceChildren(...states.map((state) => h('button', {
      type: 'button', class: 'chip', 'data-state': state, 'aria-pressed': String(this.states.has(state)),
      onclick: () => {
        if (this.states.has(state)) this.states.delete(state); else this.states.add(state);
        this.remember();
        this.arrange();
      },
    }, h('span', { class: `dot ${LANES[state][0]}` }), `${LANES[state][1]} `, h('b', {}, String(counts[state] ?? 0)))));
    if (focused) this.chips.querySelector(`[data-state="${focused}"]`)?.focus();
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    this.c = Object.fromEntries([
      'text', 'muted', 'line', 'surface', 'sunken', 'selected', 'accent', 'ok', 'ok-soft', 'bad', 'bad-soft', 'warn', 'warn-soft', 'run', 'run-soft',
      'idle', 'idle-soft',
    ].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.sans = style.getPropertyValue('--sans').trim();
    this.mono = style.getPropertyValue('--mono').trim();
  }

  geometry(group) {
    const name = Math.min(NAME, Math.max(150, this.scroller.clientWidth * .42));
    const room = Math.max(60, this.scroller.clientWidth - name - 8);
    return { name, cell: Math.max(this.size.cell, Math.min(150, room / group.steps.length)) };
  }

  draw() {
    if (!this.rows) return;
    // Steps that do not fit are scrolled to; names stay.
    const wide = Math.ceil(Math.max(0, ...this.groups.map((group) => {
      const { name, cell } = this.geometry(group);
      return name + cell * group.steps.length;
    })));
    if (wide !== this.wide) { this.wide = wide; this.space.style.width = `${wide}px`; }
    const { clientWidth: width, clientHeight: height } = this.scroller, scale = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale); this.canvas.height = Math.round(height * scale);
      this.canvas.style.width = `${width}px`; this.canvas.style.height = `${height}px`;
    }
    const g = this.canvas.getContext('2d'), top = this.scroller.scrollTop, c = this.c;
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.fillStyle = c.surface; g.fillRect(0, 0, width, height);
    g.textBaseline = 'middle';
    if (!this.rows.length) { g.fillStyle = c.muted; g.font = `13px ${this.sans}`; g.fillText(t('没有符合条件的主机', 'No host matches'), 16, 28); return; }
    let head = null;
    for (const row of this.rows) {
      if (row.group && !row.lane) head = row.y + HEAD <= top || row.y <= top ? row : head;
      const y = row.y - top;
      if (y > height) break;
      if (y < -Math.max(HEAD, this.size.row)) continue;
      if (row.lane) this.drawLane(g, row, y, width);
      else if (row.band) {
        g.fillStyle = c.sunken; g.fillRect(0, y, width, BAND);
        g.fillStyle = c.muted; g.font = `600 11px ${this.sans}`;
        g.fillText(row.band, 12, y + BAND / 2);
      }
      else this.drawHead(g, row.group, y, width);
    }
    // The head of the group in view stays at the top.
    if (head && head.y < top) this.drawHead(g, head.group, 0, width);
  }

  drawHead(g, group, y, width) {
    const { name, cell } = this.geometry(group), c = this.c, from = name - this.scroller.scrollLeft;
    g.fillStyle = c.surface; g.fillRect(0, y, width, HEAD);
    g.font = `12px ${this.sans}`; g.fillStyle = c.muted;
    group.steps.forEach((step, index) => {
      const x = from + index * cell;
      if (x + cell > name && x < width) g.fillText(fit(g, cell < 40 ? String(index + 1) : `${index + 1} ${step.task_name}`, cell - 6), x + 5, y + HEAD / 2);
    });
    if (from < name) { g.fillStyle = c.surface; g.fillRect(0, y, name, HEAD); }
    g.fillStyle = c.line; g.fillRect(0, y + HEAD - 1, width, 1);
    g.font = `600 12px ${this.sans}`; g.fillStyle = c.text;
    g.fillText(t(`组 ${group.number}`, `Group ${group.number}`), 12, y + HEAD / 2);
  }

  drawLane(g, { lane, group }, y, width) {
    const { name, cell } = this.geometry(group), { row, box, edge, host } = this.size, from = name - this.scroller.scrollLeft;
    const c = this.c, isFocus = lane === this.focus, isChosen = this.chosen.has(lane.key);
    if (isChosen) { g.fillStyle = c.selected; g.fillRect(0, y, width, row); }
    for (let i = 0; i < lane.steps.length; i++) {
      const x = from + i * cell;
      if (x + cell <= name || x >= width) continue;
      const [stepTone, glyph] = faceOf(lane.steps[i], lane.outcomes[i]);
      g.fillStyle = c[`${stepTone}-soft`];
      g.beginPath(); g.roundRect(x + 1.5, y + 3, cell - 3, row - 6, 3); g.fill();
      g.fillStyle = c[stepTone]; g.font = `11px ${this.sans}`;
      if (cell >= 64) g.fillText(fit(g, `${glyph} ${wordOf(lane.steps[i], lane.outcomes[i])}`, cell - 14), x + 8, y + row / 2);
      else { g.textAlign = 'center'; g.fillText(glyph, x + cell / 2, y + row / 2 + .5); g.textAlign = 'left'; }
      if (isFocus && i === this.column) {
        g.strokeStyle = c.accent; g.lineWidth = 2;
        g.beginPath(); g.roundRect(x + 1.5, y + 2.5, cell - 3, row - 5, 4); g.stroke();
      }
    }
    // A step that is scrolled away lies under the name.
    if (from < name) { g.fillStyle = isChosen ? c.selected : c.surface; g.fillRect(0, y, name, row); }
    // The box for the selection.
    const boxTop = y + (row - box) / 2;
    g.strokeStyle = isChosen ? c.accent : c.muted; g.lineWidth = 1;
    g.strokeRect(edge, boxTop, box, box);
    if (isChosen) { g.fillStyle = c.accent; g.fillRect(edge + 2.5, boxTop + 2.5, box - 4, box - 4); }
    const [tone, word] = LANES[lane.state] ?? ['idle', lane.state];
    g.font = `12px ${this.mono}`; g.fillStyle = c.text;
    const wordWidth = lane.state === 'done' || width < 480 ? 0 : Math.min(90, g.measureText(word).width + 8);
    g.fillText(fit(g, lane.host, name - host - 4 - wordWidth), host, y + row / 2);
    if (wordWidth) {
      g.font = `11px ${this.sans}`; g.fillStyle = c[tone];
      g.textAlign = 'right'; g.fillText(fit(g, word, 84), name - 8, y + row / 2); g.textAlign = 'left';
    }
    g.fillStyle = c.line; g.fillRect(0, y + row - 1, width, .5);
  }

  rowAt(y) {
    let low = 0, high = this.rows.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (this.rows[middle].y <= y) low = middle; else high = middle - 1; }
    return this.rows[low];
  }

  click(event) {
    const box = this.scroller.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top + this.scroller.scrollTop;
    const row = this.rowAt(y);
    if (!row?.lane || y > this.height) return;
    const { name, cell } = this.geometry(row.group);
    if (x < this.size.pick || event.ctrlKey || event.metaKey) this.toggle(row.lane);
    else if (event.shiftKey && this.focus) this.range(row.lane);
    this.focus = row.lane;
    this.column = x > name ? Math.min(row.lane.steps.length - 1, Math.floor((x - name + this.scroller.scrollLeft) / cell)) : this.hot(row.lane);
    this.moved();
  }

  toggle(lane) { if (this.chosen.has(lane.key)) this.chosen.delete(lane.key); else this.chosen.add(lane.key); this.showActs(); }

  range(to) {
    const lanes = this.rows.filter((row) => row.lane).map((row) => row.lane);
    const [a, b] = [lanes.indexOf(this.focus), lanes.indexOf(to)].sort((one, two) => one - two);
    for (const lane of lanes.slice(a, b + 1)) this.chosen.add(lane.key);
    this.showActs();
  }

  key(event) {
    const lanes = this.rows.filter((row) => row.lane);
    const at = lanes.findIndex((row) => row.lane === this.focus);
    const move = (to, column = this.column) => {
      const row = lanes[Math.max(0, Math.min(lanes.length - 1, to))];
      if (!row) return;
      if (event.shiftKey && row.lane !== this.focus) this.range(row.lane);
      this.focus = row.lane;
      this.column = Math.max(0, Math.min(row.lane.steps.length - 1, column));
      this.moved(row);
    };
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.size.row) - 2);
    const keys = {
      ArrowDown: () => move(at + 1), ArrowUp: () => move(at - 1),
      ArrowRight: () => move(at, this.column + 1), ArrowLeft: () => move(at, this.column - 1),
      PageDown: () => move(at + page), PageUp: () => move(at - page), Home: () => move(0), End: () => move(lanes.length - 1),
      ' ': () => { if (this.focus) { this.toggle(this.focus); this.draw(); } },
      Enter: () => { this.showLog(); this.log?.querySelector('.log-lines')?.focus(); },
      a: () => { for (const row of lanes) this.chosen.add(row.lane.key); this.showActs(); this.draw(); },
      Escape: () => { this.chosen.clear(); this.showActs(); this.draw(); },
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }

  /** Scrolls to the step that has the focus. @param {any} row undefined where the filter leaves it out */
  reveal(row) {
    if (!row) return;
    const { scroller } = this, { name, cell } = this.geometry(row.group), left = this.column * cell, room = scroller.clientWidth - name;
    if (row.y < scroller.scrollTop + HEAD) scroller.scrollTop = row.y - HEAD;
    else if (row.y + this.size.row > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = row.y + this.size.row - scroller.clientHeight;
    if (left < scroller.scrollLeft) scroller.scrollLeft = left;
    else if (left + cell > scroller.scrollLeft + room) scroller.scrollLeft = left + cell - room;
  }

  moved(row = this.rows.find((one) => one.lane === this.focus)) {
    this.reveal(row);
    // It was for the cell that the address named, and so was the line.
    this.find = '';
    const lane = this.focus, step = this.groups.find((group) => group.number === lane.group).steps[this.column];
    this.told.textContent = `${lane.host}, ${step?.task_name}: ${wordOf(lane.steps[this.column], lane.outcomes[this.column])}`;
    this.remember('');
    this.draw();
    clearTimeout(this.opening);
    this.opening = setTimeout(() => this.showLog(), 120);
  }

  showLog() {
    if (!this.log || !this.focus) return;
    const step = this.groups.find((group) => group.number === this.focus.group).steps[this.column];
    const key = `${this.id}_${this.focus.group}_${step.task_level}_${this.focus.host}`;
    if (this.shown === key) return;
    this.shown = key;
    this.view?.dispose();
    const title = document.querySelector('[data-cell-name]');
    if (title) title.textContent = `${this.focus.host} · ${step.task_name}`;
    document.querySelector('[data-cell-compare]')?.setAttribute('href', `/orders/${this.id}/compare?group=${this.focus.group}&step=${this.column + 1}`);
    this.log.view = this.view = new LogView(this.log, stepSource(key), literal(this.find));
    const usage = document.querySelector('[data-cell-usage]');
    if (usage) usage.hidden = true;
    this.showUsage(key);
    const cause = document.querySelector('[data-cell-cause]');
    if (cause) cause.hidden = true;
    this.showCause(key, this.focus, this.column);
  }

  // Why a step has not begun, as of one that no node of Codo fits. What has begun says so in its output.
  async showCause(key, lane, column) {
    clearTimeout(this.causeTimer);
    const place = document.querySelector('[data-cell-cause]');
    if (!place) return;
    if (lane.steps[column] !== '1') { place.hidden = true; return; }
    const answer = await request('GET', `/v2/task/check/?list_id=${this.id}&get_run_group=${lane.group}&get_run_host=${encodeURIComponent(lane.host)}`);
    // It may have begun before the answer came.
    if (this.shown !== key || lane.steps[column] !== '1') return;
    const step = this.groups.find((group) => group.number === lane.group).steps[column];
    const found = answer.data?.scheduler_list?.find((one) => one.task_level === step.task_level && one.task_name === step.task_name);
    place.hidden = !found?.cause;
    place.textContent = found?.cause ?? '';
    this.causeTimer = setTimeout(() => { if (this.shown === key) this.showCause(key, lane, column); }, document.hidden ? 60000 : 10000);
  }

  // Of a step that runs asked again and again, and once more when it has ended.
  async showUsage(key) {
    clearTimeout(this.usageTimer);
    const place = document.querySelector('[data-cell-usage]');
    if (!place) return;
    const answer = await request('GET', `/v2/task/log/usage/?log_key=${encodeURIComponent(key)}`);
    if (this.shown !== key) return;
    const { usage } = answer;
    place.hidden = !usage;
    if (usage) {
      const facts = [
        [t('处理器', 'Processor'), seconds(usage.cpu_seconds)
          + (answer.cores === null ? '' : t(` · 现在 ${answer.cores.toFixed(2)} 核`, ` · ${answer.cores.toFixed(2)} cores now`))],
        [t('内存峰值', 'Peak memory'), size(usage.peak_memory_bytes)
          + (answer.memory_bytes === null ? '' : t(` · 现在 ${size(answer.memory_bytes)}`, ` · ${size(answer.memory_bytes)} now`))],
        [t('读 / 写存储', 'Read / written'), `${size(usage.read_bytes)} / ${size(usage.written_bytes)}`],
      ];
      if (answer.process_count) facts.push([t('进程', 'Processes'), String(answer.process_count)]);
      place.replaceChildren(...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
      place.title = answer.note;
    }
    if (answer.running) this.usageTimer = setTimeout(() => { if (this.shown === key) this.showUsage(key); }, document.hidden ? 10000 : 2000);
  }

  // The same as text -----------------------------------------------------------------------------------------------------------------------------------
  showTable() {
    this.table.hidden = !this.table.hidden;
    this.scroller.hidden = !this.table.hidden;
    this.tableButton.setAttribute('aria-pressed', String(!this.table.hidden));
    if (!this.table.hidden) this.fillTable(); else this.draw();
  }

  fillTable() {
    const lanes = this.rows.filter((row) => row.lane);
    const most = Math.max(0, ...this.groups.map((group) => group.steps.length));
    this.table.replaceChildren(h('table', {},
      h('thead', {}, h('tr', {},
        h('th', { scope: 'col' }, t('组', 'Group')), h('th', { scope: 'col' }, t('主机', 'Host')), h('th', { scope: 'col' }, t('状态', 'State')),
        ...Array.from({ length: most }, (_, i) => h('th', { scope: 'col' }, t(`步骤 ${i + 1}`, `Step ${i + 1}`))))),
      h('tbody', {}, ...lanes.slice(0, 200).map(({ lane }) => h('tr', {},
        h('td', {}, String(lane.group)), h('th', { scope: 'row' }, lane.host), h('td', {}, LANES[lane.state]?.[1] ?? lane.state),
        ...[...lane.steps].map((step, i) => h('td', {}, wordOf(step, lane.outcomes[i]))))))),
      lanes.length > 200 ? h('p', { class: 'empty' }, t(`另有 ${lanes.length - 200} 台主机：请先筛选`, `${lanes.length - 200} more hosts: filter first`)) : '');
  }

  // What may be done with the selection ----------------------------------------------------------------------------------------------------------------
  picked() { return [...this.chosen].map((key) => this.lanes.get(key)).filter(Boolean); }

  // The buttons are the same as long as the page is there: the focus, and a click that is half done, outlive what changes meanwhile.
  showActs() {
    const lanes = this.picked(), { busy } = this;
    this.acts.hidden = !lanes.length && !busy;
    if (this.acts.hidden) return;
    const progress = busy
      && t(`已完成 ${busy.done.toLocaleString()} / ${busy.all.toLocaleString()} 台`, `${busy.done.toLocaleString()} of ${busy.all.toLocaleString()} done`);
    const kinds = Object.values(ACTS).map(({ from, none }) => {
      const able = lanes.filter((lane) => from.includes(lane.state)).length;
      return { able, why: progress ?? this.reason ?? (able ? null : none) };
    });
    const text = JSON.stringify([lanes.length, progress, kinds]);
    if (text === this.actText) return;
    this.actText = text;
    this.selected.textContent = [lanes.length ? t(`已选 ${lanes.length} 台`, `${lanes.length} selected`) : '', progress].filter(Boolean).join(' · ');
    this.buttons.forEach((button, index) => {
      const { able, why } = kinds[index], { word } = ACTS[button.dataset.kind];
      button.textContent = why ? word : `${word} (${able})`;
      for (const [name, value] of [['aria-disabled', why && 'true'], ['data-reason', why], ['title', why]])
        if (value) button.setAttribute(name, value); else button.removeAttribute(name);
    });
  }

  async act(kind) {
    const { word, from, tone } = ACTS[kind], able = this.picked().filter((lane) => from.includes(lane.state));
    // A button that is disabled says why by itself.
    if (this.busy || this.reason || !able.length) return;
    // Hosts go on while a person reads the question: the answer is about the steps that they stand at now, and about no later one.
    const lanes = able.map(({ group, host, steps }) => {
      const at = this.hot({ steps });
      return { group, host, at, status: steps[at], step: this.groups.find((one) => one.number === group).steps[at] };
    });
    const what = {
      restart: ({ host, at, step }) =>
        t(`${host}：从第 ${at + 1} 步「${step.task_name}」起重新执行`, `${host}: runs again from step ${at + 1} “${step.task_name}”`),
      skip: ({ host, at, step }) => t(`${host}：第 ${at + 1} 步「${step.task_name}」视为完成`, `${host}: step ${at + 1} “${step.task_name}” counts as done`),
      execute: ({ host, step }) => t(`${host}：放行「${step.task_name}」`, `${host}: “${step.task_name}” goes on`),
      stop_one: ({ host }) =>
        t(`${host}：终止正在执行的命令，其余步骤不再执行`, `${host}: what runs is killed, the remaining steps never run`),
    }[kind];
    // A host that is in several groups is one.
    const hosts = new Set(lanes.map((lane) => lane.host)).size;
    if (!await confirm(`${word}${t('：', ': ')}${hostCount(hosts)}`, lanes.map(what), word, tone === 'danger', typedFor(hosts))) return;
    const refused = [];
    const queue = [...lanes];
    const busy = this.busy = { done: 0, all: lanes.length };
    const one = async () => {
      for (let lane = queue.shift(); lane; lane = queue.shift()) {
        const answer = await this.intervene(kind, lane);
        if (answer.code !== 0) refused.push(`${lane.host}: ${answer.msg}`);
        busy.done++;
        this.showActs();
      }
    };
    addEventListener('beforeunload', stay);
    this.showActs();
    try {
      await Promise.all([one(), one(), one()]);
      // What was chosen meanwhile stays chosen.
      if (!refused.length) for (const lane of able) this.chosen.delete(lane.key);
    } finally {
      removeEventListener('beforeunload', stay);
      this.busy = null;
      this.showActs();
    }
    const done = lanes.length - refused.length, more = refused.length - MOST_TOLD;
    say([
      t(`${word}：${done} 台完成`, `${word}: done on ${hostCount(done)}`), ...refused.slice(0, MOST_TOLD),
      ...(more > 0 ? [t(`另有 ${more} 台`, `and ${more} more`)] : []),
    ].join('\n'), refused.length > 0);
    this.draw();
  }

  // One lane, as it was when the person was asked. A step is told by its place: several may have one level or one name.
  async intervene(kind, { group, host, at, status, step }) {
    const body = { list_id: this.id, task_group: group, task_level: step.task_level, exec_ip: host, hand_type: kind };
    if (kind !== 'stop_one') {
      const check = await request('GET', `/v2/task/check/?list_id=${this.id}&get_run_group=${group}&get_run_host=${encodeURIComponent(host)}`);
      if (check.code !== 0) return check;
      const steps = check.data.scheduler_list, row = steps[at];
      // A lane that somebody has put back stands at an earlier step: a gate ahead of it stays closed.
      if (row?.task_status !== status || (kind === 'execute' && steps.slice(0, at).some((before) => before.task_status !== '3')))
        return { code: -1, msg: t(`「${step.task_name}」已不再等待此操作，没有执行`, `“${step.task_name}” no longer waits for this; nothing was done`) };
      body.scheduler_id = row.sched_id;
    }
    return request('PATCH', '/v2/task/check/', body);
  }
}

function fit(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (g.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle; else high = middle - 1;
  }
  return low ? `${text.slice(0, low)}…` : '';
}

for (const place of document.querySelectorAll('[data-grid]')) place.grid = new OrderGrid(place);
