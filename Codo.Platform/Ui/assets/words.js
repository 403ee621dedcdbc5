// Texts of the scripts in both languages.
const english = document.documentElement.lang === 'en';

/** @param {string} zh @param {string} en */
export const t = (zh, en) => (english ? en : zh);
export const language = english ? 'en' : 'zh';

// Codo's zone. Where the browser does not know its name, the offset of when the page was opened has to do.
const clock = document.querySelector('[data-clock]');
let zone = null;
try {
  zone = clock && new Intl.DateTimeFormat('en-GB', {
    timeZone: clock.title, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
  });
} catch { /* Such as a name of Windows. */ }

/** A moment as pages write it: 2024-03-31 03:00:00 in Codo's zone. @param {number} at milliseconds */
export function inZone(at) {
  if (!zone) return new Date(at + Number(clock?.dataset.offset ?? 0) * 60000).toISOString().slice(0, 19).replace('T', ' ');
  const { year, month, day, hour, minute, second } = Object.fromEntries(zone.formatToParts(at).map(({ type, value }) => [type, value]));
  return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
}

/**
 * A command as it is shown: characters that turn the direction of what follows, and are not seen, by their numbers. What a button copies, or is sent,
 * keeps them.
 * @param {string} text
 */
export const visible = (text) => text.replace(/\p{Bidi_Control}/gu, (letter) => `⟨U+${letter.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);

/** Makes an element: `h('button', {class: 'x', onclick}, 'text', child)`. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** How one batch of a group follows the other. */
export const follows = (group) => (group.batch_pause > 0 ? t(`，间隔 ${group.batch_pause} 秒`, `, ${group.batch_pause} s between`) : '')
  + (group.max_failures > 0
    ? t(`，失败超过 ${group.max_failures} 台时停止`, `, stops after more than ${group.max_failures} failure${group.max_failures === 1 ? '' : 's'}`)
    : t('，有主机失败时停止', ', stops after any failure'))
  + (group.next === 'confirm' ? t('，每批后确认', ', confirmed one by one') : '');

/** Seconds as a person says them. */
export function span(seconds) {
  const s = Math.round(Math.abs(seconds));
  if (s < 60) return t(`${s} 秒`, `${s} s`);
  if (s < 3600) return t(`${Math.floor(s / 60)} 分 ${s % 60} 秒`, `${Math.floor(s / 60)} min ${s % 60} s`);
  if (s < 86400) return t(`${Math.floor(s / 3600)} 小时 ${Math.floor(s / 60) % 60} 分`, `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`);
  return t(`${Math.floor(s / 86400)} 天 ${Math.floor(s / 3600) % 24} 小时`, `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`);
}

/** Seconds that were measured; null is a dash. */
export const seconds = (value) => (value === null || value === undefined ? '–'
  : value < 10 ? `${+value.toFixed(2)} s` : value < 60 ? `${value.toFixed(0)} s` : span(value));

/** Bytes in the unit that suits them; null is a dash. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes, unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : +value.toFixed(1)} ${units[unit]}`;
}
