// Somebody else saved meanwhile: what only they changed is taken over, what both changed is marked with their value, and what was typed stays.
import { isAsItWas, quoted } from './app.js';
import { h, t, visible } from './words.js';

// As the field writes a value of the API: one a line, or with commas.
const text = (value, kind) => (value === null || value === undefined ? '' : Array.isArray(value) ? value.join(kind === 'lines' ? '\n' : ', ') : String(value));

function pair(lines, name, value) {
  const rest = lines.split('\n').filter((line) => line.trim() && line.slice(0, line.indexOf('=')).trim() !== name);
  return (value === null ? rest : [...rest, `${name}=${value}`]).join('\n');
}

const pairOf = (lines, name) => lines.split('\n').find((line) => line.slice(0, line.indexOf('=')).trim() === name)?.replace(/^[^=]*=/, '') ?? null;

function set(field, value) {
  field.value = value;
  if (field.options) for (const option of field.options) option.defaultSelected = option.value === value;
  else field.defaultValue = value;
}

function note(field, by, words, take) {
  const place = field.closest('.field');
  const box = h('div', { class: 'theirs', role: 'group', 'aria-label': t(`${by}保存的值`, `What ${by} saved`) }, h('p', {}, words));
  place.classList.add('changed');
  place.append(box);
  if (!take) return;
  const done = () => { box.remove(); if (!place.querySelector('.theirs')) place.classList.remove('changed'); };
  box.append(h('div', { class: 'row' },
    h('button', { type: 'button', class: 'button small', onclick: () => { take(); done(); } }, t('采用对方的值', 'Take theirs')),
    h('button', { type: 'button', class: 'button small', onclick: done }, t('保留我的', 'Keep mine'))));
}

/** @param {HTMLFormElement} form @param {any} answer the refusal, whose data names both versions */
export function showConflict(form, answer) {
  for (const old of form.querySelectorAll('.theirs, .conflict')) old.remove();
  for (const field of form.querySelectorAll('.changed')) field.classList.remove('changed');
  const { version, made_to: made, by: name, fields } = answer.data, by = name || t('其他人', 'somebody else');
  let first = null;
  for (const { field: path, now, before } of fields) {
    const [key, inner] = path.startsWith('env.') ? ['env', path.slice(4)] : [path, null];
    const field = /** @type {any} */ (form.elements.namedItem(key));
    if (!field?.closest?.('.field')) continue;
    const mine = inner ? pairOf(field.value, inner) : field.value, value = inner ? quoted(now) : text(now, field.dataset.kind);
    const theirs = () => (inner ? pair(field.value, inner, value) : value);
    if (mine === value) continue;
    const said = h('code', {}, value === '' || value === null ? '–' : visible(value)), label = inner ? `${inner}: ` : '';
    if (isAsItWas(field) || (inner && mine === quoted(before))) {
      const untouched = isAsItWas(field);
      if (untouched) set(field, theirs()); else field.value = theirs();
      note(field, by, h('span', {}, label, t(`${by} 改成了 `, `${by} changed it to `), said));
    } else {
      first ??= field;
      note(field, by, h('span', {}, label, t(`${by} 保存的是 `, `${by} saved `), said), () => { field.value = theirs(); });
    }
  }
  form.elements.version.value = version;
  const compare = form.dataset.versions
    && h('a', { href: `${form.dataset.versions}?version=${version}&with=${made}` }, t('查看两个版本的不同', 'See how the two differ'));
  const banner = h('div', { class: 'banner warn conflict', role: 'alert' }, h('div', {}, answer.msg, ' ', compare || '', h('p', {}, first
    ? t('双方都改过的字段已标出：请选择，再保存。', 'Fields that both of you changed are marked: choose, then save again.')
    : t('对方的修改已合入表单：再次保存即可。', 'Their changes are in the form now: save again to store yours.'))));
  form.prepend(banner);
  form.dataset.dirty = '1';
  (first ?? banner).scrollIntoView({ block: 'center' });
  first?.focus();
}
