// What every page does: times, live refresh, actions, forms, keys. Everything is bound by attributes, so that a page is HTML alone.
import { confirm, copy, once, request, say, sayKept, sayLater } from './api.js';
import { follow, onState, shows } from './live.js';
import { morph } from './morph.js';
import { h, inZone, span, t } from './words.js';

const main = () => document.getElementById('main');

// Times ------------------------------------------------------------------------------------------------------------------------------------------------
const clock = document.querySelector('[data-clock]');
const skew = clock ? Number(clock.dataset.clock) - Date.now() : 0;
export const now = () => Date.now() + skew;

function tick() {
  if (clock) clock.textContent = inZone(now()).slice(11);
  for (const element of document.querySelectorAll('[data-ago]')) {
    const seconds = (Date.parse(element.dataset.ago) - now()) / 1000;
    const text = seconds > 0 ? t(`${span(seconds)}后`, `in ${span(seconds)}`) : t(`${span(seconds)}前`, `${span(seconds)} ago`);
    if (element.textContent !== text) element.textContent = text;
  }
}

document.addEventListener('mouseover', (event) => {
  const time = event.target.closest?.('time[data-time]');
  if (!time) return;
  const at = new Date(time.dateTime);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  time.title = `${at.toLocaleString()} (${zone})\n${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
});

// A time that is copied whole says its zone, which the page need not. A selection elsewhere may stay while one copies out of a field.
document.addEventListener('copy', (event) => {
  if (event.target.closest?.('input, textarea')) return;
  const { anchorNode: from, focusNode: to, isCollapsed } = getSelection();
  const time = isCollapsed ? null : (from instanceof Element ? from : from.parentElement)?.closest('time[data-time]');
  if (!time?.contains(to) || getSelection().toString().trim() !== time.textContent.trim()) return;
  event.clipboardData.setData('text/plain', time.getAttribute('datetime'));
  event.preventDefault();
});

// Live -------------------------------------------------------------------------------------------------------------------------------------------------
let refreshing = null, again = false, isFresh = false, last = 0, rest = 0, later = 0;

/** Reads the page again and takes over what changed. */
export async function refresh() {
  if (refreshing) { again = true; return refreshing; }
  refreshing = (async () => {
    do {
      again = isFresh = false;
      const wait = last + rest - Date.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      last = Date.now();
      try {
        const response = await fetch(location.href, { headers: { 'X-Codo-Part': '1', Accept: 'text/html' } });
        if (response.status === 401) { signedOut(); return; }
        // A page that came without the database follows nothing, and its scripts have looked for what they show.
        if (main().dataset.status === '503' && response.status < 500) { location.reload(); return; }
        away?.remove();
        away = null;
        // What is shown stays, rather than give way to a page that says the host cannot answer just now. Either the poll asks again, or one timer.
        if (response.status >= 500 && main().dataset.status === '200') { clearTimeout(later); later = poll ? 0 : setTimeout(refresh, 5000); return; }
        // What is half filled in stays where the object has gone, or may no longer be seen.
        if ((response.status === 403 || response.status === 404) && main().querySelector('[data-dirty]')) {
          gone ??= say(t('此对象已不可用，填写的内容还在。', 'This is no longer there, or not to be seen; what was typed is still here.'), true);
          return;
        }
        gone?.remove();
        gone = null;
        const fresh = new DOMParser().parseFromString(await response.text(), 'text/html');
        for (const id of ['figures', 'main']) {
          const wanted = fresh.getElementById(id);
          if (wanted && !document.getElementById(id).contains(document.querySelector('dialog[open]'))) morph(document.getElementById(id), wanted);
        }
        for (const [topic, version] of topics()) shows(topic, version);
        tick();
        cursor();
        isFresh = true;
      } catch { /* The stream says that the host is away, and asks for the page again when it is back. */ }
      // A change is seen at once; of many one after another the page takes a fifth of the time at most.
      rest = Math.min(2000, Math.max(150, 5 * (Date.now() - last)));
    } while (again);
  })();
  await refreshing;
  refreshing = null;
}

// A form that is half filled in outlives the session, and so does a dialog, which may show a secret this once: whoever signs in in another tab goes on with it.
let away = null, gone = null;
function signedOut() {
  if (!document.querySelector('[data-dirty], dialog[open]')) { location.reload(); return; }
  if (away) return;
  const message = away = say(t('登录已结束，此页内容与填写的内容还在。', 'The session is over; this page and what was typed are still here. '), true);
  message.firstElementChild.append(h('a', { href: '/', target: '_blank' }, t('在另一个标签页登录', 'Sign in in another tab')));
  const box = message.parentElement, dialog = [...document.querySelectorAll('dialog[open]')].at(-1);
  if (!dialog) return;
  // Nothing outside of an open dialog can be reached.
  dialog.append(message);
  dialog.addEventListener('close', () => { if (dialog.contains(message)) box.append(message); }, { once: true });
}

const topics = () => (main()?.dataset.topics ?? '').split(' ').filter(Boolean).map((text) => {
  const at = text.lastIndexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
});

let poll = 0;
for (const [topic, version] of topics()) if (version) follow(topic, version, refresh);
onState(({ state, since }) => {
  const bar = document.getElementById('broken');
  // Each try that failed tells it again, sooner than the page is to be read again.
  if (state === 'live') { clearInterval(poll); poll = 0; } else poll ||= setInterval(refresh, 5000);
  if (state === 'broken') {
    const at = inZone(since + skew).slice(11);
    bar.textContent = t(`实时更新自 ${at} 起中断，每 5 秒重试`, `Live updates broke off at ${at}; trying every 5 s`);
    bar.hidden = false;
  } else if (!bar.hidden) {
    bar.hidden = true;
    refresh();
  }
  document.documentElement.dataset.stream = state;
});
if (main()?.dataset.status === '503') poll = setInterval(refresh, 5000);

// Actions ----------------------------------------------------------------------------------------------------------------------------------------------
async function act(button) {
  if (button.getAttribute('aria-disabled') === 'true') { say(button.dataset.reason, true); return; }
  if (button.getAttribute('aria-busy') === 'true') return;
  // What it asks has numbers: they are to be those of now. By then another action may stand in its place, which nobody has pressed.
  if ('recounts' in button.dataset) {
    const pressed = button.dataset.path + button.dataset.body;
    button.setAttribute('aria-busy', 'true');
    last = 0;
    isFresh = false;
    await refresh();
    button.removeAttribute('aria-busy');
    if (!isFresh) { say(t('此页无法重新读取，请稍后再试', 'The page could not be read again; try again shortly'), true); return; }
    if (!button.isConnected || button.getAttribute('aria-disabled') === 'true' || button.dataset.path + button.dataset.body !== pressed) return;
  }
  // What was pressed counts: by the answer the button may say the opposite.
  const { method, path, body, confirm: asked, typed, undo, undoMethod, undoPath, undoBody, undoGo, go } = button.dataset;
  const send = async () => {
    button.setAttribute('aria-busy', 'true');
    const answer = await once(path + body, method, path, body ? JSON.parse(body) : undefined);
    button.removeAttribute('aria-busy');
    // A test message that was not taken is no failed request, and still bad.
    const isBad = answer.code !== 0 || answer.delivered === false;
    // What was so already is somebody else's doing, and not taken back.
    const back = !isBad && undo && answer.changed !== false
      ? { word: undo, method: undoMethod, path: undoPath, body: JSON.parse(filled(undoBody, answer)), go: undoGo } : null;
    if (!isBad && go) {
      for (const form of document.querySelectorAll('form[data-dirty]')) form.removeAttribute('data-dirty');
      sayLater(told(answer), back);
      location.href = go;
      return;
    }
    say(told(answer), isBad, back && { word: undo, run: () => takeBack(back) });
    await refresh();
  };
  const lines = asked?.split('\n') ?? [];
  if (!asked || await confirm(lines[0], lines.slice(1), button.textContent.trim(), button.classList.contains('danger'), typed)) await send();
}

const filled = (text, answer) => text.replace(/\{(\w+)\}/g, (whole, name) => answer[name] ?? whole);

/** @param {{method?: string, path: string, body: any, go?: string}} undo a request */
async function takeBack({ method = 'POST', path, body, go }) {
  const answer = await request(method, path, body);
  if (answer.code === 0 && go) { sayLater(told(answer)); location.href = go; return; }
  say(told(answer), answer.code !== 0);
  await refresh();
}

const told = (answer) => [answer.msg, answer.hint, answer.delivered === undefined ? null : answer.answer, ...(answer.warnings ?? [])]
  .filter(Boolean).join('\n');

// A secret that is answered this once, each with a button to copy it.
function showSecrets(title, values) {
  const dialog = h('dialog', { 'aria-labelledby': 'secret-title' }, h('div', { class: 'inside' }, h('h2', { id: 'secret-title' }, title),
    h('p', { class: 'muted' }, t('只显示这一次，请现在保存。', 'It is shown this once: keep it now.')),
    ...values.map((value) => h('div', { class: 'code' },
      h('pre', { tabindex: '0' }, h('code', {}, value)),
      h('button', { type: 'button', class: 'button small', onclick: () => copy(value) }, t('复制', 'Copy')))),
    h('div', { class: 'end' }, h('button', { class: 'button primary', onclick: () => dialog.close() }, t('已保存', 'I have kept it')))));
  // Neither Escape nor Back takes it away. A browser lets a dialog refuse only the first of several, so that the key itself is held back too.
  const stay = (event) => { if (event.key === 'Escape' && [...document.querySelectorAll('dialog[open]')].at(-1) === dialog) event.preventDefault(); };
  addEventListener('keydown', stay);
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  dialog.addEventListener('close', () => { removeEventListener('keydown', stay); dialog.remove(); refresh(); });
  document.body.append(dialog);
  dialog.showModal();
}

// What nobody has touched is not sent: it may have been changed elsewhere meanwhile.
export const isAsItWas = (field) => (field.type === 'checkbox' ? field.checked === field.defaultChecked
  : field.options ? [...field.options].every((option) => option.selected === option.defaultSelected) : field.value === field.defaultValue);

const listOf = (text) => text.split(/[,，\n]/).map((item) => item.trim()).filter(Boolean);

// One NAME=value a line. A value of several lines is JSON text, and so is one that would be taken for such text; other quotes belong to the value.
const unquoted = (text) => {
  if (!text.startsWith('"')) return text;
  try { const value = JSON.parse(text); return /^"|[\n\r]/.test(value) ? value : text; } catch { return text; }
};
export const quoted = (value) => (value !== null && (/[\n\r]/.test(value) || unquoted(value) !== value) ? JSON.stringify(value) : value);

// Null where a line is no pair: what it means is not guessed, and nothing is left out.
function pairs(field) {
  const lines = field.value.split('\n').filter((line) => line.trim());
  const wrong = lines.find((line) => !line.includes('='));
  if (wrong === undefined)
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')).trim(), unquoted(line.slice(line.indexOf('=') + 1))]));
  refuse(field.form, field, t(`「${wrong}」没有等号：每行一个 名称=值，多行的值写成 名称="一\\n二"`,
    `“${wrong}” has no equals sign: one NAME=value a line, and a value of several lines as NAME="one\\ntwo"`));
  return null;
}

// The button that was pressed is sent like a field, and may ask first.
async function submit(form, by) {
  const asks = by?.dataset.confirm?.split('\n');
  if (asks && !(await confirm(asks[0], asks.slice(1), by.textContent.trim(), by.classList.contains('danger'), by.dataset.typed))) return;
  if (form.getAttribute('aria-busy') === 'true') return;
  const [method, path] = form.dataset.api.split(' ');
  for (const error of form.querySelectorAll('.error')) error.remove();
  for (const field of form.querySelectorAll('.invalid')) field.classList.remove('invalid');
  const body = {};
  const seen = new Set();
  for (const field of form.elements) {
    if (!field.name || (field.type === 'radio' && !field.checked) || (field.type === 'submit' && field !== by)) continue;
    const kind = field.dataset.kind;
    // Boxes of one name are one list.
    const group = kind === 'each' ? [...form.elements].filter((other) => other.name === field.name) : [field];
    if (seen.has(field.name) && kind === 'each') continue;
    seen.add(field.name);
    if ((kind?.startsWith('skip-empty') && field.value === '')
      || ((method === 'PUT' || kind === 'skip-same') && field.type !== 'hidden' && group.every(isAsItWas))) continue;
    const value = kind === 'number' ? field.value.trim() || '0'
      : kind === 'each' ? group.filter((box) => box.checked).map((box) => box.value)
      : kind === 'list' ? listOf(field.value)
      : kind === 'lines' ? field.value.split('\n').map((line) => line.trim()).filter(Boolean)
      : kind === 'lists' ? field.value.split('\n').map(listOf).filter((list) => list.length)
      : kind === 'pairs' ? pairs(field)
      : field.type === 'datetime-local' ? field.value.replace('T', ' ')
      : field.type === 'checkbox' ? field.checked : field.value;
    if (value === null) return;
    // settings.url is the field url of the object settings.
    const [name, inner] = field.name.split('.');
    if (inner) (body[name] ??= {})[inner] = value; else body[name] = value;
  }
  form.setAttribute('aria-busy', 'true');
  const answer = await request(method, path, body);
  form.removeAttribute('aria-busy');
  if (answer.code === 0) {
    form.removeAttribute('data-dirty');
    const shown = form.dataset.shown?.split(' ').map((name) => answer[name]).filter(Boolean) ?? [];
    if (form.dataset.reset !== undefined) { form.reset(); form.closest('details')?.removeAttribute('open'); }
    if (shown.length) { showSecrets(answer.msg, shown); return; }
    if (form.dataset.go) {
      sayLater(told(answer));
      location.href = form.dataset.go.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(answer[name] ?? body[name] ?? ''));
      return;
    }
    // A version is taken back by the one before it. Not where the space has changed: an old version leaves a job where it is.
    const { undo, undoKey } = form.dataset, was = Number(body.version);
    const back = undo && body.space === undefined && answer.version > was
      ? { path: undo, body: { [undoKey]: body[undoKey], version: was, current: answer.version } } : null;
    say(told(answer), false, back && { word: t('撤销', 'Undo'), run: () => takeBack(back) });
    form.dispatchEvent(new CustomEvent('codo:saved', { bubbles: true, detail: answer }));
    await refresh();
    // What is stored may be written otherwise than it was typed.
    if (form.elements.version && !form.dataset.dirty) form.reset();
    return;
  }
  if (answer.code === 401) { signedOut(); return; }
  // What would run is no longer what was shown: it is to be looked at before it is approved.
  if (answer.plan_sha256) {
    say(told(answer), true, { word: t('重新载入页面', 'Reload the page'), run: () => { form.removeAttribute('data-dirty'); location.reload(); } });
    return;
  }
  if (answer.data?.made_to && form.elements.version) { (await import('./conflict.js')).showConflict(form, answer); return; }
  // The message names the field; without one it stands at the button.
  const field = [...form.elements].find((element) => element.name && new RegExp(`(^|[^a-z_])${element.name}([^a-z_]|$)`).test(answer.msg))
    ?? (/cron|schedule|表达式|定时器/.test(answer.msg) ? form.elements.namedItem('cron') : null);
  refuse(form, field, answer.msg + (answer.hint ? ` · ${answer.hint}` : ''));
}

function refuse(form, field, text) {
  const error = h('small', { class: 'error', role: 'alert' }, text), place = field?.closest?.('.field');
  if (place) { place.classList.add('invalid'); place.append(error); field.focus(); } else (form.querySelector('.form-bar') ?? form).append(error);
}

document.addEventListener('click', (event) => {
  const target = event.target instanceof Element
    ? event.target.closest('[data-method], [aria-disabled="true"], [data-copy], [data-curl], [data-language], [data-theme-next], [data-palette]') : null;
  if (!target) return;
  const { dataset } = target;
  if (dataset.copy !== undefined) copy(dataset.copy);
  else if (dataset.curl) curl(dataset.curl);
  else if (dataset.language) { keep('codo_lang', dataset.language); location.reload(); }
  else if (dataset.themeNext !== undefined) theme();
  else if (dataset.palette !== undefined) openPalette();
  // The second click of a double click would meet what the first has made of the button.
  else if ((dataset.method || dataset.reason) && event.detail < 2) act(target);
});
// A key that is held presses again and again: by then the button may say the opposite, or the focus is on that of a question that nobody has read.
document.addEventListener('keydown', (event) => {
  if (event.repeat && (event.key === 'Enter' || event.key === ' ') && event.target.closest?.('button')) event.preventDefault();
});
document.addEventListener('submit', (event) => {
  if (event.target.dataset.api) { event.preventDefault(); submit(event.target, event.submitter); }
});
// What is half filled in is not left without a question; a password is typed again soon.
addEventListener('beforeunload', (event) => {
  if (document.querySelector('form[data-dirty]:not(:has([type=password]))')) event.preventDefault();
});
document.addEventListener('input', (event) => {
  const form = event.target.closest?.('form[data-api]');
  if (form) form.dataset.dirty = '1';
  const filter = event.target.closest?.('form[data-filter]');
  if (filter) { clearTimeout(filter.timer); filter.timer = setTimeout(() => narrow(filter), 250); }
  if (event.target.dataset?.preview !== undefined) { clearTimeout(previewing); previewing = setTimeout(() => preview(event.target), 200); }
  if (event.target.dataset?.nodes !== undefined) { clearTimeout(fitting); fitting = setTimeout(() => fit(event.target), 200); }
});

// What fits already is shown when the field is entered.
document.addEventListener('focusin', (event) => {
  const field = event.target;
  if (field instanceof HTMLInputElement && field.dataset.nodes !== undefined && field.value) fit(field);
});

// Filters are in the address; what is typed replaces it, so that Back leaves the page.
async function narrow(form) {
  const query = new URLSearchParams([...new FormData(form)].map(([name, value]) => [name, String(value)]).filter(([, value]) => value !== ''));
  history.replaceState(null, '', location.pathname + (query.size ? `?${query}` : ''));
  last = 0;
  await refresh();
}

// What an expression means while it is typed.
let previewing = 0;
async function preview(input) {
  const output = document.getElementById(input.dataset.preview);
  const zone = input.form.elements.namedItem('time_zone')?.value;
  const answer = await request('GET', `/v1/cron/job/next/?cron=${encodeURIComponent(input.value)}${zone ? `&time_zone=${encodeURIComponent(zone)}` : ''}`);
  output.replaceChildren(answer.code === 0
    ? h('span', {}, h('strong', {}, answer.cron_text), ' · ',
      (answer.data ?? []).slice(0, 3).map((time) => time.local + (time.note ? ` (${time.note})` : "")).join(' · '))
    : h('span', { class: 'error' }, answer.msg + (answer.hint ? ` · ${answer.hint}` : '')));
}

// Which nodes fit a selector while it is typed.
let fitting = 0;
async function fit(input) {
  const output = document.getElementById(input.dataset.nodes);
  if (!output) return;
  const answer = await request('GET', `/v2/nodes/fit/?role=${input.dataset.role}&node=${encodeURIComponent(input.value)}`);
  const names = (answer.data ?? []).map((node) => node.name).join(', ');
  output.replaceChildren(answer.code === 0
    ? h('span', { class: names ? null : 'error' }, names ? t('符合：', 'Fits: ') + names : t('没有存活的节点符合', 'No live node fits'))
    : h('span', { class: 'error' }, answer.msg));
}

function curl(command) {
  const dialog = h('dialog', { 'aria-label': 'curl' }, h('div', { class: 'inside' }, h('h2', {}, t('同样的内容，用 curl', 'The same with curl')),
    h('p', { class: 'muted' }, t('CODO_TOKEN 是你的令牌。', 'CODO_TOKEN is your token.')),
    h('div', { class: 'code' }, h('pre', { tabindex: '0' }, h('code', {}, command))),
    h('div', { class: 'end' },
      h('button', { class: 'button', onclick: () => copy(command) }, t('复制', 'Copy')),
      h('button', { class: 'button primary', onclick: () => dialog.close() }, t('关闭', 'Close')))));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// Choices ----------------------------------------------------------------------------------------------------------------------------------------------
const keep = (name, value) => { document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`; };
function theme() {
  const order = ['auto', 'light', 'dark'];
  const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3];
  document.documentElement.dataset.theme = next;
  keep('codo_theme', next);
  document.dispatchEvent(new Event('codo:theme'));
}

// Keys -------------------------------------------------------------------------------------------------------------------------------------------------
async function openPalette() { (await import('./palette.js')).openPalette(); }

const rows = () => [...document.querySelectorAll('tr[data-href], [data-item]')];
let place = -1;
function cursor(step = 0) {
  const all = rows(), marked = all.findIndex((row) => row.hasAttribute('data-cursor'));
  // It stays at its row while others come and go above it.
  if (marked >= 0) place = marked;
  for (const row of document.querySelectorAll('[data-cursor]')) { row.classList.remove('cursor'); row.removeAttribute('data-cursor'); }
  if (place < 0 && !step) return;
  place = Math.max(0, Math.min(all.length - 1, place + step));
  const row = all[place];
  if (!row) return;
  row.dataset.cursor = '';
  row.classList.add('cursor');
  if (step) row.scrollIntoView({ block: 'nearest' });
}

document.addEventListener('keydown', (event) => {
  // A key that an input method takes, such as Enter for the word that it offers.
  if (event.isComposing || event.keyCode === 229) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') { event.preventDefault(); openPalette(); return; }
  const typing = event.target.matches?.('input, textarea, select, [contenteditable]');
  if (typing && event.key === 'Escape') event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.key === '?') import('./palette.js').then((module) => module.showKeys());
  else if (event.key === '/') { const search = document.querySelector('main input[type="search"]'); if (search) { event.preventDefault(); search.focus(); } }
  else if (event.key === 'j') cursor(1);
  else if (event.key === 'k') cursor(-1);
  // Of what a click has focused, a button or a link means itself.
  else if (event.key === 'Enter' && place >= 0 && (event.target === document.body || event.target.matches?.('#main, .scroll'))) {
    const row = rows()[place];
    if (row?.dataset.href) location.href = row.dataset.href;
  }
  else if (!event.repeat) {
    const scope = place >= 0 ? rows()[place] : null;
    const button = scope?.querySelector(`[data-key="${CSS.escape(event.key)}"]`) ?? document.querySelector(`main .title [data-key="${CSS.escape(event.key)}"]`);
    const logs = document.querySelectorAll('[data-log]');
    if (button) { event.preventDefault(); button.click(); }
    // The keys of the only output of a page mean it wherever the focus is.
    else if (logs.length === 1 && 'fgGnNw'.includes(event.key)) logs[0].view?.key(event);
  }
});

sayKept(takeBack);
setInterval(tick, 1000);
tick();
document.documentElement.dataset.ready = '1';
performance.mark('codo-ready');
