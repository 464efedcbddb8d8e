// @ts-check
/**
 * The one reducer, as in streamer/state/reducer.py: what the page shows is a pure function of the events.
 * Both pass the vectors in tests/streamer/state/vectors.
 */

/** @typedef {Record<string, any>} Wire an event or a part of one, as it stands on the wire */

export const MAX_TRADES = 50;
export const MAX_EVENTS = 200;
export const MAX_EQUITY = 720;
export const EQUITY_STEP_S = 5;
export const MAX_BOTS = 64;
/** A bot's name on the wire. */
const BOT_NAME = /^[A-Za-z0-9][A-Za-z0-9._@:[\]-]{0,95}$/;

export const STATE_TYPES = new Set([
  'ACCOUNT_UPDATE', 'POSITION_UPDATE', 'ORDERS_UPDATE', 'QUOTE_UPDATE', 'HEARTBEAT',
]);

export const SECTIONS = /** @type {const} */ ([
  'account', 'positions', 'orders', 'quotes', 'scan', 'trades', 'events', 'bot', 'terminal',
  'equity',
]);

const SCAN_KEYS = ['symbols', 'timestamp', 'count', 'candidates', 'details'];
const ISO = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)(Z|[+-]\d\d:?\d\d)?)?$/;

/**
 * Seconds since 1970 of an ISO 8601 time, with its fraction; one without a zone is UTC.
 * @param {unknown} text
 * @returns {number | null}
 */
export function epoch(text) {
  const parts = typeof text === 'string' ? ISO.exec(text) : null;
  if (parts === null) return null;
  const [, day, time = '00:00', zone = 'Z'] = parts;
  const ms = Date.parse(`${day}T${time.replace(',', '.')}${zone}`);
  return Number.isNaN(ms) ? null : ms / 1000;
}

/** @param {unknown} value @returns {value is Wire} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
/** @param {unknown} value @returns {Wire} */
const object = (value) => (isObject(value) ? { ...value } : {});
/** @param {unknown} value @returns {Wire[]} */
const objects = (value) => (Array.isArray(value) ? value.filter(isObject) : []);
/** @param {Wire} value @returns {Wire} */
const objectsIn = (value) =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => isObject(item)));

/** The bot that an event names, '' when it names none. @param {Wire} event @returns {string} */
export const botOf = ({ bot }) => (typeof bot === 'string' && BOT_NAME.test(bot) ? bot : '');

/**
 * Everything that a snapshot holds, changed by `apply` only. It is about one bot, `name`, the one
 * that the feed has chosen; the others have a state each in `bots`. An event that names no bot is
 * about the feed itself and counts for the chosen one.
 */
export class FeedState {
  constructor(epoch = '', name = '') {
    this.epoch = epoch;
    this.name = name;
    /** @type {Map<string, FeedState>} */ this.bots = new Map();
    this.revision = 0;
    /** @type {Record<string, number>} */
    this.revisions = Object.fromEntries(SECTIONS.map((name) => [name, 0]));
    /** @type {Record<string, number>} */
    this.updated = {};
    this.clear();
  }

  clear() {
    /** @type {Wire} */ this.account = {};
    /** @type {Wire[]} */ this.positions = [];
    /** @type {Wire[]} */ this.orders = [];
    /** @type {Record<string, Wire>} */ this.quotes = {};
    /** @type {Wire} */ this.scan_summary = {};
    /** @type {Wire[]} */ this.recent_trades = [];
    /** @type {Wire[]} */ this.events = [];
    /** @type {Wire | null} */ this.bot = null;
    /** @type {Wire | null} */ this.terminal = null;
    /** @type {{time: number[], value: number[]}} */ this.equity = { time: [], value: [] };
    /** @type {string | null} */ this.server_time = null;
    this.speed = 1;
    this.seq = 0;
  }

  /**
   * Take one event in. An event that is malformed changes nothing it should not.
   * @param {Wire} event
   * @param {number} [now] the moment for `updated`, on a clock of the caller's choice
   */
  apply(event, now) {
    this.revision += 1;
    if (event.bot !== undefined && event.bot !== null && event.bot !== this.name) {
      const whose = this.meet(botOf(event));
      if (whose !== this) {
        if (!STATE_TYPES.has(event.type) && Number.isInteger(event.seq)) this.seq = event.seq;
        whose?.apply(event, now);
        return;
      }
    }
    if (STATE_TYPES.has(event.type)) {
      this.applyState(event, now);
      return;
    }
    this.touch('events', now);
    // Only the newest scan's numbers are kept (in scan_summary), as in streamer/state/reducer.py.
    const line = { ...event };
    if (event.type === 'SCAN_SUMMARY') delete line.details;
    this.events.push(line);
    if (this.events.length > MAX_EVENTS) this.events.shift();
    if (Number.isInteger(event.seq)) this.seq = event.seq;
    switch (event.type) {
      case 'SCAN_SUMMARY':
        this.scan_summary = Object.fromEntries(SCAN_KEYS.map((key) => [key, event[key] ?? null]));
        if (!isObject(this.scan_summary.symbols)) this.scan_summary.symbols = {};
        if (!isObject(this.scan_summary.details)) this.scan_summary.details = {};
        this.touch('scan', now);
        break;
      case 'TRADE_EXECUTION': {
        const { type, ...trade } = event;
        this.recent_trades = [trade, ...this.recent_trades].slice(0, MAX_TRADES);
        this.touch('trades', now);
        break;
      }
      case 'BOT_STATUS':
        this.bot = { ...event };
        this.touch('bot', now);
        break;
      case 'TERMINAL_STATUS':
        this.terminal = { ...event };
        this.touch('terminal', now);
        break;
    }
  }

  /** @param {Wire} event @param {number} [now] */
  applyState(event, now) {
    switch (event.type) {
      case 'ACCOUNT_UPDATE':
        if (isObject(event.account)) {
          this.account = { ...this.account, ...event.account };
          this.touch('account', now);
          this.addEquity(event.timestamp, event.account.equity, now);
        }
        break;
      case 'POSITION_UPDATE':
        if (Array.isArray(event.positions)) {
          this.positions = objects(event.positions);
          this.touch('positions', now);
        }
        break;
      case 'ORDERS_UPDATE':
        if (Array.isArray(event.orders)) {
          this.orders = objects(event.orders);
          this.touch('orders', now);
        }
        break;
      case 'QUOTE_UPDATE':
        if (isObject(event.quotes)) {
          this.quotes = { ...this.quotes, ...objectsIn(event.quotes) };
          this.touch('quotes', now);
        }
        if (typeof event.server_time === 'string') this.server_time = event.server_time;
        if (typeof event.speed === 'number') this.speed = event.speed;
        break;
    }
  }

  /** @param {unknown} timestamp @param {unknown} value @param {number} [now] */
  addEquity(timestamp, value, now) {
    const exact = epoch(timestamp);
    if (exact === null || typeof value !== 'number') return;
    const at = Math.floor(exact);
    const { time, value: values } = this.equity;
    const last = time[time.length - 1];
    if (last !== undefined && at < last) return;
    if (last !== undefined && Math.floor(at / EQUITY_STEP_S) === Math.floor(last / EQUITY_STEP_S)) {
      values[values.length - 1] = value;
    } else {
      time.push(at);
      values.push(value);
      if (time.length > MAX_EQUITY) {
        time.shift();
        values.shift();
      }
    }
    this.touch('equity', now);
  }

  /** @param {string} section @param {number} [now] */
  touch(section, now) {
    this.revisions[section] += 1;
    if (now !== undefined) this.updated[section] = now;
  }

  /** The state of one bot; undefined for one that was never heard of. @param {string} name */
  of(name) {
    return name === this.name ? this : this.bots.get(name);
  }

  /**
   * The state of one bot, a new one for one that was never heard of; this state for an empty name.
   * null when there are too many.
   * @param {string} name @returns {FeedState | null}
   */
  meet(name) {
    if (!name || name === this.name) return this;
    if (!this.name) {
      this.name = name;
      return this;
    }
    const known = this.bots.get(name);
    if (known) return known;
    if (this.bots.size >= MAX_BOTS) return null;
    const met = new FeedState(this.epoch, name);
    this.bots.set(name, met);
    return met;
  }

  /** The `data` of a STATE_SNAPSHOT. Parts are shared, not copied. */
  snapshot() {
    const bots = [...this.bots].map(([name, state]) => [name, state.sections()]);
    return { bot_name: this.name, ...this.sections(), bots: Object.fromEntries(bots) };
  }

  /** What a snapshot holds of one bot. */
  sections() {
    return {
      account: this.account,
      positions: this.positions,
      scan_summary: this.scan_summary,
      recent_trades: this.recent_trades,
      events: this.events,
      orders: this.orders,
      quotes: this.quotes,
      bot: this.bot,
      terminal: this.terminal,
      equity: this.equity,
      server_time: this.server_time,
      speed: this.speed,
    };
  }

  /**
   * Replace everything by a snapshot: the whole STATE_SNAPSHOT frame or its `data`. Keys that
   * are missing (an older server's) leave their section empty.
   * @param {Wire} snapshot
   * @param {number} [now]
   */
  load(snapshot, now) {
    const data = 'data' in snapshot ? object(snapshot.data) : snapshot;
    this.clear();
    this.epoch = typeof snapshot.epoch === 'string' ? snapshot.epoch : '';
    this.seq = Number.isInteger(snapshot.seq) ? snapshot.seq : 0;
    this.name = botOf({ bot: data.bot_name });
    const known = this.bots;
    this.bots = new Map();
    for (const [name, part] of Object.entries(object(data.bots))) {
      if (name === this.name || !BOT_NAME.test(name) || this.bots.size >= MAX_BOTS) continue;
      const state = known.get(name) ?? new FeedState();
      this.bots.set(name, state);
      const whole = { ...object(part), bot_name: name, bots: {} };
      state.load({ data: whole, epoch: this.epoch, seq: this.seq }, now);
    }
    this.account = object(data.account);
    this.positions = objects(data.positions);
    this.orders = objects(data.orders);
    this.quotes = objectsIn(object(data.quotes));
    this.scan_summary = object(data.scan_summary);
    this.recent_trades = objects(data.recent_trades).slice(0, MAX_TRADES);
    this.events = objects(data.events).slice(-MAX_EVENTS);
    this.bot = isObject(data.bot) ? data.bot : null;
    this.terminal = isObject(data.terminal) ? data.terminal : null;
    const { time, value } = object(data.equity);
    if (Array.isArray(time) && Array.isArray(value) && time.length === value.length) {
      this.equity = { time: time.slice(-MAX_EQUITY), value: value.slice(-MAX_EQUITY) };
    }
    this.server_time = typeof data.server_time === 'string' ? data.server_time : null;
    if (typeof data.speed === 'number') this.speed = data.speed;
    this.revision += 1;
    for (const section of SECTIONS) this.touch(section, now);
  }
}
