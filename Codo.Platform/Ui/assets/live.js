// The page's end of the stream: who listens to which topic, and what the state of the connection is.
import { createHub } from './hub.js';

const listeners = new Map();
const states = new Set();
// Topics whose state comes by the stream alone, as an order's does.
const whole = new Set();
let versions = {}, hidden = false, hide = 0, send;

function receive(message) {
  if (message.state) for (const listener of states) listener(message);
  if (!message.change) return;
  const { topic, version, data } = message.change;
  // The page has it by now, and asks for what comes after it alone.
  if (data && version && !hidden) { whole.add(topic); versions[topic] = version; }
  for (const listener of listeners.get(topic) ?? []) listener(message.change);
}

function connect() {
  if (send) return;
  if ('SharedWorker' in window) {
    const worker = new SharedWorker(new URL('./live-worker.js', import.meta.url), { type: 'module', name: 'codo-live' });
    worker.port.onmessage = ({ data }) => receive(data);
    send = (message) => worker.port.postMessage(message);
  } else {
    const member = createHub().join(receive);
    send = (message) => member.receive(message);
  }
  addEventListener('pagehide', () => letGo({ leave: true }));
  addEventListener('pageshow', (event) => { if (event.persisted) takeUp(); });
  // One that was opened in the background has never been seen, and is told of no change.
  if (document.hidden) rest();
}

const announce = () => { if (!hidden) send({ topics: Object.fromEntries([...listeners.keys()].map((topic) => [topic, versions[topic] ?? ''])) }); };

/**
 * @param {string} topic
 * @param {string} version what the page shows; empty asks for the whole state
 * @param {(change: {topic: string, version: string, data: any}) => void} listener
 */
export function follow(topic, version, listener) {
  connect();
  if (!listeners.has(topic)) listeners.set(topic, new Set());
  listeners.get(topic).add(listener);
  versions[topic] = version;
  queueMicrotask(announce);
  return () => {
    listeners.get(topic)?.delete(listener);
    if (!listeners.get(topic)?.size) listeners.delete(topic);
    queueMicrotask(announce);
  };
}

/** Tells the stream what the page shows by now. */
export function shows(topic, version) { versions[topic] = version; }

/** @param {(state: {state: 'live' | 'broken', since?: number}) => void} listener */
export function onState(listener) { states.add(listener); }

// A tab that nobody sees lets go; it reads again when it is seen. The hub may go on with other tabs meanwhile, and knows no version of what this one has whole.
function letGo(message) {
  hidden = true;
  for (const topic of whole) versions[topic] = '';
  send(message);
}

function takeUp() { hidden = false; announce(); }

function rest() { clearTimeout(hide); hide = setTimeout(() => letGo({ topics: {} }), 20000); }

document.addEventListener('visibilitychange', () => {
  if (!send) return;
  clearTimeout(hide);
  if (document.hidden) rest(); else if (hidden) takeUp();
});
