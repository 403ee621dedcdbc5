// Where to go, by a few letters; and all keys.
import { request } from './api.js';
import { h, t } from './words.js';

const pages = () => [...document.querySelectorAll('#sidebar a')]
  .map((link) => ({ name: link.textContent.trim(), path: link.getAttribute('href'), kind: t('页面', 'Page') }));

export function openPalette() {
  if (document.querySelector('dialog.palette')) return;
  const list = h('ul', { role: 'listbox', id: 'palette-list', 'aria-label': t('结果', 'Results') });
  const input = h('input', {
    type: 'text', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'palette-list', 'aria-label': t('转到', 'Go to'),
    autocomplete: 'off', spellcheck: 'false', placeholder: t('页面、任务名、#订单号、run 编号…', 'A page, a job, #order, run number…'),
  });
  const told = h('p', { class: 'muted', role: 'status' });
  const dialog = h('dialog', { class: 'palette', 'aria-label': t('转到', 'Go to') }, input, list, told);
  let found = [], at = 0, asked = 0;

  const show = () => {
    list.replaceChildren(...found.map((item, index) => h('li', {
      role: 'option', id: `palette-${index}`, 'aria-selected': String(index === at), onclick: () => go(item),
    }, item.name, h('span', {}, item.kind))));
    input.setAttribute('aria-activedescendant', found.length ? `palette-${at}` : '');
    list.children[at]?.scrollIntoView({ block: 'nearest' });
  };
  const go = (item) => { if (item) location.href = item.path; };
  async function search() {
    const text = input.value.trim(), mine = ++asked;
    const low = text.toLowerCase();
    found = pages().filter((page) => page.name.toLowerCase().includes(low));
    const number = /^#?(\d{1,18})$/.exec(text);
    if (number) found.unshift(
      { name: t(`订单 ${number[1]}`, `Order ${number[1]}`), path: `/orders/${number[1]}`, kind: t('订单', 'Order') },
      { name: t(`运行 ${number[1]}`, `Run ${number[1]}`), path: `/runs/${number[1]}`, kind: t('运行', 'Run') });
    at = 0;
    show();
    const isAsked = text.length > 1, none = t('没有找到', 'Nothing was found');
    if (found.length || !isAsked) told.textContent = found.length ? '' : none;
    if (!isAsked) return;
    // A job may have a number for its name.
    const answer = await request('GET', `/v1/cron/job/?limit=12&q=${encodeURIComponent(text)}`);
    if (mine !== asked) return;
    if (answer.code === 0)
      found.push(...answer.data.map((job) => ({ name: job.job_id, path: `/jobs/${encodeURIComponent(job.job_id)}`, kind: t('任务', 'Job') })));
    told.textContent = answer.code !== 0 ? answer.msg : found.length ? '' : none;
    show();
  }
  input.addEventListener('input', search);
  input.addEventListener('keydown', (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      at = (at + (event.key === 'ArrowDown' ? 1 : -1) + found.length) % Math.max(1, found.length);
      show();
    }
    else if (event.key === 'Enter') { event.preventDefault(); go(found[at]); }
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  search();
}

export function showKeys() {
  const keys = [
    ['Ctrl K', t('转到页面、任务、订单', 'Go to a page, job, order')], ['?', t('所有按键', 'All keys')], ['/', t('搜索或筛选', 'Search or filter')],
    ['j  k', t('下一行、上一行', 'Next row, previous row')], ['Enter', t('打开所在行', 'Open the row')],
    ...[...document.querySelectorAll('main [data-key]')]
      .filter((button, index, all) => all.findIndex((other) => other.dataset.key === button.dataset.key) === index)
      .map((button) => [button.dataset.key, button.dataset.word ?? button.textContent.trim()]),
    ...(document.querySelector('[data-grid]') ? [
      ['↑ ↓ ← →', t('表格中移动', 'Move in the grid')], ['PgUp  PgDn', t('上一页、下一页主机', 'A page of hosts up, down')],
      ['Home  End', t('第一台、最后一台主机', 'First, last host')], [t('空格', 'Space'), t('选择主机', 'Select the host')],
      ['Shift ↑ ↓', t('连续选择主机', 'Select the hosts on the way')], ['a', t('选择所有符合的主机', 'Select all that match')],
      ['Esc', t('取消选择', 'Clear the selection')], ['Enter', t('到输出', 'To the output')],
    ] : []),
    ...(document.querySelector('[data-matrix]') ? [
      ['↑ ↓', t('上一个、下一个任务', 'Job above, below')], ['← →', t('前一个、后一个到期的格', 'Previous, next cell in which anything was due')],
      ['Enter', t('这一格为什么', 'Why the cell is so')],
    ] : []),
    ...(document.querySelector('[data-template]') ? [['Alt ↑ ↓', t('移动所在步骤', 'Move the step')], ['Enter', t('修改所在步骤', 'Change the step')]] : []),
    ...(document.querySelector('[data-log]') ? [
      ['f', t('跟随日志末尾', 'Follow the end of the log')], ['g  G', t('日志开头、末尾', 'Start, end of the log')],
      ['n  N', t('下一个、上一个匹配', 'Next, previous match')], ['w', t('换行', 'Wrap')],
    ] : [])];
  const dialog = h('dialog', { 'aria-labelledby': 'keys-title' }, h('div', { class: 'inside' }, h('h2', { id: 'keys-title' }, t('按键', 'Keys')),
    h('dl', { class: 'keys' }, ...keys.flatMap(([key, text]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, text)])),
    h('div', { class: 'end' }, h('button', { class: 'button primary', onclick: () => dialog.close() }, t('关闭', 'Close')))));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
