// What the page shows goes on without a change that the stream tells of, so it is read again by itself, until it says that it is over.
import { refresh } from './app.js';

const timer = setInterval(() => {
  if (document.querySelector('[data-still]')) clearInterval(timer);
  else if (!document.hidden) refresh();
}, 5000);
