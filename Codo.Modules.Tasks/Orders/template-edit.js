// The steps of a template: moved by drag and by keys, changed in a dialog, checked as they stand, saved as one request of the public API.
import { request, say, sayLater } from './api.js';
import { follows, h, t, visible } from './words.js';

const root = document.querySelector('[data-template]');
const read = (name) => JSON.parse(root.dataset[name]);
const aliases = read('users'), words = new Set(read('words')), commands = read('commands'), further = Number(root.dataset.furtherCommands);
let groups = [...root.querySelectorAll('[data-group]')].map((panel) => ({
  ...JSON.parse(panel.dataset.properties), steps: [...panel.querySelectorAll('[data-step]')].map((item) => JSON.parse(item.dataset.step)) }));
const risks = new Map();
let version = Number(root.dataset.version);
// What somebody else saved of a field that was changed here too, by the step or group that it is in.
const theirs = new Map();
let dirty = false, dragged = null;

const touch = () => { dirty = true; root.dataset.dirty = '1'; draw(); };
const find = (step) => groups.find((group) => group.steps.includes(step));

// Steps of a group run by level: the order that is shown becomes the levels 1, 2, 3.
const level = (group) => group.steps.forEach((step, at) => { step.group = group.group; step.level = at + 1; });

function move(step, group, at) {
  const from = find(step);
  from.steps.splice(from.steps.indexOf(step), 1);
  group.steps.splice(Math.max(0, Math.min(at, group.steps.length)), 0, step);
  level(from);
  level(group);
  touch();
  item(step)?.focus();
}

// Past the end of its group a step goes to the next one.
function shift(step, by) {
  const group = find(step), at = group.steps.indexOf(step) + by, next = groups[groups.indexOf(group) + by];
  if (at >= 0 && at < group.steps.length) move(step, group, at);
  else if (next) move(step, next, by > 0 ? 0 : next.steps.length);
}

const item = (step) => [...root.querySelectorAll('.moves > li')].find((element) => element.step === step);
const line = (step) => `${step.command} ${step.args ?? ''}`.trim();

function lint(step) {
  const found = [];
  if (step.force_host !== '127.0.0.1' && !aliases.includes(step.exec_user))
    found.push(['warn', t(`没有执行用户 ${step.exec_user}`, `There is no execute-user ${step.exec_user}`)]);
  const loose = [...new Set((step.args ?? '').split(/\s+/)
    .filter((word) => /^[A-Z][A-Z0-9_]+$/.test(word) && word !== 'FLOW_ID' && !words.has(word)))];
  if (loose.length) found.push(['warn', t(`未声明，订单不能替换：${loose.join(', ')}`, `Not declared, so that orders may not replace it: ${loose.join(', ')}`)]);
  for (const hit of risks.get(line(step)) ?? []) found.push([hit.action === 'warn' ? 'warn' : 'bad', `${t('高危', 'High risk')}: ${hit.name} · ${hit.reason}`]);
  return found;
}

let checking = 0;
async function check() {
  for (const step of groups.flatMap((group) => group.steps)) {
    const text = line(step);
    if (risks.has(text)) continue;
    risks.set(text, []);
    const answer = await request('POST', '/v2/task/risk/test/', { cmd: text });
    if (answer.code === 0 && answer.data.hits.length) { risks.set(text, answer.data.hits); clearTimeout(checking); checking = setTimeout(draw, 100); }
  }
}

const button = (word, act, more = {}) => h('button', { type: 'button', class: 'button small', onclick: act, ...more }, word);

function row(step, group) {
  const used = [...new Set((step.args ?? '').split(/\s+/).filter((word) => words.has(word)))];
  const notes = [t(`级别 ${step.level}`, `level ${step.level}`), step.force_host && t(`在 ${step.force_host}`, `on ${step.force_host}`),
    step.trigger === 'hand' && t('人工放行', 'waits for a person'), step.trigger === 'timed' && t('等待时间', 'waits for the time'),
    step.on_error === 'continue' && t('失败后继续', 'goes on after a failure'),
    step.retries > 0 && t(`重试 ${step.retries}`, `${step.retries} retries`)].filter(Boolean);
  const element = h('li', { tabindex: '0', draggable: 'true', 'aria-label': t(`步骤 ${step.command_name}`, `Step ${step.command_name}`) },
    h('div', { class: 'row' },
      h('strong', {}, step.command_name), h('span', { class: 'tag' }, step.exec_user), h('span', { class: 'muted' }, notes.join(' · ')),
      h('span', { class: 'acts' },
        button('↑', () => shift(step, -1), { 'aria-label': t('上移', 'Move up') }), button('↓', () => shift(step, 1), { 'aria-label': t('下移', 'Move down') }),
        button(t('修改', 'Edit'), () => edit(step)),
        button('✕', () => { group.steps.splice(group.steps.indexOf(step), 1); level(group); touch(); }, { 'aria-label': t('删除步骤', 'Remove the step') }))),
    h('pre', {}, h('code', {}, visible(line(step)))),
    ...clashes(step),
    used.length ? h('p', { class: 'muted' }, t('订单替换：', 'Orders replace: '), h('code', {}, used.join(', '))) : null,
    ...lint(step).map(([tone, text]) => h('p', { class: `hint ${tone}` }, text)));
  element.step = step;
  element.addEventListener('keydown', (event) => {
    if (event.target !== element) return;
    if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) { event.preventDefault(); shift(step, event.key === 'ArrowUp' ? -1 : 1); }
    else if (event.key === 'Enter') { event.preventDefault(); edit(step); }
  });
  element.addEventListener('dragstart', (event) => {
    dragged = step;
    event.dataTransfer.effectAllowed = 'move';
    event.dataTransfer.setData('text/plain', step.command_name);
  });
  element.addEventListener('dragend', () => { dragged = null; for (const over of root.querySelectorAll('.over')) over.classList.remove('over'); });
  element.addEventListener('dragover', (event) => { if (dragged) { event.preventDefault(); element.classList.add('over'); } });
  element.addEventListener('dragleave', () => element.classList.remove('over'));
  element.addEventListener('drop', (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (!dragged || dragged === step) return;
    const after = event.offsetY > element.offsetHeight / 2 ? 1 : 0;
    const own = find(dragged) === group && group.steps.indexOf(dragged) < group.steps.indexOf(step) ? 1 : 0;
    move(dragged, group, group.steps.indexOf(step) + after - own);
  });
  return element;
}

const how = (group) => (group.batch ? t(`每批 ${group.batch}`, `batches of ${group.batch}`) + follows(group) : t('所有主机同时', 'all hosts at once'));

function draw() {
  const place = document.activeElement?.step;
  root.replaceChildren(...groups.map((group) => {
    const list = h('ol', { class: 'steps moves' }, ...group.steps.map((step) => row(step, group)));
    const panel = h('section', { class: 'panel' },
      h('h2', {}, t(`组 ${group.group}`, `Group ${group.group}`), h('span', { class: 'count' }, how(group)), h('span', { class: 'grow' }),
        button(t('批次', 'Batches'), () => properties(group)), button(t('添加步骤', 'Add a step'), () => add(group))),
      ...clashes(group), list);
    panel.addEventListener('dragover', (event) => { if (dragged) event.preventDefault(); });
    panel.addEventListener('drop', (event) => { event.preventDefault(); if (dragged) move(dragged, group, group.steps.length); });
    return panel;
  }), h('div', { class: 'form-bar decide' },
    button(t('添加组', 'Add a group'), () => {
      groups.push({ group: Math.max(0, ...groups.map((group) => group.group)) + 1, batch: '', batch_pause: 0, max_failures: 0, next: 'auto', steps: [] });
      touch();
    }),
    h('span', { class: 'muted grow keys-hint' },
      dirty ? t('有未保存的修改', 'There are changes that are not saved') : t('拖动或 Alt+↑ ↓ 移动，Enter 修改', 'Drag or Alt+↑ ↓ to move, Enter to edit')),
    dirty ? button(t('放弃', 'Discard'), () => { dirty = false; location.reload(); }, { class: 'button' }) : null,
    button(t('保存', 'Save'), save, { class: 'button primary', disabled: !dirty })));
  if (place) item(place)?.focus();
  check();
}

const field = (name, label, control, wide = false) => {
  control.setAttribute('name', name);
  return h('label', { class: wide ? 'field wide' : 'field' }, h('span', {}, label), control);
};
const input = (value, more = {}) => h('input', { value: value ?? '', autocomplete: 'off', ...more });
// A line of input would drop the breaks of its value.
const area = (value, more = {}) => h('textarea', { class: 'mono', spellcheck: 'false', ...more }, value ?? '');
const select = (value, options) => h('select', {}, ...options.map(([word, text]) => h('option', { value: word, selected: word === value }, text)));

function dialog(title, fields, done) {
  const form = h('form', { method: 'dialog' }, h('h2', {}, title), h('div', { class: 'form' }, ...fields),
    // Enter in a field presses the first button that submits.
    h('div', { class: 'end' },
      h('button', { type: 'button', class: 'button', onclick: () => box.close('no') }, t('取消', 'Cancel')),
      h('button', { class: 'button primary', value: 'yes' }, t('确定', 'OK'))));
  const box = h('dialog', { class: 'wide', 'aria-label': title }, form);
  box.addEventListener('close', () => {
    if (box.returnValue === 'yes') done(Object.fromEntries(new FormData(form)), form);
    box.remove();
  });
  document.body.append(box);
  box.showModal();
}

// Which nodes of Codo may run the step; app.js says below it which ones fit.
function nodes(step) {
  const label = field('node', t('节点', 'Nodes'), input(step.node, { class: 'mono', 'data-nodes': 'step-nodes', 'data-role': 'orders' }));
  label.append(h('small', { id: 'step-nodes' }, t('按名称与标签选择，例如 dc=bj & !canary；空为任意节点', 'By names and tags, such as dc=bj & !canary; empty: any node')));
  return label;
}

function edit(step, done = touch) {
  dialog(step.command_name || t('新步骤', 'New step'), [
    field('command_name', t('名称', 'Name'), input(step.command_name, { required: true, maxlength: '100' })),
    field('exec_user', t('执行用户', 'Execute-user'), input(step.exec_user, { list: 'aliases' })),
    h('datalist', { id: 'aliases' }, ...aliases.map((alias) => h('option', { value: alias }))),
    field('command', t('命令', 'Command'), area(step.command, { rows: '3', required: true }), true),
    field('args', t('参数', 'Arguments'), area(step.args, { rows: '2' }), true),
    field('trigger', t('触发', 'Trigger'), select(step.trigger, [
      ['order', t('上一步之后', 'After the step before')], ['hand', t('人工放行', 'A person releases it')], ['timed', t('到达开始时间', 'At the start time')],
    ])),
    field('on_error', t('失败时', 'On a failure'), select(step.on_error, [['stop', t('停止', 'Stop')], ['continue', t('继续', 'Go on')]])),
    field('force_host', t('固定主机', 'Forced host'), input(step.force_host, { class: 'mono' })),
    field('timeout', t('超时（秒）', 'Timeout (seconds)'), input(step.timeout, { inputmode: 'numeric', pattern: '[0-9]+' })),
    field('retries', t('重试次数', 'Retries'), input(step.retries, { inputmode: 'numeric', pattern: '[0-9]+' })),
    field('retry_delay', t('重试间隔（秒）', 'Retry delay (seconds)'), input(step.retry_delay, { inputmode: 'numeric', pattern: '[0-9]+' })),
    field('interpreter', t('解释器', 'Interpreter'), input(step.interpreter, { class: 'mono' })),
    field('run_as', t('本机系统用户（run_as）', 'User on Codo’s own machine (run_as)'), input(step.run_as)),
    nodes(step),
  ], (values) => {
    for (const name of ['timeout', 'retries', 'retry_delay']) values[name] = Number(values[name] || 0);
    Object.assign(step, values);
    done();
  });
}

function add(group) {
  const step = {
    group: group.group, command_name: '', command: '', args: '', trigger: 'order', exec_user: aliases[0] ?? 'root', force_host: '',
    timeout: 1800, retries: 0, retry_delay: 0, on_error: 'stop', interpreter: '', run_as: '', node: '',
  };
  const insert = () => { group.steps.push(step); level(group); touch(); };
  if (!commands.length) { edit(step, insert); return; }
  const library = field('command', t('从命令库', 'From the library'), select('', [
    ['', t('空白步骤', 'An empty step')], ...commands.map((command, at) => [String(at), command.command_name]),
  ]), true);
  // Not all of a large library are offered here.
  if (further > 0) library.append(h('small', {}, t(`另有 ${further} 条，请用命令库`, `${further} more in the library`)));
  dialog(t('添加步骤', 'Add a step'), [library],
    ({ command }) => { if (command !== '') Object.assign(step, commands[Number(command)]); edit(step, insert); });
}

function properties(group) {
  dialog(t(`组 ${group.group} 的批次`, `Batches of group ${group.group}`), [
    field('batch', t('每批主机', 'Hosts of a batch'), input(group.batch, { placeholder: t('数量或 25%，空为全部', 'A number or 25%, empty for all') })),
    field('batch_pause', t('批次间隔（秒）', 'Pause between (seconds)'), input(group.batch_pause, { inputmode: 'numeric', pattern: '[0-9]+' })),
    field('max_failures', t('允许失败的主机', 'Failed hosts before it stops'), input(group.max_failures, { inputmode: 'numeric', pattern: '[0-9]+' })),
    field('next', t('下一批', 'Next batch'), select(group.next, [['auto', t('自动', 'By itself')], ['confirm', t('人工确认', 'A person confirms it')]])),
  ], (values) => { Object.assign(group, values, { batch_pause: Number(values.batch_pause || 0), max_failures: Number(values.max_failures || 0) }); touch(); });
}

const shown = (value) => (value === null || value === undefined || value === '' ? '–' : typeof value === 'object' ? line(value) : String(value));

function clashes(part) {
  return (theirs.get(part) ?? []).map((clash) => {
    const done = () => { theirs.set(part, theirs.get(part).filter((other) => other !== clash)); touch(); };
    return h('div', { class: 'theirs', role: 'group' }, h('p', {}, clash.words, h('code', {}, visible(shown(clash.value)))), h('div', { class: 'row' },
      button(t('采用对方的', 'Take theirs'), () => { clash.take(); done(); }), button(t('保留我的', 'Keep mine'), done)));
  });
}

// Somebody else saved meanwhile: what only they changed is taken over, what both changed waits for a choice, and nothing that was done here is lost.
function merge({ version: stored, by: name, fields }) {
  const by = name || t('其他人', 'somebody else'), steps = () => groups.flatMap((group) => group.steps);
  const groupOf = (number) => groups.find((group) => group.group === number)
    ?? groups[groups.push({ group: number, batch: '', batch_pause: 0, max_failures: 0, next: 'auto', steps: [] }) - 1];
  const differ = (part, field, before, now) => {
    if (part[field] === now) return;
    if (part[field] === before) part[field] = now;
    else theirs.set(part, [...(theirs.get(part) ?? []), {
      words: t(`${by} 把 ${field} 保存为 `, `${by} saved ${field} as `), value: now, take: () => { part[field] = now; },
    }]);
  };
  theirs.clear();
  for (const { field, of, before, now } of fields) {
    const [kind, id, name] = field.split('.'), number = Number(id);
    if (kind === 'groups') { if (name) differ(groupOf(number), name, before, now); continue; }
    if (kind !== 'steps') continue;
    const mine = steps().find((step) => step.id === number) ?? (before && steps().find((step) => step.command_name === of));
    if (name && mine) { mine.id = number; differ(mine, name, before, now); }
    else if (!name && now && !mine) { const group = groupOf(now.group); group.steps.push(now); group.steps.sort((a, b) => a.level - b.level); }
    else if (!name && !now && mine) {
      const remove = () => { const group = find(mine); group.steps.splice(group.steps.indexOf(mine), 1); };
      if (Object.entries(before).every(([key, value]) => mine[key] === value)) remove();
      else theirs.set(mine, [{ words: t(`${by} 删除了这一步`, `${by} removed this step`), value: '', take: remove }]);
    }
  }
  version = stored;
  groups.sort((a, b) => a.group - b.group);
  touch();
  root.querySelector('.theirs')?.scrollIntoView({ block: 'center' });
}

async function save() {
  const kept = groups.filter((group) => group.steps.length);
  const answer = await request('PUT', '/v2/task_layout/details/', {
    temp_id: Number(root.dataset.template), version, new_temp_data: kept.flatMap((group) => group.steps),
    groups: kept.map(({ group, batch, batch_pause, max_failures, next }) => ({ group, batch, batch_pause, max_failures, next })) });
  const text = [answer.msg, ...(answer.warnings ?? [])].join('\n');
  if (answer.code !== 0) {
    say(answer.data?.made_to
      ? `${text}\n${t('对方的修改已合入；双方都改过的已标出，请选择后再保存。', 'Their changes are in now; what both of you changed is marked: choose, then save again.')}`
      : text, true);
    if (answer.data?.made_to) merge(answer.data);
    return;
  }
  dirty = false;
  sayLater(text, answer.version > version ? {
    word: t('撤销', 'Undo'), path: '/v2/task_layout/temp/version/',
    body: { temp_id: Number(root.dataset.template), version, current: answer.version }, go: location.pathname,
  } : null);
  location.reload();
}

addEventListener('beforeunload', (event) => { if (dirty) event.preventDefault(); });
// The form beside it saves the same template.
document.addEventListener('codo:saved', ({ detail }) => { if (detail.version === version + 1) version += 1; });
draw();
