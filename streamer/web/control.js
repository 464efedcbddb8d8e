// @ts-check
/**
 * Commands to bot and account. Each has a dialog first, which explains the effect and shows the
 * answer; the kill switch and closing everything need a typed word. All need a control token.
 */

import { byId, el, setText } from './dom.js';
import { facts, field } from './dialogs.js';
import { arrow, known, lots, moment, money, number, price, tone, wholeAge, words } from './format.js';
import { rMultiple, side } from './positions.js';
import { modeOf, toneColour } from './words.js';

/** @typedef {import('./state.js').Wire} Wire */
/** @typedef {import('./wire').Position} Position */
/** @typedef {import('./wire').PendingOrder} PendingOrder */
/** @typedef {import('./link.js').FeedLink} FeedLink */
/** @typedef {import('./dialogs.js').Dialogs} Dialogs */
/** @typedef {import('./dialogs.js').Choice} Choice */

/**
 * The approximate result of a position when a stop at this price is hit, costs aside: from the risk
 * of its present stop, else from its profit where the price has moved enough.
 * @param {Position} p @param {number} stop
 */
export function stopMoney(p, stop) {
  const [entry, now, first, risk, profit] = [p.entry_price, p.price_current, p.sl_price, p.risk, p.profit].map(known);
  if (entry === null || !(stop > 0)) return null;
  const sign = side(p) === 'BUY' ? 1 : -1;
  if (risk && first && first !== entry) return ((stop - entry) / (first - entry)) * risk;
  if (now === null || profit === null) return null;
  const moved = (now - entry) * sign;
  const points = Math.abs(moved) * 10 ** (known(p.digits) ?? 0);
  return points >= 5 && profit * moved > 0 ? (stop - entry) * sign * (profit / moved) : null;
}

/** The position as the page shows it: the bot refuses the command when it has changed. @param {Position | PendingOrder} row */
function expected(row) {
  /** @type {Wire} */
  const seen = {};
  const [direction, volume] = [side(row), known(row.volume)];
  if (direction === 'BUY' || direction === 'SELL') seen.side = direction;
  if (volume !== null) seen.volume = volume;
  if (typeof row.symbol === 'string') seen.symbol = row.symbol;
  return seen;
}

export class Control {
  /** @param {FeedLink} link @param {Dialogs} dialogs @param {{say: (text: string) => void, chart: (symbol: string) => void}} calls */
  constructor(link, dialogs, { say, chart }) {
    this.link = link;
    this.dialogs = dialogs;
    this.say = say;
    this.chart = chart;
    this.drawn = '';
  }

  get may() {
    return this.link.role === 'control' && this.link.status === 'live';
  }

  /** @param {string} name @param {Wire} [args] @returns {Promise<string>} '' or the error */
  async act(name, args = {}) {
    const answer = await this.link.command(name, args);
    // The feed asks for confirmation before it closes everything: the dialog has already asked.
    const { ok, error, result } = answer.confirm ? await this.link.confirm(answer) : answer;
    if (!ok) return `${error?.message ?? 'refused'} (${error?.code ?? '?'})`;
    const details = result && typeof result === 'object' ? Object.entries(result).map(([k, v]) => `${k} ${words(v)}`).join(', ') : '';
    this.say(`${name.replaceAll('_', ' ')}: done${details && `, ${details}`}`);
    return '';
  }

  /** The account that a command acts on, with a conspicuous line when the money is real. */
  warning() {
    const { account } = this.link.reducer;
    const mode = modeOf(this.link.reducer);
    const on = `Account ${words(account.login)}, ${words(account.server)}, mode ${words(mode)}.`;
    if (mode === 'live') return [el('p', { class: 'live', text: 'LIVE ACCOUNT: this moves real money.' }), on];
    return mode === 'observe' ? [on, 'This bot only observes: it refuses to send orders.'] : [on];
  }

  draw() {
    const { bot, positions } = this.link.reducer;
    const state = `${this.may}|${this.link.token !== ''}|${bot?.state}|${positions.length > 0}|${this.link.status}`;
    if (state === this.drawn) return;
    this.drawn = state;
    setText(byId('control-sum'), this.may ? 'unlocked' : 'viewing only');
    setText(
      byId('control-note'),
      this.may
        ? 'Commands go to the bot over this connection and are recorded in the audit log.'
        : this.link.token && this.link.status === 'live'
          ? 'This token allows viewing only. Make a control token: mt5dash token new --role control'
          : 'To send commands from this page, enter a control token (mt5dash token new --role control). It is kept in memory only.',
    );
    const tool = byId('tool-token');
    tool.dataset.on = String(this.may);
    const paused = bot?.state === 'paused';
    const halted = bot?.state === 'halted';
    /** @type {[string, string, () => void][]} */
    const buttons = this.may
      ? [
          [paused ? 'Resume' : 'Pause', '', () => this.simple(paused ? 'resume' : 'pause')],
          ['Scan now', '', () => this.scan()],
          ['Close everything …', 'danger', () => this.flatten()],
          halted ? ['Release the kill switch …', '', () => this.simple('release')] : ['Kill switch …', 'danger', () => this.halt()],
          ['Forget token', '', () => this.link.forget()],
        ]
      : [['Enter token …', '', () => this.token()]];
    byId('control-buttons').replaceChildren(
      ...buttons.map(([label, cls, act]) => {
        const button = el('button', { type: 'button', class: cls, text: label });
        button.addEventListener('click', act);
        return button;
      }),
    );
  }

  /** Harmless, so there is no dialog. */
  async scan() {
    const wrong = await this.act('scan_now');
    if (wrong) this.dialogs.ask({ title: 'Scan now', body: [wrong] });
  }

  /** @param {'pause' | 'resume' | 'release'} name */
  simple(name) {
    const texts = {
      pause: ['Pause the bot', 'No new scan and no new trade until it is resumed. Open positions stay managed.'],
      resume: ['Resume the bot', 'It scans again and may open trades.'],
      release: ['Release the kill switch', `The bot may open trades again. It was set because: ${words(this.link.reducer.bot?.reason?.text)}.`],
    };
    const [title, body] = texts[name];
    this.dialogs.ask({
      title,
      body: [...this.warning(), body],
      typed: name === 'release' ? 'release' : '',
      choices: [{ label: title, value: name, cls: 'go' }],
      decide: () => this.act(name),
    });
  }

  flatten() {
    const { positions } = this.link.reducer;
    const total = positions.reduce((sum, p) => sum + (known(p.profit) ?? 0), 0);
    const symbols = [...new Set(positions.map((p) => words(p.symbol)))].sort();
    const select = el('select', { name: 'symbol' }, el('option', { value: '', text: 'all symbols' }), ...symbols.map((s) => el('option', { value: s, text: s })));
    this.dialogs.ask({
      title: 'Close everything',
      body: [
        ...this.warning(),
        `${positions.length} position${positions.length === 1 ? '' : 's'} at market, ${money(total, true)} at the prices now. Also those that the bot did not open.`,
        el('label', {}, 'Only of', select),
      ],
      typed: 'flatten',
      choices: [{ label: 'Close them', value: 'flatten', cls: 'danger go' }],
      decide: (_, form) => {
        const symbol = String(form.get('symbol') ?? '');
        return this.act('flatten', symbol ? { symbol } : {});
      },
    });
  }

  halt() {
    this.dialogs.ask({
      title: 'Kill switch',
      body: [...this.warning(), 'No new trade until it is released, also after a restart. Open positions stay open and managed.', field('Why', { type: 'text', name: 'reason', maxlength: '200', autocomplete: 'off' }), field('Close everything, too', { type: 'checkbox', name: 'flatten', value: 'yes' })],
      typed: 'halt',
      choices: [{ label: 'Stop new trades', value: 'halt', cls: 'danger go' }],
      decide: (_, form) => {
        const reason = String(form.get('reason') || 'by the browser page');
        return this.act('halt', form.get('flatten') ? { reason, flatten: true } : { reason });
      },
    });
  }

  /** @param {string} [why] */
  token(why = '') {
    this.dialogs.ask({
      title: why ? 'This feed asks for a token' : 'Enter a token',
      body: [
        why || 'With a control token this page can send commands. Without one it shows the feed only.',
        field('Token', { type: 'password', name: 'token', autocomplete: 'off', spellcheck: 'false', required: '' }),
        'Make one on the machine of the feed with: mt5dash token new. It is kept in memory only and goes when the page is closed.',
      ],
      choices: [{ label: 'Use it', value: 'token', cls: 'go' }],
      decide: (_, form) => {
        const token = String(form.get('token') ?? '').trim();
        if (!token) return 'Paste the token first.';
        this.link.present(token);
        return undefined;
      },
    });
  }

  /** @param {Position} p */
  position(p) {
    const digits = p.digits;
    /** @type {Choice[]} */
    const choices = [{ label: 'Chart', value: 'chart' }];
    if (this.may) choices.push({ label: 'Change stop or target …', value: 'modify' }, { label: 'Close …', value: 'close', cls: 'danger' });
    const r = rMultiple(p);
    this.dialogs.ask({
      title: `${words(p.symbol)} ${side(p) ?? ''} ${lots(p.volume)}`,
      body: [
        facts([
          ['Ticket', words(p.ticket)],
          ['P/L', `${money(p.profit, true)} ${arrow(p.profit)}${r === null ? '' : `  ${number(r, 2, true)} R`}`, tone(p.profit)],
          ['Entry', price(p.entry_price, digits)],
          ['Now', price(p.price_current, digits)],
          ['Stop', p.sl_price === 0 ? 'none' : price(p.sl_price, digits), p.sl_price === 0 ? 'warn' : ''],
          ['Target', p.tp_price === 0 ? 'none' : price(p.tp_price, digits)],
          ['If the stop is hit', money(p.risk, true)],
          ['Swap', money(p.swap, true)],
          ['Commission', money(p.commission, true)],
          ['Opened', moment(p.opened_at)],
          ['Owner', words(p.owner)],
          ['Magic', words(p.magic)],
          ['Comment', words(p.comment)],
        ]),
      ],
      choices,
      leave: 'Back',
      decide: (choice) => {
        if (choice === 'chart') this.chart(words(p.symbol));
        else setTimeout(() => (choice === 'close' ? this.close(p) : this.modify(p)));
      },
    });
  }

  /** @param {Position} p */
  close(p) {
    this.dialogs.ask({
      title: `Close ${words(p.symbol)} ${side(p) ?? ''}`,
      body: [
        ...this.warning(),
        `Ticket ${words(p.ticket)}, ${money(p.profit, true)} at the price now, at market.`,
        field('Lots', { type: 'number', name: 'volume', value: String(p.volume ?? ''), step: 'any', min: '0', max: String(p.volume ?? '') }),
      ],
      choices: [{ label: 'Close at market', value: 'close', cls: 'danger go' }],
      decide: (_, form) => {
        const volume = Number(form.get('volume'));
        if (!(volume > 0) || volume > (known(p.volume) ?? Infinity)) return `Lots: more than 0, at most ${lots(p.volume)}.`;
        const args = { ticket: p.ticket, expect: expected(p) };
        return this.act('close_position', volume === p.volume ? args : { ...args, volume });
      },
    });
  }

  /** @param {Position} p */
  modify(p) {
    const show = (/** @type {unknown} */ v) => (known(v) ? price(v, p.digits) : '0');
    const before = { sl: show(p.sl_price), tp: show(p.tp_price) };
    const attributes = (/** @type {'sl' | 'tp'} */ name) => ({ type: 'text', inputmode: 'decimal', name, value: before[name], autocomplete: 'off' });
    const stop = field('Stop', attributes('sl'));
    const means = el('p', { role: 'status' });
    const showCost = () => {
      const at = Number(stop.querySelector('input')?.value);
      const loss = stopMoney(p, at);
      setText(means, at === 0 ? 'Without a stop the loss has no bound.' : loss === null ? 'What this stop costs is not known here.' : `If this stop is hit: about ${money(loss, true)}.`);
    };
    stop.addEventListener('input', showCost);
    showCost();
    this.dialogs.ask({
      title: `Stop and target of ${words(p.symbol)} ${side(p) ?? ''}`,
      body: [
        ...this.warning(),
        `Ticket ${words(p.ticket)}, in at ${price(p.entry_price, p.digits)}, now ${price(p.price_current, p.digits)}. 0 takes a level away.`,
        stop,
        means,
        field('Target', attributes('tp')),
      ],
      choices: [{ label: 'Change', value: 'modify', cls: 'go' }],
      decide: (_, form) => {
        /** @type {Wire} */
        const args = { ticket: p.ticket, expect: expected(p) };
        for (const name of /** @type {const} */ (['sl', 'tp'])) {
          const text = String(form.get(name) ?? '').trim();
          // An unchanged level is not sent: the bot may have moved it meanwhile.
          if (text === before[name]) continue;
          if (text === '' || !(Number(text) >= 0)) return `${name.toUpperCase()}: a price, or 0 for none.`;
          args[name] = Number(text);
        }
        return Object.keys(args).length === 2 ? 'No level was changed.' : this.act('modify_position', args);
      },
    });
  }

  /** @param {PendingOrder} o */
  order(o) {
    this.dialogs.ask({
      title: `${words(o.symbol)} ${side(o) ?? ''} ${words(o.kind).replace('_', ' ')} ${lots(o.volume)}`,
      body: [
        facts([
          ['Order', words(o.order)],
          ['Price', price(o.price, o.digits)],
          ['Now', price(o.price_current, o.digits)],
          ['Stop', price(o.sl, o.digits)],
          ['Target', price(o.tp, o.digits)],
          ['Placed', moment(o.placed_at)],
          ['Expires', moment(o.expires_at)],
          ['Owner', words(o.owner)],
          ['Comment', words(o.comment)],
        ]),
        ...(this.may ? this.warning() : []),
      ],
      choices: this.may ? [{ label: 'Delete this order', value: 'cancel', cls: 'danger' }] : [],
      leave: 'Back',
      decide: () => this.act('cancel_order', { order: o.order, expect: expected(o) }),
    });
  }

  /** @param {import('./scanner.js').Row} row */
  symbol({ symbol, text, detail: d, stage, quote: q }) {
    const parts = d.components && typeof d.components === 'object' ? Object.entries(d.components) : [];
    this.dialogs.ask({
      title: `${symbol}: ${stage.name}`,
      body: [
        facts([
          ['Stage', `${stage.sign} ${stage.name}`, toneColour(stage.tone)],
          ['Why', text],
          ['Gate', words(d.gate)],
          ['Direction', words(d.direction)],
          ['Score', `${number(d.score)} of ${number(d.need)} needed`],
          ...parts.map(([part, points]) => /** @type {[string, string]} */ ([`  ${part.replaceAll('_', ' ')}`, number(points, 1, true)])),
          ['Entry', price(d.entry, q.digits)],
          ['Stop', price(d.sl, q.digits)],
          ['Target', price(d.tp, q.digits)],
          ['Reward over risk', number(d.r, 2)],
          ['Spread', `${number(d.spread)} points`],
          ['ATR', known(d.atr) === null ? words(null) : String(d.atr)],
          ['Regime', words(d.regime)],
          ['Bid / ask', `${price(q.bid, q.digits)} / ${price(q.ask, q.digits)}`],
          ['Last tick at the scan', known(d.age_s) === null ? words(null) : `${wholeAge(d.age_s)} old`],
        ]),
      ],
      choices: [{ label: 'Chart', value: 'chart' }],
      leave: 'Back',
      decide: () => this.chart(symbol),
    });
  }
}
