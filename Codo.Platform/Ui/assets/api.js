// Requests of the public API, and what became of them.
import { h, language, t, visible } from './words.js';

/**
 * @param {string | null} key an Idempotency-Key
 * @returns {Promise<any>} the answer; a failure has `code` other than 0, and `lost` where it may be done all the same.
 */
export async function request(method, path, body = undefined, key = null) {
  try {
    const response = await fetch(path, {
      method,
      headers: {
        'Accept-Language': language, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...(key ? { 'Idempotency-Key': key } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer = await response.json();
    return response.status < 500 ? answer : { ...answer, lost: true };
  } catch {
    return { code: -1, lost: true, msg: t('没有得到应答：请检查网络后重试', 'No answer: check the network and try again') };
  }
}

// Without HTTPS a browser has no randomUUID.
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

// Whoever got no answer asks again within minutes, and means the same; what is asked for later is meant anew.
const Again = 600000, unanswered = new Map();

/** Asks under a key that is sent again while there was no answer, so that it is done once. @param {string} what is asked for @returns {Promise<any>} */
export async function once(what, method, path, body) {
  const before = unanswered.get(what), key = before && Date.now() - before.at < Again ? before.key : newKey();
  const answer = await request(method, path, body, key);
  if (answer.lost) unanswered.set(what, { key, at: Date.now() }); else unanswered.delete(what);
  return answer;
}

/** A message that stays until it is dismissed; the newest is below. Of those that say that something is done, and offer nothing, the last four stay. */
export function say(text, isBad = false, undo = null) {
  const box = document.getElementById('messages');
  const message = h('div', { class: isBad ? 'message bad' : 'message' }, h('p', {}, text),
    undo && h('button', { type: 'button', class: 'button small', onclick: () => { message.remove(); undo.run(); } }, undo.word),
    h('button', { type: 'button', class: 'button small ghost', 'aria-label': t('关闭', 'Dismiss'), onclick: () => message.remove() }, '✕'));
  // What has failed again, in the same words, is said once.
  if (isBad && !undo)
    for (const old of box.querySelectorAll('.message.bad:not(:has(.button:not(.ghost)))')) if (old.firstElementChild.textContent === text) old.remove();
  box.append(message);
  for (const old of [...box.querySelectorAll('.message:not(.bad):not(:has(.button:not(.ghost)))')].slice(0, -4)) old.remove();
  box.scrollTop = box.scrollHeight;
  return message;
}

// What the next page says, since this one is left.
const Kept = 'codo-said';

/** @param {{word: string, method?: string, path: string, body: any, go?: string} | null} undo a request that takes it back */
export function sayLater(text, undo = null) { sessionStorage.setItem(Kept, JSON.stringify({ text, undo })); }

/** Says what the page before has left. @param {(undo: any) => void} take sends an undo */
export function sayKept(take) {
  const kept = sessionStorage.getItem(Kept);
  if (!kept) return;
  sessionStorage.removeItem(Kept);
  const { text, undo } = JSON.parse(kept);
  say(text, false, undo && { word: undo.word, run: () => take(undo) });
}

/** What is to be typed to confirm it: of more than 50 hosts their number, as `TypedFor` of ActionButton. @param {number} hosts */
export const typedFor = (hosts) => (hosts > 50 ? String(hosts) : null);

/** Asks before it acts: a title, what will happen as a list, and the word of the button. Resolves to true when it was pressed. */
export function confirm(title, list, word, isDanger = false, typed = null) {
  return new Promise((resolve) => {
    const field = typed && h('input', {
      name: 'typed', autocomplete: 'off', 'aria-label': t(`输入 ${typed} 以确认`, `Type ${typed} to confirm`), placeholder: typed,
    });
    const go = h('button', { class: isDanger ? 'button danger' : 'button primary', value: 'yes', disabled: Boolean(typed) }, word);
    if (field) field.addEventListener('input', () => { go.disabled = field.value !== typed; });
    const dialog = h('dialog', { 'aria-labelledby': 'confirm-title' }, h('form', { method: 'dialog' },
      h('h2', { id: 'confirm-title' }, title),
      list.length ? h('ol', { class: 'will', tabindex: '0' }, ...list.map((item) => h('li', {}, visible(item)))) : null,
      // Enter in the field presses the first button that submits.
      field, h('div', { class: 'end' }, h('button', { type: 'button', class: 'button', onclick: () => dialog.close('no') }, t('取消', 'Cancel')), go)));
    dialog.addEventListener('close', () => { resolve(dialog.returnValue === 'yes'); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
    (field ?? go).focus();
  });
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(t('已复制', 'Copied'));
  } catch {
    say(t('浏览器不允许复制：请手动选择', 'The browser does not let it be copied: select it by hand'), true);
  }
}
