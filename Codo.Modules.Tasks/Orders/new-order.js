// The form of an order: what it would run is asked for while one types, by the request that scripts send.
import { confirm, newKey, request, sayLater, typedFor } from './api.js';
import { follows, h, t, visible } from './words.js';

const form = document.querySelector('[data-new-order]');
const shown = document.querySelector('[data-preview-of]');
const sum = document.querySelector('[data-sum]');
const error = document.querySelector('[data-error]');
const split = (text) => [...new Set(text.split(/[\s,，;；]+/).filter(Boolean))];
const count = (number) => t(`${number} 台主机`, `${number} host${number === 1 ? '' : 's'}`);
const value = (name) => form.elements.namedItem(name).value;

document.querySelector('[data-choose] select')?.addEventListener('change', (event) => event.target.form.requestSubmit());

function body(schedule) {
  const time = value('exec_time').replace('T', ' ');
  const order = {
    task_name: value('task_name'), temp_id: Number(form.dataset.newOrder), hosts: {}, args: {}, details: value('details'), schedule,
    ...(time ? { exec_time: time, hold: true } : {}),
  };
  for (const field of form.querySelectorAll('[data-group]')) {
    const hosts = split(field.value);
    order.hosts[field.dataset.group] = hosts.join(',');
    form.querySelector(`[data-count="${field.dataset.group}"]`).textContent = hosts.length ? count(hosts.length) : '';
  }
  for (const field of form.querySelectorAll('[data-word]')) if (field.value) order.args[field.dataset.word] = field.value;
  return order;
}

const few = (lanes) => lanes.slice(0, 6).map((lane) => lane.host).join(', ')
  + (lanes.length > 6 ? t(` 等 ${lanes.length} 台`, ` and ${lanes.length - 6} more`) : '');

// Hosts that run the same lines stand together.
function section(group) {
  const alike = new Map();
  for (const lane of group.hosts) {
    const key = JSON.stringify(lane.steps.map((step) => [step.exec_user, step.command_line]));
    alike.set(key, [...(alike.get(key) ?? []), lane]);
  }
  const batches = group.batches > 1 ? t(` · 分 ${group.batches} 批`, ` · ${group.batches} batches`) + follows(group) : '';
  return [h('h3', {}, t(`组 ${group.task_group}`, `Group ${group.task_group}`), batches), ...[...alike.values()].map((lanes) => h('div', { class: 'preview' },
    h('p', {}, h('strong', {}, count(lanes.length)), ' ', h('span', { class: 'mono muted' }, few(lanes))),
    h('ol', { class: 'steps' }, ...lanes[0].steps.map((step) => h('li', {},
      h('div', { class: 'row' }, h('strong', {}, step.task_name), h('span', { class: 'tag' }, step.exec_user),
        step.runs_on === lanes[0].host ? null : h('span', { class: 'muted' }, t(`在 ${step.runs_on} 执行`, `on ${step.runs_on}`)),
        step.node ? h('span', { class: 'muted' }, t(`仅限节点 ${step.node}`, `by nodes ${step.node} alone`)) : null,
        step.trigger === 'order' ? null : h('span', { class: 'muted' }, step.starts)),
      h('pre', { tabindex: '0' }, h('code', {}, visible(step.command_line))))))))];
}

// Of the last preview.
let planned = 0;
function plans(hosts) {
  const start = form.querySelector('button[value=ready]');
  planned = hosts;
  if (!start) return;
  const typed = typedFor(hosts);
  if (typed) start.dataset.typed = typed; else delete start.dataset.typed;
}

/** @type {Promise<boolean>} */
let underWay = null;
let timer = 0, asked = 0;

/** Resolves to whether what would run is shown; where a newer one was asked for meanwhile, whether that is. */
const preview = () => (underWay = show());

async function show() {
  const order = body('new'), mine = ++asked;
  if (!Object.values(order.hosts).some(Boolean)) {
    plans(0);
    sum.textContent = '';
    shown.replaceChildren(h('p', { class: 'muted' }, t('填写主机后显示', 'Say the hosts first')));
    return true;
  }
  const answer = await request('POST', '/v2/task/preview/', order);
  if (mine !== asked) return underWay;
  if (answer.code !== 0) { plans(0); sum.textContent = ''; shown.replaceChildren(h('p', { class: 'error' }, answer.msg)); return false; }
  const { groups, approvals_missing: missing } = answer.data;
  plans(new Set(groups.flatMap((group) => group.hosts.map((lane) => lane.host))).size);
  sum.textContent = `${count(planned)} · ${t(`需 ${missing} 人审批`, `${missing} approval${missing === 1 ? '' : 's'} needed`)}`;
  shown.replaceChildren(...(answer.warnings ?? []).map((text) => h('p', { class: 'banner warn' }, text)), ...groups.flatMap(section));
  return true;
}

// Its number is that of what is typed by now, whenever the last preview was; nothing begins on hosts that could not be counted.
let isAsking = false;
async function isSure(button) {
  const lines = button.dataset.confirm?.split('\n');
  if (!lines) return true;
  if (isAsking) return false;
  isAsking = true;
  let isShown;
  do {
    clearTimeout(timer);
    timer = 0;
    isShown = await preview();
  } while (timer);
  if (!isShown) {
    error.textContent = shown.textContent;
    isAsking = false;
    return false;
  }
  const is = await confirm(lines[0], [...lines.slice(1), ...(planned ? [count(planned)] : [])], button.textContent.trim(), false, button.dataset.typed);
  isAsking = false;
  return is;
}

// The same until there is an answer: whoever tries again after none makes no second order.
let key = newKey(), wasLost = false;

if (form) {
  form.addEventListener('input', () => {
    form.dataset.dirty = '1';
    error.textContent = '';
    clearTimeout(timer);
    timer = setTimeout(() => { timer = 0; preview(); }, 300);
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = event.submitter;
    if (form.dataset.sent || !(await isSure(button))) return;
    form.dataset.sent = '1';
    const answer = await request('POST', '/v2/task/accept/', body(button.value), key);
    if (answer.code === 0) {
      // Back comes to this page again: what is sent then is meant anew.
      key = newKey();
      wasLost = false;
      delete form.dataset.dirty;
      sayLater([answer.msg, ...(answer.warnings ?? [])].join('\n'));
      location.href = `/orders/${answer.list_id}`;
      return;
    }
    delete form.dataset.sent;
    const doubt = wasLost && !answer.lost ? t('上一次提交可能已生效，请先查看订单列表', 'The try before may have made an order: look at the list of orders first') : null;
    wasLost = answer.lost;
    if (!wasLost) key = newKey();
    error.textContent = [answer.msg, answer.hint, doubt].filter(Boolean).join(' · ');
  });
  // Back out of the browser's cache of pages, where it was sent from. A try that is still under way keeps its key, so that another makes no second order.
  addEventListener('pageshow', (event) => { if (event.persisted) delete form.dataset.sent; });
  preview();
}
