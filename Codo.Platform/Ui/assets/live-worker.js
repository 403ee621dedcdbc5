import { createHub } from './hub.js';

const hub = createHub();
self.addEventListener('connect', (event) => {
  const port = event.ports[0];
  const member = hub.join((message) => port.postMessage(message));
  port.onmessage = ({ data }) => member.receive(data);
});
