// @ts-check
/** Every symbol with the stage it reached on its way to a trade, the reason, and the funnel. */

import { byId, el, setAttribute, setText } from './dom.js';
import { UNKNOWN, age, countdown, known, number, price, words } from './format.js';
import { epoch } from './state.js';
import { LiveTable } from './table.js';
import { nearness, stageOf, toneColour } from './words.js';

/** @typedef {import('./wire').ScanDetail} ScanDetail */
/** @typedef {import('./wire').Quote} Quote */
/** @typedef {import('./link.js').FeedLink} FeedLink */
/** @typedef {{symbol: string, text: string, detail: ScanDetail, stage: import('./words.js').Stage, quote: Quote}} Row */

/** @param {Row} row */
function score(row) {
  const n = known(row.detail.score);
  const need = known(row.detail.need);
  return n === null ? UNKNOWN : need === null ? number(n) : `${number(n)} / ${number(need)}`;
}

export class ScannerView {
  /** @param {{onSymbol: (row: Row) => void}} calls */
  constructor({ onSymbol }) {
    this.filter = /** @type {HTMLInputElement} */ (byId('scanner-filter'));
    /** @type {FeedLink | null} */ this.link = null;
    this.filter.addEventListener('input', () => this.link && this.draw(this.link));
    this.table = new LiveTable(
      byId('scanner-table'),
      /** @type {import('./table.js').Column<Row>[]} */ ([
        { title: 'Symbol', head: true, text: (r) => r.symbol, sort: (r) => r.symbol },
        { title: 'Stage', text: (r) => `${r.stage.sign} ${r.stage.name}`, tone: (r) => toneColour(r.stage.tone), sort: (r) => nearness(r.stage, known(r.detail.score)), cls: 'num-down' },
        { title: 'Score', cls: 'num p2', text: score, sort: (r) => known(r.detail.score) },
        { title: 'Why', cls: 'why', text: (r) => r.text },
        { title: 'Spread', cls: 'num p3', text: (r) => number(r.detail.spread), sort: (r) => known(r.detail.spread) },
        { title: 'Bid', cls: 'num p3', text: (r) => price(r.quote.bid, r.quote.digits) },
      ]),
      {
        label: 'Scanner: each symbol with its stage and the reason',
        key: (r) => r.symbol,
        empty: 'No scan yet.',
        onOpen: onSymbol,
        openLabel: (r) => `${r.symbol}, why`,
        tone: (r) => (r.detail.code === 'CANDIDATE' ? 'candidate' : ''),
        sortBy: 1,
        down: true,
      },
    );
    this.bars = byId('funnel-bars');
  }

  /** @param {FeedLink} link @returns {Row[]} */
  rows(link) {
    const { scan_summary: scan } = link.reducer;
    const [symbols, details] = [scan.symbols ?? {}, scan.details ?? {}];
    const names = new Set([...Object.keys(symbols), ...Object.keys(details)]);
    return [...names].map((symbol) => {
      const detail = details[symbol] && typeof details[symbol] === 'object' ? details[symbol] : {};
      const text = words(symbols[symbol] ?? detail.gate ?? '');
      return { symbol, text, detail, stage: stageOf(detail), quote: link.reducer.quotes[symbol] ?? {} };
    });
  }

  /** @param {FeedLink} link */
  draw(link) {
    this.link = link;
    const wanted = this.filter.value.trim().toLowerCase();
    const rows = this.rows(link);
    const shown = rows.filter((r) => `${r.symbol} ${r.stage.name} ${r.text}`.toLowerCase().includes(wanted));
    this.table.setEmpty(rows.length ? 'No symbol fits the filter.' : 'No scan yet.');
    this.table.update(shown);
    this.drawFunnel(link, rows);
  }

  /** Ages and the time to the next scan. @param {FeedLink} link */
  tick(link) {
    const { scan_summary: scan, bot } = link.reducer;
    const at = epoch(scan.timestamp);
    const next = epoch(bot?.next_scan_at);
    const now = Date.now() / 1000;
    const parts = [];
    if (at !== null) parts.push(`${number(scan.count)} symbols, ${age(Math.max(0, now - at))} ago`);
    if (next !== null) parts.push(`next ${countdown(next - now)}`);
    setText(byId('scanner-sum'), parts.join('  ·  '));
  }

  /** How many symbols each gate stopped. @param {FeedLink} link @param {Row[]} rows */
  drawFunnel(link, rows) {
    const { bot, scan_summary: scan } = link.reducer;
    /** @type {Map<string, number>} */
    const stops = new Map();
    if (bot?.gates && typeof bot.gates === 'object') {
      for (const [gate, n] of Object.entries(bot.gates)) if (known(n)) stops.set(gate, /** @type {number} */ (n));
    } else {
      for (const row of rows) {
        const gate = row.detail.gate ?? row.detail.code;
        if (gate && row.detail.code !== 'CANDIDATE') stops.set(String(gate), (stops.get(String(gate)) ?? 0) + 1);
      }
    }
    const most = Math.max(1, known(scan.count) ?? 0, ...stops.values());
    const lines = [...stops].sort((a, b) => b[1] - a[1]);
    const found = known(scan.candidates);
    /** @type {[string, number, string][]} */
    const items = lines.map(([gate, n]) => [gate.replaceAll('_', ' '), n, '']);
    if (found !== null) items.push([found === 1 ? 'candidate' : 'candidates', found, 'up']);
    while (this.bars.children.length > items.length) this.bars.lastElementChild?.remove();
    items.forEach(([name, n, colour], i) => {
      let item = this.bars.children[i];
      if (!item) {
        item = el('li', {}, el('span', { class: 'what' }), el('span', { class: 'bar' }, el('i')), el('span', { class: 'n' }));
        this.bars.append(item);
      }
      setText(item.children[0], name);
      setAttribute(item.children[0], 'title', name);
      /** @type {HTMLElement} */ (item.children[1].firstElementChild).style.setProperty('--part', String(n / most));
      setText(item.children[2], String(n));
      setAttribute(item, 'data-tone', colour);
    });
    setText(byId('funnel-sum'), known(scan.count) === null ? '' : `${number(scan.count)} symbols scanned`);
    const reason = bot?.reason?.text ?? bot?.reason?.code;
    setText(
      byId('bot-says'),
      bot?.state ? `${words(bot.strategy ?? 'The bot')} is ${words(bot.state)}${reason ? `: ${words(reason)}` : ''}` : 'No bot has published on this feed yet.',
    );
  }
}
