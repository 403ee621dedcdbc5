// Heartbeats and clocks go on without a change that the stream tells of, so the page is read again by itself.
import { refresh } from './app.js';

setInterval(() => { if (!document.hidden) refresh(); }, 5000);
