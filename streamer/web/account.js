// @ts-check
/** The account: figures, distance to the limits, and the badges of freshness. */

import { byId, el, setAttribute, setText } from './dom.js';
import { UNKNOWN, age, arrow, clock, known, money, number, percent, tone, words } from './format.js';
import * as fresh from './fresh.js';
import { limitAmount, limitGrade, limitName, modeName, modeOf, toneColour } from './words.js';

/** @typedef {import('./link.js').FeedLink} FeedLink */
/** @typedef {import('./wire').Account} Account */

/** @type {[string, (a: Account) => string, ((a: Account) => string)?, ((a: Account) => string)?][]} */
const FIGURES = [
  ['Equity', (a) => money(a.equity), undefined, (a) => words(a.currency ?? '')],
  ['Balance', (a) => money(a.balance)],
  ['Floating', (a) => `${money(a.profit, true)} ${arrow(a.profit)}`, (a) => tone(a.profit)],
  ['Day', (a) => `${money(a.day_pl, true)} ${arrow(a.day_pl)}`, (a) => tone(a.day_pl), dayPercent],
  ['Margin level', (a) => (a.margin === 0 ? 'no margin' : percent(a.margin_level, 0)), undefined, (a) => (known(a.margin_free) === null ? '' : `free ${money(a.margin_free)}`)],
  ['Drawdown', (a) => percent(a.drawdown_pct, 2)],
];

/** @param {Account} a */
function dayPercent(a) {
  const day = known(a.day_pl);
  const equity = known(a.equity);
  const start = day === null || equity === null ? null : equity - day;
  return day === null || !start ? '' : percent((day / start) * 100, 2, true);
}

export class AccountView {
  constructor() {
    const list = byId('figures');
    this.figures = FIGURES.map(([name, value, colour, extra]) => {
      const main = el('span', { text: UNKNOWN });
      const small = el('small');
      const dd = el('dd', {}, main, ' ', small);
      list.append(el('div', {}, el('dt', { text: name }), dd));
      return { main, small, dd, value, colour, extra };
    });
    this.limits = byId('limits');
    /** @type {Map<string, {name: Element, value: Element, bar: HTMLElement, fill: HTMLElement, item: Element}>} */
    this.bars = new Map();
    this.badges = { terminal: this.badge('terminal'), bot: this.badge('bot'), feed: this.badge('feed') };
  }

  /** @param {string} name */
  badge(name) {
    const place = byId(`badge-${name}`);
    const sign = el('span', { class: 'sign', 'aria-hidden': 'true' });
    const word = el('b');
    const old = el('span');
    place.append(sign, ' ', el('span', { class: 'name', text: name }), ' ', word, ' ', old);
    return { place, sign, word, old };
  }

  /** @param {FeedLink} link */
  draw(link) {
    const { account } = link.reducer;
    for (const { main, small, dd, value, colour, extra } of this.figures) {
      setText(main, value(account));
      setText(small, extra ? extra(account) : '');
      setAttribute(dd, 'data-tone', colour ? colour(account) : '');
    }
    const who = [account.server, account.login, account.name].filter((part) => part !== null && part !== undefined && part !== '');
    const leverage = known(account.leverage) ? `1:${account.leverage}` : '';
    const text = [who.map(words).join(' · '), words(account.margin_mode ?? ''), leverage].filter(Boolean).join('  ');
    setText(byId('ident'), text || 'waiting for the account');
    const mode = modeOf(link.reducer);
    const place = byId('mode');
    place.hidden = typeof mode !== 'string';
    setText(place, modeName(mode ?? ''));
    setAttribute(place, 'data-mode', words(mode ?? ''));
    this.drawLimits(account.limits);
  }

  /** @param {Account['limits']} limits */
  drawLimits(limits) {
    const given = limits && typeof limits === 'object' ? Object.entries(limits) : [];
    const names = new Set(given.map(([name]) => name));
    for (const [name, bar] of this.bars) {
      if (!names.has(name)) {
        bar.item.remove();
        this.bars.delete(name);
      }
    }
    for (const [name, limit] of given) {
      let bar = this.bars.get(name);
      if (!bar) {
        const parts = { name: el('span'), value: el('span', { class: 'num' }), fill: el('i'), bar: el('span', { class: 'bar' }) };
        parts.bar.append(parts.fill);
        const item = el('li', {}, parts.name, parts.value, parts.bar);
        this.limits.append(item);
        bar = { ...parts, item };
        this.bars.set(name, bar);
      }
      const value = known(limit?.value);
      const end = known(limit?.limit);
      const part = value === null || !end ? null : Math.max(0, Math.min(1, value / end));
      const unit = words(limit?.unit ?? '');
      setText(bar.name, limitName(name));
      setText(bar.value, `${limitAmount(name, value, unit)} of ${limitAmount(name, end, unit)}${unit && unit !== '%' ? ` ${unit}` : ''}`);
      bar.fill.style.setProperty('--part', String(part ?? 0));
      setAttribute(bar.bar, 'data-tone', toneColour(limitGrade(value, end)));
    }
  }

  /** Ages go on also when no event comes. @param {FeedLink} link */
  tick(link) {
    const found = { terminal: fresh.terminal(link), bot: fresh.bot(link), feed: fresh.feed(link) };
    for (const [name, { place, sign, word, old }] of Object.entries(this.badges)) {
      const badge = found[/** @type {keyof typeof found} */ (name)];
      setText(sign, fresh.SIGNS[badge.grade]);
      setText(word, badge.word);
      setText(old, badge.age === null ? '' : age(badge.age));
      setAttribute(place, 'data-grade', badge.grade);
      setAttribute(place, 'title', badge.detail);
    }
    const stale = found.feed.grade === 'crit' || found.terminal.grade === 'crit' || link.status !== 'live';
    document.body.dataset.fresh = !link.hadSnapshot ? 'waiting' : stale ? 'stale' : 'live';
    const { server_time: time, speed } = link.reducer;
    setText(byId('clock'), time ? `${clock(time)}${speed === 1 ? '' : ` ×${number(speed)}`}` : '');
    return found;
  }
}
