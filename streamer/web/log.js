// @ts-check
/** The event log: all events since the page was opened, filtered, following the newest or held. */

import { byId, el, setText } from './dom.js';
import { clock } from './format.js';
import { LEVELS, colour, level, tag, text } from './words.js';

/** @typedef {import('./state.js').Wire} Wire */

const KEPT = 2000;
/** Lines in the document; older ones are in memory and come back with a filter. */
const SHOWN = 400;

export class LogView {
  /** @param {{onOpen: (event: Wire) => void}} calls */
  constructor({ onOpen }) {
    this.onOpen = onOpen;
    /** @type {Wire[]} */ this.events = [];
    /** @type {WeakMap<Element, Wire>} */ this.byLine = new WeakMap();
    /** @type {Wire[]} */ this.waiting = [];
    this.matching = 0;
    this.ids = 0;
    this.list = byId('events-list');
    this.level = /** @type {HTMLSelectElement} */ (byId('events-level'));
    this.filter = /** @type {HTMLInputElement} */ (byId('events-filter'));
    this.button = byId('events-follow');
    this.following = true;
    /** @type {Element | null} */ this.selected = null;
    this.level.addEventListener('change', () => this.rebuild());
    this.filter.addEventListener('input', () => this.rebuild());
    this.button.addEventListener('click', () => this.follow());
    this.list.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = this.list;
      this.following = scrollHeight - scrollTop - clientHeight < 30;
      this.button.hidden = this.following;
    });
    this.list.addEventListener('click', (event) => {
      const line = event.target instanceof Element ? event.target.closest('[role=option]') : null;
      if (line) this.open(line);
    });
    this.list.addEventListener('keydown', (event) => this.key(event));
  }

  /** The log starts again. @param {Wire[]} events @param {string} missed the events that are not in it */
  reset(events, missed) {
    this.events = events.slice(-KEPT);
    const note = byId('events-missed');
    note.hidden = missed === '';
    setText(note, missed && `Not shown here: ${missed}.`);
    this.rebuild();
  }

  /** @param {Wire} event */
  add(event) {
    this.events.push(event);
    if (this.events.length > KEPT) this.events.splice(0, this.events.length - KEPT);
    this.waiting.push(event);
  }

  /** @param {Wire} event */
  wanted(event) {
    if (LEVELS.indexOf(level(event)) < LEVELS.indexOf(/** @type {any} */ (this.level.value))) return false;
    const words = this.filter.value.trim().toLowerCase();
    if (words === '') return true;
    const not = words.startsWith('!');
    const found = `${event.type} ${tag(event)} ${text(event)}`.toLowerCase().includes(not ? words.slice(1) : words);
    return found !== not;
  }

  rebuild() {
    this.waiting = [];
    const shown = this.events.filter((event) => this.wanted(event));
    this.matching = shown.length;
    this.selected = null;
    this.list.removeAttribute('aria-activedescendant');
    this.list.replaceChildren(...shown.slice(-SHOWN).map((event) => this.line(event)));
    this.finish();
    this.follow();
  }

  /** Add the events since the last drawing. */
  draw() {
    if (this.waiting.length === 0) return;
    const fresh = this.waiting.filter((event) => this.wanted(event));
    this.waiting = [];
    this.matching += fresh.length;
    const wasFollowing = this.following;
    this.list.append(...fresh.slice(-SHOWN).map((event) => this.line(event)));
    // Lines above are removed only while the list follows the newest.
    while (wasFollowing && this.list.childElementCount > SHOWN) this.list.firstElementChild?.remove();
    while (this.list.childElementCount > 2 * SHOWN) this.list.firstElementChild?.remove();
    this.finish();
    if (wasFollowing) this.follow();
  }

  finish() {
    const some = this.list.childElementCount > 0;
    this.list.hidden = !some;
    byId('events-empty').hidden = some;
    setText(byId('events-empty'), this.events.length ? 'No event fits the filter.' : 'No event yet.');
    setText(byId('events-sum'), `${Math.min(this.matching, this.events.length)} of ${this.events.length}`);
  }

  follow() {
    this.list.scrollTop = this.list.scrollHeight;
    this.following = true;
    this.button.hidden = true;
  }

  /** @param {Wire} event */
  line(event) {
    this.ids += 1;
    const line = el(
      'div',
      { role: 'option', id: `event-${this.ids}`, 'aria-selected': 'false' },
      el('time', { text: clock(event.timestamp) }),
      el('span', { class: 'tag', 'data-tone': colour(event), text: tag(event) }),
      el('span', { class: 'what', text: text(event) }),
    );
    if (Number.isInteger(event.seq)) line.dataset.seq = String(event.seq);
    this.byLine.set(line, event);
    return line;
  }

  /** @param {Element} line */
  select(line) {
    this.selected?.setAttribute('aria-selected', 'false');
    this.selected = line;
    line.setAttribute('aria-selected', 'true');
    line.scrollIntoView({ block: 'nearest' });
    this.list.setAttribute('aria-activedescendant', line.id);
  }

  /** @param {Element} line */
  open(line) {
    this.select(line);
    const event = this.byLine.get(line);
    if (event) this.onOpen(event);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const here = this.selected?.isConnected ? this.selected : null;
    const { firstElementChild: first, lastElementChild: last } = this.list;
    const go = {
      ArrowUp: here ? here.previousElementSibling : last,
      ArrowDown: here ? here.nextElementSibling : last,
      Home: first,
      End: last,
    };
    if (event.key === 'Enter' && here) this.open(here);
    else if (event.key in go) {
      const line = go[/** @type {keyof typeof go} */ (event.key)];
      if (line) this.select(line);
    } else return;
    event.preventDefault();
  }
}
