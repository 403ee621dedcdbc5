// Takes over what a fresh rendering changed and leaves the rest alone, so that focus, selection, scroll and open menus survive.

/** @param {Element} from what the page shows @param {Element} to what it should show */
export function morph(from, to) {
  // What somebody is filling in is theirs until they save it.
  if (from.hasAttribute('data-keep') || from.matches('form[data-dirty]')) return;
  attributes(from, to);
  children(from, to);
}

function attributes(from, to) {
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && !own(from, name)) from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value && !own(from, name)) from.setAttribute(name, value);
}

// What a person or a script has set since.
const own = (element, name) => name === 'open' || name === 'aria-busy' || name === 'data-live'
  || (name === 'value' && element.matches('input') && !element.closest('form[data-api]')) || (name === 'checked' && !element.closest('form[data-api]'))
  || (name === 'class' && element.hasAttribute('data-cursor')) || name === 'data-cursor' || (name === 'title' && element.hasAttribute('data-time'));

const keyOf = (node) => (node instanceof Element ? node.id || node.getAttribute('data-row') || '' : '');
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

function children(from, to) {
  const keyed = new Map();
  for (const child of from.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    let match = null;
    const key = keyOf(wanted);
    if (key) match = keyed.get(key) ?? null;
    else for (let candidate = at; candidate; candidate = candidate.nextSibling) if (alike(candidate, wanted)) { match = candidate; break; }
    if (match && match.nodeName !== wanted.nodeName) match = null;
    if (!match) {
      from.insertBefore(wanted, at);
      continue;
    }
    if (match !== at) from.insertBefore(match, at);
    else at = at.nextSibling;
    if (match instanceof Element) morph(match, /** @type {Element} */ (wanted));
    else if (match.nodeValue !== wanted.nodeValue) match.nodeValue = wanted.nodeValue;
  }
  while (at) {
    const next = at.nextSibling;
    // A form that is half filled in stays, also where there is none any more.
    if (!(at instanceof Element && (at.hasAttribute('data-keep') || at.matches('form[data-dirty]') || at.querySelector('form[data-dirty]')))) at.remove();
    at = next;
  }
}
