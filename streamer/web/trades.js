// @ts-check
/** Deals as they happened, and the results of closed trades from the feed's ledger. */

import { byId, setText } from './dom.js';
import { UNKNOWN, arrow, clock, known, lots, money, number, percent, price, tone, words } from './format.js';
import { side } from './positions.js';
import { LiveTable } from './table.js';

/** @typedef {import('./state.js').Wire} Wire */
/** @typedef {import('./positions.js').Sided} Sided */
/** @typedef {import('./link.js').FeedLink} FeedLink */

/** @param {Sided} t */
const sideText = (t) => ({ BUY: '▲ BUY', SELL: '▼ SELL', '': UNKNOWN })[side(t) ?? ''];
/** @param {Sided} t */
const sideTone = (t) => ({ BUY: 'up', SELL: 'down', '': '' })[side(t) ?? ''];

export class TradesView {
  /** @param {(path: string) => Promise<any>} ask reads a route of the feed; null when it has none */
  constructor(ask) {
    this.ask = ask;
    this.closed = false;
    /** @type {Wire | null} */ this.daily = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ this.timer = undefined;
    this.deals = new LiveTable(
      byId('deals-table'),
      /** @type {import('./table.js').Column<import('./wire').TradeExecution>[]} */ ([
        { title: 'Time', cls: 'mono', text: (t) => clock(t.timestamp), tone: () => 'dim' },
        { title: 'Symbol', head: true, text: (t) => words(t.symbol) },
        { title: 'Side', text: sideText, tone: sideTone },
        { title: 'Lots', cls: 'num', text: (t) => lots(t.lot) },
        { title: 'Price', cls: 'num', text: (t) => price(t.price) },
        { title: 'Score', cls: 'num p2', text: (t) => number(t.score) },
        { title: 'Slip', cls: 'num p2', text: (t) => number(t.slippage, 1, true), tone: () => 'dim' },
      ]),
      { label: 'Deals, newest first', key: (t) => `${t.deal ?? ''}/${t.seq ?? ''}/${t.ticket ?? ''}/${t.timestamp ?? ''}`, empty: 'No deal yet.' },
    );
    this.results = new LiveTable(
      byId('results-table'),
      /** @type {import('./table.js').Column<Wire>[]} */ ([
        { title: 'Opened', cls: 'mono', text: (t) => clock(t.entry_time), tone: () => 'dim' },
        { title: 'Symbol', head: true, text: (t) => words(t.symbol), sort: (t) => words(t.symbol) },
        { title: 'Side', text: sideText, tone: sideTone },
        { title: 'Lots', cls: 'num p2', text: (t) => lots(t.lot_size) },
        { title: 'Entry', cls: 'num p2', text: (t) => price(t.entry_price) },
        { title: 'Exit', cls: 'num p2', text: (t) => price(t.exit_price) },
        { title: 'P/L', cls: 'num', text: (t) => (t.outcome === 'OPEN' ? 'open' : `${money(t.profit, true)} ${arrow(t.profit)}`), tone: (t) => tone(t.profit), sort: (t) => known(t.profit) },
      ]),
      { label: 'Results, newest first', key: (t) => String(t.ticket), empty: 'No trade yet.' },
    );
    byId('trades-deals').addEventListener('click', () => this.show(false));
    byId('trades-closed').addEventListener('click', () => this.show(true));
  }

  /** @param {boolean} closed */
  show(closed) {
    this.closed = closed;
    byId('trades-deals').setAttribute('aria-pressed', String(!closed));
    byId('trades-closed').setAttribute('aria-pressed', String(closed));
    byId('deals-table').hidden = closed;
    byId('results-table').hidden = !closed;
    this.refresh();
  }

  /** @param {FeedLink} link */
  draw(link) {
    this.deals.update(link.reducer.recent_trades);
  }

  /** The ledger changed: read it again, at most twice a second. */
  refresh() {
    this.timer ??= setTimeout(async () => {
      this.timer = undefined;
      this.daily = await this.ask('/api/journal/daily');
      const day = this.daily;
      setText(
        byId('trades-sum'),
        day && known(day.total) ? `today ${number(day.total)}  ·  won ${number(day.wins)} (${percent(day.win_rate, 0)})  ·  ${money(day.total_profit, true)}` : '',
      );
      if (!this.closed) return;
      const trades = await this.ask('/api/journal/trades?limit=50');
      this.results.setEmpty(trades === null ? 'The trades could not be read.' : 'No trade yet.');
      if (Array.isArray(trades)) this.results.update(trades);
    }, 500);
  }
}
