// @ts-check
/** The page: connects to the feed and draws the parts that changed, at most ten times a second. */

import { AccountView } from './account.js';
import { Alerts } from './alerts.js';
import { BotChooser } from './bots.js';
import { EquityChart, PriceChart, barsOf } from './charts.js';
import { Control } from './control.js';
import { Dialogs, facts } from './dialogs.js';
import { byId, el, setText } from './dom.js';
import { UNKNOWN, age, known, number, words } from './format.js';
import { FeedLink } from './link.js';
import { LogView } from './log.js';
import { PositionsView, side } from './positions.js';
import { ScannerView } from './scanner.js';
import { TradesView } from './trades.js';
import { name, text } from './words.js';

/** @typedef {import('./state.js').Wire} Wire */

const DRAW_MS = 100;
const CHART_MS = 500;
const BARS_MS = 15_000;
const HEALTH_MS = 5000;
const HIDDEN_MS = 30_000;
const PANELS = ['positions', 'scanner', 'equity', 'events', 'trades', 'control'];

/** A token in the address is read once and removed from the address first of all. */
function tokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}

class Page {
  constructor() {
    this.dialogs = new Dialogs();
    this.alerts = new Alerts();
    this.link = new FeedLink(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`, {
      onLog: (_, missed) => this.log.reset(this.link.reducer.events, missed),
      onEvent: (event) => this.onEvent(event),
      onState: () => this.changed(),
      onLink: () => this.onLink(),
    }, { token: tokenFromAddress() });
    this.control = new Control(this.link, this.dialogs, {
      say: (text) => this.say(text),
      chart: (symbol) => this.showSymbol(symbol),
    });
    this.bots = new BotChooser(this.link, () => this.onBot());
    this.account = new AccountView();
    this.positions = new PositionsView({
      onPosition: (row) => this.control.position(row),
      onOrder: (row) => this.control.order(row),
    });
    this.scanner = new ScannerView({ onSymbol: (row) => this.control.symbol(row) });
    this.trades = new TradesView((path) => this.ask(path));
    this.log = new LogView({ onOpen: (event) => this.showEvent(event) });
    this.equity = new EquityChart(canvas('equity-canvas'), byId('equity-readout'));
    this.chart = new PriceChart(canvas('chart-canvas'), byId('chart-readout'));
    this.symbol = /** @type {HTMLSelectElement} */ (byId('chart-symbol'));
    this.timeframe = /** @type {HTMLSelectElement} */ (byId('chart-timeframe'));
    /** @type {Record<string, number>} */ this.drawn = {};
    /** @type {import('./charts.js').Bar[]} */ this.bars = [];
    this.barsNote = 'no bars yet';
    this.barsFor = '';
    this.barsAt = -Infinity;
    this.chartAt = -Infinity;
    this.healthAt = -Infinity;
    this.waiting = false;
    this.drawAt = -Infinity;
    this.wasLive = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ this.hideTimer = undefined;
  }

  start() {
    this.keepTheme();
    this.bindTools();
    this.bindKeys();
    document.addEventListener('visibilitychange', () => this.onVisible());
    window.addEventListener('pagehide', () => this.link.sleep());
    window.addEventListener('pageshow', (event) => event.persisted && this.link.start());
    window.addEventListener('online', () => this.link.status === 'lost' && this.link.start());
    this.symbol.addEventListener('change', () => this.loadBars());
    this.timeframe.addEventListener('change', () => this.loadBars());
    setInterval(() => this.tick(), 500);
    this.link.start();
    this.tick();
  }

  // -- events ------------------------------------------------------------------------

  /** @param {Wire} event */
  onEvent(event) {
    const shown = this.link.shows(event);
    this.alerts.event(event, shown ? '' : words(event.bot));
    if (shown) {
      this.log.add(event);
      if (event.type === 'POSITION_CLOSED' || event.type === 'POSITION_OPENED') this.trades.refresh();
    }
    this.changed();
  }

  /** Another bot is shown: everything is drawn again. */
  onBot() {
    this.drawn = {};
    this.healthAt = this.barsAt = -Infinity;
    this.log.reset([...this.link.reducer.events], '');
    this.bars = [];
    this.barsFor = '';
    this.trades.refresh();
    this.tick();
  }

  onLink() {
    const { link } = this;
    const live = link.status === 'live';
    if (live && !this.wasLive) {
      this.trades.refresh();
      this.healthAt = this.barsAt = -Infinity;
    }
    if (!live && this.wasLive && link.status === 'lost') this.alerts.raise('The feed is lost', true);
    this.wasLive = live || (this.wasLive && link.status === 'connecting');
    if (link.status === 'refused' && link.closeCode === 4501 && !this.dialogs.open) {
      this.control.token(link.detail);
    }
    this.control.draw();
    this.account.tick(link);
    this.banner();
    this.changed();
  }

  banner() {
    const { link } = this;
    const place = byId('banner');
    const wait = Math.max(0, Math.ceil((link.retryAt - link.now()) / 1000));
    const texts = {
      live: '',
      asleep: '',
      connecting: link.reconnects ? 'Connecting to the feed again …' : '',
      lost: `The feed is lost (${link.detail}). The values shown are stale. Next try in ${wait} s.`,
      refused: `The feed refused this page: ${link.detail}`,
    };
    const text = texts[link.status];
    setText(place, text);
    place.hidden = text === '';
  }

  /** Something changed: draw it soon, and only while the page is visible. */
  changed() {
    if (this.waiting || document.hidden) return;
    this.waiting = true;
    const wait = Math.max(0, this.drawAt + DRAW_MS - performance.now());
    setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
  }

  draw() {
    this.waiting = false;
    this.drawAt = performance.now();
    const { link } = this;
    this.on(['account', 'bot'], () => this.account.draw(link));
    this.on(['positions', 'orders', 'account'], () => this.positions.draw(link));
    this.on(['scan', 'bot', 'quotes'], () => this.scanner.draw(link));
    this.on(['trades'], () => this.trades.draw(link));
    this.log.draw();
    this.on(['bot', 'positions'], () => this.control.draw());
    if (this.drawAt - this.chartAt > CHART_MS) {
      this.chartAt = this.drawAt;
      this.on(['equity'], () => this.equity.show(link.reducer.equity, words(link.reducer.account.currency ?? '')));
      this.on(['quotes', 'positions', 'orders'], () => this.drawChart(), 'chart');
    }
  }

  /** Draw when one of these sections changed since the last drawing. @param {string[]} sections @param {() => void} draw @param {string} [name] */
  on(sections, draw, name = sections.join()) {
    const { revisions } = this.link.reducer;
    const sum = sections.reduce((total, section) => total + revisions[section], 0);
    if (this.drawn[name] === sum) return;
    this.drawn[name] = sum;
    draw();
  }

  /** Ages and countdowns go on also when no event comes. */
  tick() {
    if (document.hidden) return;
    this.account.tick(this.link);
    this.bots.draw();
    this.scanner.tick(this.link);
    if (this.link.status === 'lost') this.banner();
    const now = performance.now();
    if (this.link.status === 'live') {
      if (now - this.healthAt > HEALTH_MS) {
        this.healthAt = now;
        this.loadHealth();
      }
      if (now - this.barsAt > BARS_MS) this.loadBars();
    }
    this.changed();
  }

  onVisible() {
    clearTimeout(this.hideTimer);
    const { link } = this;
    if (document.hidden) {
      this.hideTimer = setTimeout(() => {
        if (document.hidden && !this.alerts.wanted && link.status !== 'refused') link.sleep();
      }, HIDDEN_MS);
      return;
    }
    // Timers of a hidden tab are slowed down: a link that was silent meanwhile connects again at once.
    const silent = link.now() - link.lastFrame > 7000;
    if (link.status === 'asleep' || link.status === 'lost' || (link.status === 'live' && silent)) link.start();
    this.drawn = {};
    this.waiting = false;
    this.tick();
  }

  // -- reading routes ----------------------------------------------------------------------

  /** The answer of a route as JSON, null when there is none. @param {string} path @returns {Promise<any>} */
  async ask(path) {
    /** @type {Record<string, string>} */
    const headers = this.link.token ? { Authorization: `Bearer ${this.link.token}` } : {};
    try {
      const answer = await fetch(this.link.about(path), { headers });
      return answer.ok || answer.status === 503 ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  async loadHealth() {
    const health = await this.ask('/api/health');
    const { heartbeat: beat, reconnects, resumes } = this.link;
    /** @type {[string, string, string][]} */
    const lines = [];
    for (const [name, check] of Object.entries(health?.checks ?? {})) {
      const status = words(check?.status);
      lines.push([name, `${status === 'ok' ? '●' : status === 'down' ? '✕' : '◐'} ${words(check?.text || status)}`, status === 'ok' ? '' : status === 'down' ? 'error' : 'warn']);
    }
    lines.push(
      ['clients', number(beat.clients), ''],
      ['loop lag', known(beat.loop_lag_ms) === null ? UNKNOWN : `${number(beat.loop_lag_ms, 1)} ms`, ''],
      ['data age', age(beat.data_age_s), ''],
      ['this page', `connected again ${reconnects} times, resumed ${resumes}, last event ${this.link.logSeq}`, ''],
    );
    byId('health-list').replaceChildren(...facts(lines).childNodes);
    setText(byId('health-sum'), health ? words(health.status) : 'the health route does not answer');
  }

  // -- the symbol chart ----------------------------------------------------------------------

  /** Symbols to choose from: those with positions first. */
  fillSymbols() {
    const { positions, orders, quotes, scan_summary: scan } = this.link.reducer;
    const names = new Set([
      ...[...positions, ...orders].map((row) => words(row.symbol)),
      ...Object.keys(scan.symbols ?? {}),
      ...Object.keys(quotes),
    ]);
    const wanted = [...names].join('\n');
    if (wanted === this.symbol.dataset.names) return;
    const chosen = this.symbol.value;
    this.symbol.dataset.names = wanted;
    this.symbol.replaceChildren(...[...names].map((name) => el('option', { value: name, text: name })));
    if (names.has(chosen)) this.symbol.value = chosen;
  }

  /** @param {string} symbol */
  showSymbol(symbol) {
    this.fillSymbols();
    this.symbol.value = symbol;
    this.goTo('charts');
    byId('h-chart').focus();
    this.loadBars();
  }

  async loadBars() {
    this.barsAt = performance.now();
    this.fillSymbols();
    const symbol = this.symbol.value;
    const timeframe = this.timeframe.value;
    if (!symbol) return;
    const name = `${symbol} ${timeframe}`;
    const answer = await this.ask(`/api/bars?symbol=${encodeURIComponent(symbol)}&timeframe=${timeframe}&count=120`);
    if (name !== `${this.symbol.value} ${this.timeframe.value}`) return;
    if (answer !== null || this.barsFor !== name) {
      this.bars = barsOf(answer);
      this.barsFor = name;
    }
    this.barsNote = answer === null ? `no bars of ${name} are known to the feed` : 'no bars yet';
    this.drawChart();
  }

  drawChart() {
    this.fillSymbols();
    const { positions, orders, quotes } = this.link.reducer;
    const symbol = this.symbol.value;
    const quote = quotes[symbol] ?? {};
    /** @type {import('./charts.js').Mark[]} */
    const marks = [];
    /** @param {unknown} value @param {string} text @param {import('./charts.js').Mark['tone']} tone @param {boolean} dashed */
    const mark = (value, text, tone, dashed) => {
      const n = known(value);
      if (n) marks.push({ value: n, text, tone, dashed });
    };
    let { digits } = quote;
    for (const p of positions.filter((row) => row.symbol === symbol)) {
      digits ??= p.digits;
      mark(p.entry_price, `${side(p) ?? ''} ${number(p.volume, 2)}`, 'accent', false);
      mark(p.sl_price, 'SL', 'down', true);
      mark(p.tp_price, 'TP', 'up', true);
    }
    for (const o of orders.filter((row) => row.symbol === symbol)) mark(o.price, `${side(o) ?? ''} ${words(o.kind)}`, 'accent', true);
    mark(quote.bid, '', 'dim', false);
    this.chart.show(symbol, this.bars, marks, known(digits) ?? 5, this.barsNote);
  }

  // -- dialogs, theme, keys ----------------------------------------------------------------------------

  /** @param {Wire} event */
  showEvent(event) {
    this.dialogs.ask({
      title: name(event),
      body: [text(event), el('pre', { tabindex: '0', text: JSON.stringify(event, null, 2) })],
      leave: 'Back',
    });
  }

  /** @param {string} text */
  say(text) {
    this.alerts.say(text);
  }

  /** @param {string} view */
  goTo(view) {
    document.body.dataset.view = view;
    for (const button of document.querySelectorAll('[data-goto]')) {
      button.setAttribute('aria-pressed', String(button.getAttribute('data-goto') === view));
    }
    // A hidden list cannot scroll to its end.
    if (this.log.following) this.log.follow();
  }

  keepTheme() {
    let theme = 'auto';
    try {
      theme = localStorage.getItem('mt5dash.theme') ?? 'auto';
    } catch {
      // No storage: the system's theme.
    }
    this.setTheme(theme);
    matchMedia('(prefers-color-scheme: light)').addEventListener('change', () => this.recolour());
  }

  /** @param {string} theme */
  setTheme(theme) {
    const names = { auto: 'Theme: auto', light: 'Theme: light', dark: 'Theme: dark' };
    const chosen = /** @type {keyof typeof names} */ (theme in names ? theme : 'auto');
    if (chosen === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    setText(byId('tool-theme'), names[chosen]);
    this.theme = chosen;
    this.recolour();
  }

  recolour() {
    this.equity.recolour();
    this.chart.recolour();
  }

  bindTools() {
    byId('tool-theme').addEventListener('click', () => {
      const next = { auto: 'light', light: 'dark', dark: 'auto' }[this.theme ?? 'auto'];
      this.setTheme(next);
      try {
        localStorage.setItem('mt5dash.theme', next);
      } catch {
        // Not stored.
      }
    });
    byId('tool-alerts').addEventListener('click', () => this.alerts.settings(this.dialogs));
    byId('tool-token').addEventListener('click', () => {
      if (this.control.may) {
        this.goTo('more');
        byId('h-control').focus();
      } else {
        this.control.token();
      }
    });
    byId('tool-help').addEventListener('click', () => this.help());
    for (const button of document.querySelectorAll('[data-goto]')) {
      button.addEventListener('click', () => this.goTo(button.getAttribute('data-goto') ?? 'positions'));
    }
  }

  bindKeys() {
    document.addEventListener('keydown', (event) => {
      const { target } = event;
      const typing = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
      if (this.dialogs.open || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing) {
        if (event.key === 'Escape' && target instanceof HTMLInputElement) {
          target.value = '';
          target.dispatchEvent(new Event('input'));
          target.blur();
        }
        return;
      }
      const panel = PANELS[Number(event.key) - 1];
      if (panel) {
        this.goTo(byId(panel).getAttribute('data-view') ?? 'positions');
        const heading = byId(`h-${panel}`);
        heading.focus();
        heading.scrollIntoView({ block: 'nearest' });
      } else if (event.key === '/') {
        const inScanner = target instanceof Element && target.closest('#scanner');
        byId(inScanner ? 'scanner-filter' : 'events-filter').focus();
      } else if (event.key === '?') this.help();
      else if (event.key === 't') byId('tool-theme').click();
      else return;
      event.preventDefault();
    });
  }

  help() {
    const keys = [
      ['1 – 6', 'positions, scanner, equity, events, trades, control'],
      ['/', 'filter the events, or the scanner while it has the focus'],
      ['Esc', 'clear a filter, leave a dialog'],
      ['Enter', 'details of the row or event'],
      ['← →', 'read a chart'],
      ['t', 'theme'],
      ['?', 'this help'],
    ];
    this.dialogs.ask({
      title: 'Keys and signs',
      body: [
        el('dl', { class: 'facts' }, ...keys.flatMap(([key, text]) => [el('dt', {}, el('kbd', { text: key })), el('dd', { text })])),
        el('p', {}),
        '● live   ◐ slow or paused   ✕ stale, lost or stopped   ○ unknown',
        '– means unknown. Stale numbers are drawn pale; the badges show their age.',
        'Times are UTC. Everything here comes from this feed; the page sends requests to no other host.',
      ],
    });
  }
}

/** @param {string} id */
const canvas = (id) => /** @type {HTMLCanvasElement} */ (byId(id));

new Page().start();
