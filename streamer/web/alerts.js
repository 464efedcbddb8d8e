// @ts-check
/** Alerts: title, sound, desktop notification by permission, and the text for screen readers. */

import { byId, el, setText } from './dom.js';
import { level, tag, text } from './words.js';

/** @typedef {import('./state.js').Wire} Wire */

const SPEAK_MS = 5000;
const KEY = 'mt5dash.alerts';

/** @param {Wire} event */
export const alerting = (event) =>
  ['warn', 'error'].includes(level(event)) || ['TRADE_EXECUTION', 'POSITION_CLOSED'].includes(event.type);

export class Alerts {
  constructor() {
    this.unseen = 0;
    /** @type {string[]} */ this.toSay = [];
    this.saidAt = -Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ this.timer = undefined;
    /** @type {AudioContext | null} */ this.audio = null;
    this.sound = false;
    this.desktop = false;
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}');
      this.sound = kept.sound === true;
      this.desktop = kept.desktop === true && 'Notification' in window && Notification.permission === 'granted';
    } catch {
      // No storage: alerts start silent.
    }
    document.addEventListener('visibilitychange', () => this.seen());
    window.addEventListener('focus', () => this.seen());
  }

  /** Whether the page must stay connected while it is hidden. */
  get wanted() {
    return this.sound || this.desktop;
  }

  keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify({ sound: this.sound, desktop: this.desktop }));
    } catch {
      // Not stored: the settings last until the page is closed.
    }
  }

  /** A new event. @param {Wire} event @param {string} bot its name, when it is not the bot that is shown */
  event(event, bot = '') {
    if (!alerting(event)) return;
    this.raise(`${bot && `${bot}: `}${tag(event)} ${text(event)}`, level(event) === 'error' || level(event) === 'warn');
  }

  /** @param {string} words @param {boolean} urgent */
  raise(words, urgent) {
    this.say(words);
    if (document.hidden || !document.hasFocus()) {
      this.unseen += 1;
      document.title = `(${this.unseen}) mt5dash`;
      if (this.desktop && document.hidden) new Notification('mt5dash', { body: words.slice(0, 240), tag: urgent ? 'urgent' : 'trade' });
    }
    if (this.sound) this.beep(urgent);
  }

  seen() {
    if (document.hidden) return;
    this.unseen = 0;
    document.title = 'mt5dash';
  }

  /** Set the text for screen readers, at most every five seconds. @param {string} words */
  say(words) {
    this.toSay.push(words);
    const wait = Math.max(0, this.saidAt + SPEAK_MS - performance.now());
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.saidAt = performance.now();
      const more = this.toSay.length - 2;
      setText(byId('spoken'), this.toSay.slice(-2).join('. ') + (more > 0 ? `. And ${more} more events` : ''));
      this.toSay = [];
    }, wait);
  }

  /** @param {boolean} urgent */
  beep(urgent) {
    this.audio ??= new AudioContext();
    const { audio } = this;
    const start = audio.currentTime;
    (urgent ? [880, 660, 880] : [660]).forEach((pitch, i) => {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.0001, start + i * 0.16);
      volume.gain.exponentialRampToValueAtTime(0.12, start + i * 0.16 + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + i * 0.16 + 0.15);
      tone.connect(volume).connect(audio.destination);
      tone.start(start + i * 0.16);
      tone.stop(start + i * 0.16 + 0.16);
    });
  }

  /** @param {import('./dialogs.js').Dialogs} dialogs */
  settings(dialogs) {
    const check = (/** @type {string} */ name, /** @type {string} */ label, /** @type {boolean} */ on) => {
      const input = el('input', { type: 'checkbox', name });
      input.checked = on;
      return el('label', { class: 'check' }, input, label);
    };
    dialogs.ask({
      title: 'Alerts',
      body: [
        'Trades, closed positions, refused orders, risk alerts and a disconnected terminal or feed. The title counts the events that you have not seen.',
        check('sound', 'Sound', this.sound),
        check('desktop', 'Desktop notification while the page is hidden', this.desktop),
        'With either one on, the page stays connected while it is hidden.',
      ],
      choices: [{ label: 'Keep', value: 'keep', cls: 'go' }],
      decide: async (_, form) => {
        this.sound = form.get('sound') !== null;
        this.desktop = form.get('desktop') !== null;
        if (this.desktop && (!('Notification' in window) || (await Notification.requestPermission()) !== 'granted')) {
          this.desktop = false;
          this.keep();
          return 'The browser does not allow notifications for this page; see its site settings.';
        }
        this.keep();
        if (this.sound) this.beep(false);
        return undefined;
      },
    });
  }
}
