// The fragment of a link, as in /runs/5#L120, never reaches the host, so it is added to `next`, where the sign-in leads back to.
const line = /^#[\w-]+$/.exec(location.hash)?.[0];
if (line) {
  for (const field of document.querySelectorAll('[name="next"]')) field.value = field.value.split('#')[0] + line;
  for (const link of document.querySelectorAll('a[href*="?next="]'))
    link.setAttribute('href', link.getAttribute('href').split('%23')[0] + encodeURIComponent(line));
}
