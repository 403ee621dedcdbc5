// An order's hosts and steps on one canvas: ten thousand cells are drawn in a few milliseconds and cost no elements. A table says the same to a screen reader.
import { confirm, request, say } from './api.js';
import { follow } from './live.js';
import { LogView, stepSource } from './log-view.js';
import { h, seconds, size, t } from './words.js';

const ROW = 26, HEAD = 30, BAND = 24, NAME = 232;
const LANES = {
  failed: ['bad', t('失败', 'Failed'), 0], interrupted: ['bad', t('中断', 'Interrupted'), 1], hand: ['warn', t('等待人工', 'Waits for a person'), 2], running: ['run', t('运行中', 'Running'), 3],
  stopped: ['idle', t('已停止', 'Stopped'), 4], ready: ['idle', t('就绪', 'Ready'), 5], waiting: ['idle', t('等待', 'Waiting'), 6], timed: ['idle', t('等待时间', 'Waits for its time'), 6], done: ['ok', t('完成', 'Done'), 7], ended: ['idle', t('已结束', 'Ended'), 7],
};
const STEPS = { 0: ['idle', '·', t('未批准', 'Not approved')], 1: ['idle', '·', t('等待', 'Waiting')], 2: ['run', '▶', t('运行中', 'Running')], 3: ['ok', '✓', t('完成', 'Done')], 4: ['bad', '✕', t('失败', 'Failed')], 5: ['warn', '☞', t('等待人工', 'Waits for a person')], 6: ['bad', '!', t('中断', 'Interrupted')], 7: ['idle', '◷', t('等待时间', 'Waits for its time')] };
const OUTCOMES = { i: t('失败但忽略', 'Failed, ignored'), t: t('超时', 'Timed out'), u: t('连不上', 'Unreachable'), l: t('失联', 'Lost'), s: t('已停止', 'Stopped'), e: t('已结束', 'Ended'), r: t('已驳回', 'Rejected'), k: t('已跳过', 'Skipped') };
const wordOf = (step, outcome) => OUTCOMES[outcome] ?? STEPS[step]?.[2] ?? step;

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
    this.filter = h('input', { type: 'search', value: query.get('host') ?? '', placeholder: t('主机，正则表达式', 'Host, a regular expression'), 'aria-label': t('按主机筛选', 'Filter by host'), oninput: () => { this.remember(); this.arrange(); } });
    for (const state of (query.get('state') ?? '').split(',').filter(Boolean)) this.states.add(state);
    this.chips = h('div', { class: 'chips', role: 'group', 'aria-label': t('按状态筛选', 'Filter by state') });
    this.tableButton = h('button', { type: 'button', class: 'button small', 'aria-pressed': 'false', onclick: () => this.showTable() }, t('表格', 'Table'));
    this.canvas = h('canvas', { 'aria-hidden': 'true' });
    this.space = h('div', { class: 'grid-space' });
    this.scroller = h('div', { class: 'grid-scroll', tabindex: '0', role: 'application', 'aria-label': t('主机与步骤：方向键移动，空格选择，回车看输出', 'Hosts and steps: arrows move, space selects, Enter shows the output'), onscroll: () => this.plan(), onkeydown: (event) => this.key(event), onclick: (event) => this.click(event) }, this.space, this.canvas);
    this.told = h('div', { class: 'sr', role: 'status', 'aria-live': 'polite' });
    this.table = h('div', { class: 'grid-table', hidden: true, tabindex: '0', role: 'region', 'aria-label': t('主机与步骤', 'Hosts and steps') });
    this.acts = h('div', { class: 'grid-acts', hidden: true });
    this.place.replaceChildren(h('div', { class: 'grid-bar' }, this.filter, this.chips, h('span', { class: 'grow' }), this.tableButton), this.scroller, this.table, this.acts, this.told);
    this.log = document.querySelector('[data-cell-log]');
  }

  remember() {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of [['host', this.filter.value], ['state', [...this.states].join(',')], ['cell', this.focus ? `${this.focus.key}/${this.column}` : '']]) if (value) query.set(name, value); else query.delete(name);
    history.replaceState(null, '', `${location.pathname}${query.size ? `?${query}` : ''}`);
  }

  take(data) {
    const before = this.shown && this.focus.steps[this.column];
    if (data?.groups) this.whole(data);
    else if (data?.lanes) {
      for (const lane of data.lanes) { const known = this.lanes.get(`${lane.task_group}/${lane.host}`); if (known) Object.assign(known, { state: lane.state, steps: lane.steps, outcomes: lane.outcomes, batch: lane.batch }); }
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
        this.lanes.set(key, Object.assign(known.get(key) ?? { key, group: group.task_group, host: group.hosts[i], place: i }, { batch: group.batches[i], state: group.states[i], steps: group.steps[i], outcomes: group.outcomes[i] }));
      }
    this.arrange();
    if (!this.opened) {
      this.opened = true;
      // The last part is a place in the row, or L and the step's level.
      const asked = /^(\d+\/.+)\/(L?)(\d+)$/.exec(new URLSearchParams(location.search).get('cell') ?? '');
      const lane = (asked && this.lanes.get(asked[1])) ?? this.rows.find((row) => row.lane)?.lane;
      if (lane) { this.focus = lane; this.column = Math.max(0, asked?.[2] ? groups.find((group) => group.task_group === lane.group).names.findIndex((step) => step.task_level === Number(asked[3])) : asked ? Number(asked[3]) : this.hot(lane)); this.showLog(); this.draw(); }
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
    let pattern = null;
    try { pattern = this.filter.value ? new RegExp(this.filter.value, 'i') : null; this.filter.removeAttribute('aria-invalid'); } catch { this.filter.setAttribute('aria-invalid', 'true'); }
    this.rows = [];
    for (const group of this.groups) {
      const lanes = [...this.lanes.values()].filter((lane) => lane.group === group.number && (!pattern || pattern.test(lane.host)) && (!this.states.size || this.states.has(lane.state)));
      if (!lanes.length) continue;
      // Failures first; batches as bands where there are several.
      const bands = new Set(lanes.map((lane) => lane.batch)).size > 1;
      lanes.sort((a, b) => (LANES[a.state]?.[2] < 3 || LANES[b.state]?.[2] < 3 ? (LANES[a.state]?.[2] ?? 9) - (LANES[b.state]?.[2] ?? 9) : 0) || a.batch - b.batch || a.place - b.place);
      this.rows.push({ group });
      let band = null;
      for (const lane of lanes) {
        const urgent = LANES[lane.state]?.[2] < 3;
        const name = urgent ? 'urgent' : bands ? `${lane.batch}` : null;
        if (name !== band && (bands || band === 'urgent' || urgent)) { this.rows.push({ band: urgent ? t('需要处理', 'Needs a person') : bands ? t(`第 ${lane.batch} 批`, `Batch ${lane.batch}`) : t('其余主机', 'Other hosts') }); band = name; }
        this.rows.push({ lane, group });
      }
    }
    let y = 0;
    for (const row of this.rows) { row.y = y; y += row.group && !row.lane ? HEAD : row.band ? BAND : ROW; }
    this.height = y;
    this.space.style.height = `${y}px`;
    if (!this.table.hidden) this.fillTable();
    this.showActs();
    this.draw();
  }

  countChips(counts) {
    const text = JSON.stringify([counts, [...this.states]]);
    if (text === this.chipText) return;
    this.chipText = text;
    const focused = this.chips.contains(document.activeElement) ? document.activeElement.dataset.state : null;
    const states = Object.keys(LANES).filter((state) => counts[state] || this.states.has(state));
    this.chips.replaceChildren(...states.map((state) => h('button', { type: 'button', class: 'chip', 'data-state': state, 'aria-pressed': String(this.states.has(state)), onclick: () => { if (this.states.has(state)) this.states.delete(state); else this.states.add(state); this.remember(); this.arrange(); } },
      h('span', { class: `dot ${LANES[state][0]}` }), `${LANES[state][1]} `, h('b', {}, String(counts[state] ?? 0)))));
    if (focused) this.chips.querySelector(`[data-state="${focused}"]`)?.focus();
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    this.c = Object.fromEntries(['text', 'muted', 'line', 'surface', 'sunken', 'selected', 'accent', 'ok', 'ok-soft', 'bad', 'bad-soft', 'warn', 'warn-soft', 'run', 'run-soft', 'idle', 'idle-soft'].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.sans = style.getPropertyValue('--sans').trim();
    this.mono = style.getPropertyValue('--mono').trim();
  }

  geometry(group) {
    const name = Math.min(NAME, Math.max(150, this.scroller.clientWidth * .42));
    const room = Math.max(60, this.scroller.clientWidth - name - 8);
    return { name, cell: Math.max(17, Math.min(150, room / group.steps.length)) };
  }

  draw() {
    if (!this.rows) return;
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
      if (y < -HEAD) continue;
      if (row.lane) this.drawLane(g, row, y, width);
      else if (row.band) { g.fillStyle = c.sunken; g.fillRect(0, y, width, BAND); g.fillStyle = c.muted; g.font = `600 11px ${this.sans}`; g.fillText(row.band, 12, y + BAND / 2); }
      else this.drawHead(g, row.group, y, width);
    }
    // The head of the group in view stays at the top.
    if (head && head.y < top) this.drawHead(g, head.group, 0, width);
  }

  drawHead(g, group, y, width) {
    const { name, cell } = this.geometry(group), c = this.c;
    g.fillStyle = c.surface; g.fillRect(0, y, width, HEAD);
    g.fillStyle = c.line; g.fillRect(0, y + HEAD - 1, width, 1);
    g.font = `600 12px ${this.sans}`; g.fillStyle = c.text;
    g.fillText(t(`组 ${group.number}`, `Group ${group.number}`), 12, y + HEAD / 2);
    g.font = `12px ${this.sans}`; g.fillStyle = c.muted;
    group.steps.forEach((step, index) => g.fillText(fit(g, cell < 40 ? String(index + 1) : `${index + 1} ${step.task_name}`, cell - 6), name + index * cell + 5, y + HEAD / 2));
  }

  drawLane(g, { lane, group }, y, width) {
    const { name, cell } = this.geometry(group), c = this.c, isFocus = lane === this.focus;
    if (this.chosen.has(lane.key)) { g.fillStyle = c.selected; g.fillRect(0, y, width, ROW); }
    // The box for the selection.
    g.strokeStyle = this.chosen.has(lane.key) ? c.accent : c.muted; g.lineWidth = 1;
    g.strokeRect(12.5, y + 7.5, 11, 11);
    if (this.chosen.has(lane.key)) { g.fillStyle = c.accent; g.fillRect(15, y + 10, 7, 7); }
    const [tone, word] = LANES[lane.state] ?? ['idle', lane.state];
    g.font = `12px ${this.mono}`; g.fillStyle = c.text;
    const wordWidth = lane.state === 'done' || width < 480 ? 0 : Math.min(90, g.measureText(word).width + 8);
    g.fillText(fit(g, lane.host, name - 36 - wordWidth), 32, y + ROW / 2);
    if (wordWidth) { g.font = `11px ${this.sans}`; g.fillStyle = c[tone]; g.textAlign = 'right'; g.fillText(fit(g, word, 84), name - 8, y + ROW / 2); g.textAlign = 'left'; }
    for (let i = 0; i < lane.steps.length; i++) {
      const [stepTone, glyph] = STEPS[lane.steps[i]] ?? ['idle', '?'];
      const x = name + i * cell;
      g.fillStyle = c[`${lane.outcomes[i] === 'k' ? 'idle' : stepTone}-soft`];
      g.beginPath(); g.roundRect(x + 1.5, y + 3, cell - 3, ROW - 6, 3); g.fill();
      g.fillStyle = c[lane.outcomes[i] === 'k' ? 'idle' : stepTone]; g.font = `11px ${this.sans}`;
      if (cell >= 64) g.fillText(fit(g, `${lane.outcomes[i] === 'k' ? '⤼' : glyph} ${wordOf(lane.steps[i], lane.outcomes[i])}`, cell - 14), x + 8, y + ROW / 2);
      else { g.textAlign = 'center'; g.fillText(glyph, x + cell / 2, y + ROW / 2 + .5); g.textAlign = 'left'; }
      if (isFocus && i === this.column) { g.strokeStyle = c.accent; g.lineWidth = 2; g.beginPath(); g.roundRect(x + 1.5, y + 2.5, cell - 3, ROW - 5, 4); g.stroke(); }
    }
    g.fillStyle = c.line; g.fillRect(0, y + ROW - 1, width, .5);
  }

  rowAt(y) { let low = 0, high = this.rows.length - 1; while (low < high) { const middle = (low + high + 1) >> 1; if (this.rows[middle].y <= y) low = middle; else high = middle - 1; } return this.rows[low]; }

  click(event) {
    const box = this.scroller.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top + this.scroller.scrollTop;
    const row = this.rowAt(y);
    if (!row?.lane || y > this.height) return;
    const { name, cell } = this.geometry(row.group);
    if (x < 30 || event.ctrlKey || event.metaKey) this.toggle(row.lane);
    else if (event.shiftKey && this.focus) this.range(row.lane);
    this.focus = row.lane;
    this.column = x > name ? Math.min(row.lane.steps.length - 1, Math.floor((x - name) / cell)) : this.hot(row.lane);
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
    const move = (to, column = this.column) => { const row = lanes[Math.max(0, Math.min(lanes.length - 1, to))]; if (!row) return; if (event.shiftKey && row.lane !== this.focus) this.range(row.lane); this.focus = row.lane; this.column = Math.max(0, Math.min(row.lane.steps.length - 1, column)); this.moved(row); };
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 2);
    const keys = { ArrowDown: () => move(at + 1), ArrowUp: () => move(at - 1), ArrowRight: () => move(at, this.column + 1), ArrowLeft: () => move(at, this.column - 1), PageDown: () => move(at + page), PageUp: () => move(at - page), Home: () => move(0), End: () => move(lanes.length - 1),
      ' ': () => { if (this.focus) { this.toggle(this.focus); this.draw(); } }, Enter: () => { this.showLog(); this.log?.querySelector('.log-lines')?.focus(); }, a: () => { for (const row of lanes) this.chosen.add(row.lane.key); this.showActs(); this.draw(); }, Escape: () => { this.chosen.clear(); this.showActs(); this.draw(); } };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }

  moved(row = this.rows.find((one) => one.lane === this.focus)) {
    const { scroller } = this;
    if (row.y < scroller.scrollTop + HEAD) scroller.scrollTop = row.y - HEAD;
    else if (row.y + ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = row.y + ROW - scroller.clientHeight;
    const lane = this.focus, step = this.groups.find((group) => group.number === lane.group).steps[this.column];
    this.told.textContent = `${lane.host}, ${step?.task_name}: ${wordOf(lane.steps[this.column], lane.outcomes[this.column])}`;
    this.remember();
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
    this.view = new LogView(this.log, stepSource(key));
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
      const facts = [[t('处理器', 'Processor'), `${seconds(usage.cpu_seconds)}${answer.cores === null ? '' : t(` · 现在 ${answer.cores.toFixed(2)} 核`, ` · ${answer.cores.toFixed(2)} cores now`)}`], [t('内存峰值', 'Peak memory'), `${size(usage.peak_memory_bytes)}${answer.memory_bytes === null ? '' : t(` · 现在 ${size(answer.memory_bytes)}`, ` · ${size(answer.memory_bytes)} now`)}`], [t('读 / 写存储', 'Read / written'), `${size(usage.read_bytes)} / ${size(usage.written_bytes)}`]];
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
    this.table.replaceChildren(h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('组', 'Group')), h('th', { scope: 'col' }, t('主机', 'Host')), h('th', { scope: 'col' }, t('状态', 'State')), ...Array.from({ length: most }, (_, i) => h('th', { scope: 'col' }, t(`步骤 ${i + 1}`, `Step ${i + 1}`))))),
      h('tbody', {}, ...lanes.slice(0, 200).map(({ lane }) => h('tr', {}, h('td', {}, String(lane.group)), h('th', { scope: 'row' }, lane.host), h('td', {}, LANES[lane.state]?.[1] ?? lane.state), ...[...lane.steps].map((step, i) => h('td', {}, wordOf(step, lane.outcomes[i]))))))),
      lanes.length > 200 ? h('p', { class: 'empty' }, t(`另有 ${lanes.length - 200} 台主机：请先筛选`, `${lanes.length - 200} more hosts: filter first`)) : '');
  }

  // What may be done with the selection ----------------------------------------------------------------------------------------------------------------
  picked() { return [...this.chosen].map((key) => this.lanes.get(key)).filter(Boolean); }

  showActs() {
    const lanes = this.picked();
    this.acts.hidden = !lanes.length;
    if (!lanes.length) return;
    const can = (states) => lanes.filter((lane) => states.includes(lane.state));
    const kinds = [
      ['restart', t('重新执行', 'Restart'), can(['failed', 'interrupted', 'stopped']), '', t('没有失败、中断或已停止的主机', 'None has failed, is interrupted or stopped')],
      ['skip', t('跳过该步', 'Skip the step'), can(['failed', 'interrupted']), '', t('没有失败或中断的主机', 'None has failed or is interrupted')],
      ['execute', t('放行人工步骤', 'Release the hand step'), can(['hand']), '', t('没有等待人工的主机', 'None waits for a person')],
      ['stop_one', t('停止', 'Stop'), can(['running', 'hand', 'timed', 'failed', 'interrupted', 'ready', 'waiting']), 'danger', t('都已结束', 'All have ended')],
    ];
    this.acts.replaceChildren(h('strong', {}, t(`已选 ${lanes.length} 台`, `${lanes.length} selected`)),
      ...kinds.map(([kind, word, able, tone, none]) => {
        const why = this.reason ?? (able.length ? null : none);
        return h('button', { type: 'button', class: `button small ${tone}`, 'aria-disabled': why ? 'true' : null, 'data-reason': why, title: why, onclick: why ? null : () => this.act(kind, word, able, tone) }, able.length && !this.reason ? `${word} (${able.length})` : word);
      }), h('span', { class: 'grow' }), h('button', { type: 'button', class: 'button small ghost', onclick: () => { this.chosen.clear(); this.showActs(); this.draw(); } }, t('取消选择', 'Clear')));
  }

  async act(kind, word, able, tone) {
    // Hosts go on while a person reads the question: the answer is about the steps that they stand at now, and about no later one.
    const lanes = able.map(({ group, host, steps }) => {
      const at = this.hot({ steps });
      return { group, host, at, status: steps[at], step: this.groups.find((one) => one.number === group).steps[at] };
    });
    const what = { restart: ({ host, at, step }) => t(`${host}：从第 ${at + 1} 步「${step.task_name}」起重新执行`, `${host}: runs again from step ${at + 1} “${step.task_name}”`), skip: ({ host, at, step }) => t(`${host}：第 ${at + 1} 步「${step.task_name}」视为完成`, `${host}: step ${at + 1} “${step.task_name}” counts as done`), execute: ({ host, step }) => t(`${host}：放行「${step.task_name}」`, `${host}: “${step.task_name}” goes on`), stop_one: ({ host }) => t(`${host}：终止正在执行的命令，其余步骤不再执行`, `${host}: what runs is killed, the remaining steps never run`) }[kind];
    if (!await confirm(t(`${word}：${lanes.length} 台主机`, `${word}: ${lanes.length} hosts`), lanes.map(what), word, tone === 'danger', lanes.length > 50 ? String(lanes.length) : null)) return;
    const refused = [];
    const queue = [...lanes];
    const one = async () => {
      for (let lane = queue.shift(); lane; lane = queue.shift()) {
        const answer = await this.intervene(kind, lane);
        if (answer.code !== 0) refused.push(`${lane.host}: ${answer.msg}`);
      }
    };
    await Promise.all([one(), one(), one()]);
    say([t(`${word}：${lanes.length - refused.length} 台完成`, `${word}: done on ${lanes.length - refused.length} hosts`), ...refused.slice(0, 20)].join('\n'), refused.length > 0);
    if (!refused.length) this.chosen.clear();
    this.showActs();
  }

  // One lane, as it was when the person was asked. A step is told by its place: several may have one level or one name.
  async intervene(kind, { group, host, at, status, step }) {
    const body = { list_id: this.id, task_group: group, task_level: step.task_level, exec_ip: host, hand_type: kind };
    if (kind !== 'stop_one') {
      const check = await request('GET', `/v2/task/check/?list_id=${this.id}&get_run_group=${group}&get_run_host=${encodeURIComponent(host)}`);
      if (check.code !== 0) return check;
      const steps = check.data.scheduler_list, row = steps[at];
      // A lane that somebody has put back stands at an earlier step: a gate ahead of it stays closed.
      if (row?.task_status !== status || (kind === 'execute' && steps.slice(0, at).some((before) => before.task_status !== '3'))) return { code: -1, msg: t(`「${step.task_name}」已不再等待此操作，没有执行`, `“${step.task_name}” no longer waits for this; nothing was done`) };
      body.scheduler_id = row.sched_id;
    }
    return request('PATCH', '/v2/task/check/', body);
  }
}

function fit(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  let low = 0, high = text.length;
  while (low < high) { const middle = (low + high + 1) >> 1; if (g.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle; else high = middle - 1; }
  return low ? `${text.slice(0, low)}…` : '';
}

for (const place of document.querySelectorAll('[data-grid]')) place.grid = new OrderGrid(place);
