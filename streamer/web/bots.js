// @ts-check
/** The bots of a feed that has several: the one that is shown, and the state of the others. */

import { byId, el, setText } from './dom.js';
import { age, known } from './format.js';

/** @typedef {import('./link.js').FeedLink} FeedLink */

const STALE_S = 15;

export class BotChooser {
  /** @param {FeedLink} link @param {() => void} onChosen */
  constructor(link, onChosen) {
    this.link = link;
    this.place = byId('bots');
    this.select = /** @type {HTMLSelectElement} */ (byId('bot-chosen'));
    this.select.addEventListener('change', () => {
      link.show(this.select.value);
      onChosen();
    });
  }

  /** The list of bots, with a sign for those that are silent. */
  draw() {
    const { link, select } = this;
    const names = link.names();
    this.place.hidden = names.length < 2;
    if (this.place.hidden) return;
    if (names.join('\n') !== select.dataset.names) {
      select.dataset.names = names.join('\n');
      select.replaceChildren(...names.map((name) => el('option', { value: name })));
    }
    for (const option of select.options) setText(option, `${this.sign(option.value)} ${option.value}`);
    select.value = link.reducer.name;
    const others = names.filter((name) => name !== link.reducer.name && this.sign(name) === '✕');
    this.place.title = others.length ? `No event from: ${others.map((name) => `${name}${this.silent(name)}`).join(', ')}` : '';
    this.place.dataset.tone = others.length ? 'error' : '';
  }

  /** @param {string} name */
  sign(name) {
    const pulse = this.link.pulse(name);
    const heard = known(pulse.heard_s);
    if (pulse.lost) return '✕';
    if (heard === null) return '○';
    return heard > STALE_S ? '✕' : '●';
  }

  /** @param {string} name */
  silent(name) {
    const heard = known(this.link.pulse(name).heard_s);
    return heard === null ? '' : ` for ${age(heard)}`;
  }
}
