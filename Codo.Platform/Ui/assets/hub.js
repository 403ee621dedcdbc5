// One event stream for all tabs of a browser. It runs in a SharedWorker, and in the page itself where a browser has none.

// The server refuses a stream of more.
const MostTopics = 60;

/** @returns {{join: (send: (message: object) => void) => {receive: (message: any) => void, leave: () => void}}} */
export function createHub() {
  const ports = new Set();
  const known = new Map();
  let source = null, followed = '', brokenSince = 0, retry = 0, timer = 0, planned = 0;

  /** @param {any} message @param {Iterable<any>} to */
  const tell = (message, to = ports) => { for (const port of to) port.send(message); };
  const state = () => (brokenSince ? { state: 'broken', since: brokenSince } : { state: 'live' });

  function plan() {
    clearTimeout(planned);
    planned = setTimeout(connect, 20);
  }

  function connect(force = false) {
    // Those of the tabs that asked last come first.
    const topics = [...new Set([...ports].reverse().flatMap((port) => [...port.topics]))].slice(0, MostTopics).sort();
    const asked = topics.join(',');
    if (!force && source && asked === followed) return;
    clearTimeout(timer);
    source?.close();
    source = null;
    followed = asked;
    for (const topic of known.keys()) if (!topics.includes(topic)) known.delete(topic);
    if (!topics.length) return;
    const has = Object.fromEntries([...known].filter(([, version]) => version));
    const mine = source = new EventSource(`/v2/stream/?topics=${encodeURIComponent(asked)}&known=${encodeURIComponent(JSON.stringify(has))}`);
    mine.onopen = () => {
      retry = 0;
      if (!brokenSince) return;
      brokenSince = 0;
      tell(state());
    };
    mine.addEventListener('change', (event) => {
      const change = JSON.parse(event.data);
      if (change.version) known.set(change.topic, change.version);
      tell({ change }, [...ports].filter((port) => port.topics.has(change.topic)));
    });
    mine.onerror = () => {
      if (mine !== source) return;
      mine.close();
      source = null;
      if (!brokenSince) brokenSince = Date.now();
      tell(state());
      timer = setTimeout(() => connect(true), Math.min(3000, 300 * 2 ** retry++));
    };
  }

  return {
    join(send) {
      const port = { send, topics: new Set() };
      ports.add(port);
      return {
        receive(message) {
          if (message.leave) { ports.delete(port); plan(); return; }
          // It asks last by now; and one that had left is back out of the browser's cache of pages.
          ports.delete(port);
          ports.add(port);
          port.topics = new Set(Object.keys(message.topics));
          let restart = false;
          for (const [topic, version] of Object.entries(message.topics)) {
            if (!known.has(topic)) known.set(topic, version);
            // It stays so until the whole has come: what another tab shows meanwhile is not what this one has.
            else if (!version) { known.set(topic, ''); restart = true; }
            else if (known.get(topic) && version !== known.get(topic)) send({ change: { topic, version: known.get(topic), data: null } });
          }
          send(state());
          if (restart) followed = '';
          plan();
        },
        leave() { ports.delete(port); plan(); },
      };
    },
  };
}
