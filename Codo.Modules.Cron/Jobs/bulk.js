// The same to all selected jobs, as one request. What is selected is in the boxes of the rows alone, so that a row that goes takes its selection with it.
import { confirm, once, say } from './api.js';
import { refresh } from './app.js';
import { t } from './words.js';

const MostNamed = 50;
const bar = () => document.getElementById('bulk');
const boxes = () => [...document.querySelectorAll('[data-pick]')];
const picked = () => boxes().filter((box) => box.checked).map((box) => box.dataset.pick);

function show() {
  const count = picked().length, all = document.querySelector('[data-pick-all]');
  if (!bar()) return;
  bar().hidden = count === 0;
  const words = bar().querySelector('[data-picked]'), text = t(`已选 ${count} 个`, `${count} selected`);
  // The observer below sees this change as well.
  if (words.textContent !== text) words.textContent = text;
  if (all) { all.checked = count > 0 && count === boxes().length; all.indeterminate = count > 0 && !all.checked; }
}

const Words = {
  run: (count) => t(`现在运行 ${count} 个任务`, `Run ${count} jobs now`),
  pause: (count) => t(`暂停 ${count} 个任务`, `Pause ${count} jobs`),
  resume: (count) => t(`恢复 ${count} 个任务`, `Let ${count} jobs run again`),
  tag: (count, tags) => t(`给 ${count} 个任务加标签 ${tags}`, `Tag ${count} jobs with ${tags}`),
  untag: (count, tags) => t(`从 ${count} 个任务去掉标签 ${tags}`, `Take ${tags} from ${count} jobs`),
};

// A pause that was a mistake is undone for those that it has paused, and tags for those that got them: what was so before is somebody else's doing.
const Opposite = { pause: 'resume', resume: 'pause', tag: 'untag', untag: 'tag' };

async function send(action, ids, tags) {
  const answer = await once(`bulk ${action} ${[...ids].sort().join(' ')}`, 'POST', '/v1/cron/job/bulk/', {
    job_ids: ids, action, ...(tags.length ? { tags } : {}),
  });
  const items = answer.data ?? [], changed = new Map();
  for (const item of items.filter((one) => one.changed)) {
    const own = JSON.stringify(item.tags ?? []);
    changed.set(own, [...(changed.get(own) ?? []), item.job_id]);
  }
  const refused = items.filter((item) => !item.done).map((item) => `${item.job_id}: ${[item.text, item.hint].filter(Boolean).join(' · ')}`);
  const warned = items.filter((item) => item.warnings?.length).map((item) => `${item.job_id}: ${item.warnings.join(' · ')}`);
  const told = [...refused, ...warned];
  const back = async () => { for (const [own, jobs] of changed) await send(Opposite[action], jobs, JSON.parse(own)); };
  const undo = Opposite[action] && changed.size ? { word: t('撤销', 'Undo'), run: back } : null;
  say([answer.msg, answer.hint, ...told.slice(0, 10), told.length > 10 ? '…' : null].filter(Boolean).join('\n'), answer.code !== 0 || refused.length > 0, undo);
  await refresh();
  show();
}

async function act(action) {
  if (!action) { for (const box of boxes()) box.checked = false; show(); return; }
  const ids = picked(), field = bar().querySelector('[data-bulk-tags]');
  const tags = action.endsWith('tag') ? field.value.split(/[,，]/).map((tag) => tag.trim()).filter(Boolean) : [];
  if (action.endsWith('tag') && !tags.length) { field.focus(); return; }
  const names = [...ids.slice(0, MostNamed), ...(ids.length > MostNamed ? [t(`以及另外 ${ids.length - MostNamed} 个`, `and ${ids.length - MostNamed} more`)] : [])];
  const title = Words[action](ids.length, tags.join(', '));
  if (await confirm(title, names, t('执行', 'Do it'), action === 'pause', ids.length > MostNamed ? String(ids.length) : null)) await send(action, ids, tags);
}

document.addEventListener('change', (event) => {
  if (event.target.matches?.('[data-pick-all]')) for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.matches?.('[data-pick], [data-pick-all]')) show();
});
document.addEventListener('click', (event) => {
  const button = event.target.closest?.('[data-bulk]');
  if (button) act(button.dataset.bulk);
});
new MutationObserver(show).observe(document.getElementById('main'), { childList: true, subtree: true });
show();
