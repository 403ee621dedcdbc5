// The output of all hosts of an order as one log: each line behind its host, as the order's stream brings them.
import { LogView } from './log-view.js';
import { t } from './words.js';

// Lines that the page holds; the search knows more.
const MOST = 200000;

/** @param {string} order */
function orderSource(order) {
  // The last line of each attempt: a stream that is taken up again sends those of the last half minute twice.
  const seen = new Map();
  /** The line that came last. @type {any} */
  let above = null;
  let waiting = [], count = 0, last = '', missing = '', lost = '', listener = () => {}, timer = 0, events = null, retry = 0;

  // Lines come one by one, by the thousand: they are told of together.
  const tell = () => { timer ||= setTimeout(() => { timer = 0; listener(); }, 100); };

  function take({ data, lastEventId }) {
    const row = JSON.parse(data), attempt = `${row.sched_id}:${row.attempt}`;
    last = lastEventId;
    if (row.line <= (seen.get(attempt) ?? 0)) return;
    seen.set(attempt, row.line);
    // A long line comes in pieces. Those that stand together are copied as one, so that its host is named once.
    const isPiece = above?.continues && above.attempt === attempt && above.number === row.line - 1;
    if (isPiece) above.line.joins = true;
    const line = {
      text: isPiece ? row.log_info : `${row.host} | ${row.log_info}`, at: `${row.exec_time} · ${row.task_name}`,
      isCommand: row.line === 1 && row.log_info.startsWith('[CMD]: '),
    };
    above = { line, attempt, number: row.line, continues: row.continues };
    waiting.push(line);
    if (++count === MOST) {
      close();
      waiting.push({ text: t(`—— 只显示 ${MOST} 行：其余的请搜索 ——`, `—— ${MOST} lines are shown: search for what is in the others ——`), isCommand: true });
    }
    tell();
  }

  function open() {
    clearTimeout(retry);
    if (events || count >= MOST || document.hidden) return;
    const mine = events = new EventSource(`/v2/task/log/stream/?list_id=${order}${last ? `&after=${last}` : ''}`);
    mine.addEventListener('message', take);
    // What a node that is away has is said anew where it still is; what is lost only by the stream that came upon it.
    mine.addEventListener('open', () => { missing = lost; tell(); });
    mine.addEventListener('missing', ({ data }) => { const said = JSON.parse(data); lost = said.lost || lost; missing = said.missing || lost; tell(); });
    // The browser itself tries again, but not where it was refused.
    mine.addEventListener('error', () => {
      if (events !== mine || mine.readyState !== EventSource.CLOSED) return;
      close();
      retry = setTimeout(open, 5000);
      missing = t('输出暂时无法读取，每 5 秒重试', 'The output cannot be read just now; trying every 5 s');
      tell();
    });
  }

  function close() { clearTimeout(retry); events?.close(); events = null; }

  return {
    name: `order-${order}`,
    listen(heard) {
      listener = heard;
      // A tab that nobody sees holds no connection.
      const turned = () => { if (document.hidden) close(); else open(); };
      document.addEventListener('visibilitychange', turned);
      open();
      return () => { document.removeEventListener('visibilitychange', turned); clearTimeout(timer); close(); };
    },
    async tail() { return { code: 0, lines: [], before: 0, after: '' }; },
    async next() { return { code: 0, lines: waiting.splice(0), after: '', missing }; },
  };
}

for (const place of document.querySelectorAll('[data-order-log]')) place.view = new LogView(place, orderSource(place.dataset.orderLog));
