// @ts-check
/** Open positions and pending orders, risk before profit. */

import { byId, el, setText } from './dom.js';
import { UNKNOWN, arrow, known, lots, money, number, price, tone, wholeAge, words } from './format.js';
import { epoch } from './state.js';
import { LiveTable } from './table.js';

/** @typedef {import('./wire').Position} Position */
/** @typedef {import('./wire').PendingOrder} PendingOrder */
/** @typedef {{direction?: string | null, type?: number | null}} Sided a position, an order, a deal or a trade */
/** @typedef {import('./link.js').FeedLink} FeedLink */

/** @param {Sided} row @returns {'BUY' | 'SELL' | null} */
export function side(row) {
  if (row.direction === 'BUY' || row.direction === 'SELL') return row.direction;
  return row.type === 0 ? 'BUY' : row.type === 1 ? 'SELL' : null;
}
/** @param {Sided} row */
const sideText = (row) => ({ BUY: '▲ BUY', SELL: '▼ SELL', '': UNKNOWN })[side(row) ?? ''];
/** @param {Sided} row */
const sideTone = (row) => ({ BUY: 'up', SELL: 'down', '': '' })[side(row) ?? ''];

/** Profit in units of what the first stop put at risk. @param {Position} row */
export function rMultiple(row) {
  const profit = known(row.profit);
  const risk = known(row.initial_risk);
  return profit === null || !risk ? null : profit / risk;
}

/** Seconds since it was opened, on the market's clock. @param {Position} row @param {string | null} serverTime */
function openFor(row, serverTime) {
  const opened = epoch(row.opened_at);
  const now = epoch(serverTime) ?? Date.now() / 1000;
  return opened === null ? null : now - opened;
}

/** The place of the price between stop (0) and target (1). @param {Position} row */
export function between(row) {
  const [sl, tp, now, entry] = [row.sl_price, row.tp_price, row.price_current, row.entry_price].map(known);
  if (!sl || !tp || now === null || entry === null || sl === tp) return null;
  const part = (/** @type {number} */ at) => Math.max(0, Math.min(1, (at - sl) / (tp - sl)));
  return { now: part(now), entry: part(entry) };
}

/** @param {Position} row */
function railText(row) {
  const at = between(row);
  if (at) return `${Math.round(at.now * 100)}|${Math.round(at.entry * 100)}`;
  return known(row.sl_price) ? 'no target' : row.sl_price === 0 ? 'NO STOP' : UNKNOWN;
}

/** @param {HTMLElement} cell @param {Position} row */
function drawRail(cell, row) {
  const at = between(row);
  if (!at) {
    cell.replaceChildren(el('span', { class: 'none', text: railText(row) }));
    return;
  }
  const rail = el('span', { class: 'rail', role: 'img', 'aria-label': `${Math.round(at.now * 100)}% of the way from stop to target` }, el('i'));
  rail.style.setProperty('--at', at.now.toFixed(3));
  rail.style.setProperty('--zero', `${(at.entry * 100).toFixed(1)}%`);
  cell.replaceChildren(rail);
}

export class PositionsView {
  /** @param {{onPosition: (row: Position) => void, onOrder: (row: PendingOrder) => void}} calls */
  constructor({ onPosition, onOrder }) {
    /** @type {string | null} */
    this.serverTime = null;
    this.table = new LiveTable(
      byId('positions-table'),
      /** @type {import('./table.js').Column<Position>[]} */ ([
        { title: 'Symbol', head: true, text: (p) => words(p.symbol), sort: (p) => words(p.symbol) },
        { title: 'Side', text: sideText, tone: sideTone, sort: (p) => side(p) },
        { title: 'Lots', cls: 'num', text: (p) => lots(p.volume), sort: (p) => known(p.volume) },
        { title: 'Entry', cls: 'num p2', text: (p) => price(p.entry_price, p.digits) },
        { title: 'Now', cls: 'num', text: (p) => price(p.price_current, p.digits) },
        { title: 'P/L', cls: 'num', text: (p) => `${money(p.profit, true)} ${arrow(p.profit)}`, tone: (p) => tone(p.profit), sort: (p) => known(p.profit) },
        { title: 'R', cls: 'num p2', text: (p) => number(rMultiple(p), 1, true), tone: (p) => tone(rMultiple(p)), sort: rMultiple },
        { title: 'Stop … target', cls: 'num p2', text: railText, draw: drawRail, sort: (p) => between(p)?.now ?? null },
        { title: 'SL', cls: 'num p3', text: (p) => price(p.sl_price, p.digits) },
        { title: 'TP', cls: 'num p3', text: (p) => price(p.tp_price, p.digits) },
        { title: 'Swap', cls: 'num p3', text: (p) => money(p.swap, true) },
        { title: 'Age', cls: 'num p2', text: (p) => wholeAge(openFor(p, this.serverTime)), sort: (p) => openFor(p, this.serverTime) },
        { title: 'Whose', cls: 'p3', text: (p) => words(p.owner), tone: () => 'dim', sort: (p) => words(p.owner) },
      ]),
      {
        label: 'Open positions',
        key: (p) => String(p.ticket),
        empty: 'No position is known yet.',
        onOpen: onPosition,
        openLabel: (p) => `${words(p.symbol)} ${side(p) ?? ''}, details`,
      },
    );
    this.orders = new LiveTable(
      byId('orders-table'),
      /** @type {import('./table.js').Column<PendingOrder>[]} */ ([
        { title: 'Symbol', head: true, text: (o) => words(o.symbol) },
        { title: 'Side', text: sideText, tone: sideTone },
        { title: 'Kind', text: (o) => words(o.kind).replace('_', ' ') },
        { title: 'Lots', cls: 'num', text: (o) => lots(o.volume) },
        { title: 'Price', cls: 'num', text: (o) => price(o.price, o.digits) },
        { title: 'Now', cls: 'num p2', text: (o) => price(o.price_current, o.digits) },
        { title: 'SL', cls: 'num p2', text: (o) => price(o.sl, o.digits) },
        { title: 'TP', cls: 'num p2', text: (o) => price(o.tp, o.digits) },
      ]),
      { label: 'Pending orders', key: (o) => String(o.order), empty: '', onOpen: onOrder, openLabel: (o) => `${words(o.symbol)} order, details` },
    );
  }

  /** @param {FeedLink} link */
  draw(link) {
    const { positions, orders, server_time: time, updated } = link.reducer;
    this.serverTime = time;
    this.table.setEmpty(
      updated.positions === undefined || !Object.keys(link.reducer.account).length
        ? 'Open positions are not known yet.'
        : 'No open position.',
    );
    this.table.update(positions);
    byId('orders-part').hidden = orders.length === 0;
    this.orders.update(orders);
    setText(byId('positions-sum'), this.sum(positions));
  }

  /** @param {Position[]} positions */
  sum(positions) {
    if (positions.length === 0) return '';
    const add = (/** @type {'risk' | 'volume' | 'profit'} */ name) => {
      const values = positions.map((p) => known(p[name]));
      return values.includes(null) ? null : values.reduce((a, b) => /** @type {number} */ (a) + /** @type {number} */ (b), 0);
    };
    const bare = positions.filter((p) => p.sl_price === 0).length;
    const risk = add('risk');
    const parts = [`${positions.length} open`, `${lots(add('volume'))} lots`, `net ${money(add('profit'), true)}`];
    if (bare > 0) parts.push(`${bare} without a stop`);
    else if (risk !== null) parts.push(`all stops hit: ${money(risk, true)}`);
    return parts.join('  ·  ');
  }
}
