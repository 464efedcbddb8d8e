// @ts-check
/**
 * The one reducer, as in streamer/state: what the page shows is a pure function of the events. The
 * sections are listed in sections.json, which is generated from streamer/protocol/sections.py. Python and
 * the page pass the same vectors, tests/streamer/state/vectors.
 */

import table from './sections.json' with { type: 'json' };

/** @typedef {Record<string, any>} Wire an event or a part of one as JSON values */

export const MAX_BOTS = 64;
/** A bot's name on the wire. */
const BOT_NAME = /^[A-Za-z0-9][A-Za-z0-9._@:[\]-]{0,95}$/;

export const STATE_TYPES = new Set(table.stateTypes);

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
 * @typedef {{name: string, key: string, kind: string, event?: string, limit?: number, step_s?: number,
 *   source?: string[], not_in_log?: string[], fields?: Record<string, {} | null>,
 *   empty?: string | number | null}} Section one line of sections.json
 * @typedef {{empty: (section: Section) => any,
 *   reduce: (section: Section, value: any, event: Wire) => any,
 *   load: (section: Section, raw: any) => any}} Rules undefined from `reduce`: nothing changes
 */

const SECTIONS = /** @type {Section[]} */ (table.sections);

/** Fields of a log event that its line in the log is kept without, by type. @type {Map<string, string[]>} */
const NOT_IN_LOG = new Map();
for (const { event, not_in_log } of SECTIONS) if (event && not_in_log) NOT_IN_LOG.set(event, not_in_log);

/** How the sections of each kind are merged, as in streamer/state/sections.py. @type {Record<string, Rules>} */
const RULES = {
  object: {
    empty: () => ({}),
    reduce: ({ key }, value, event) => (isObject(event[key]) ? { ...value, ...event[key] } : undefined),
    load: (_, raw) => object(raw),
  },
  rows: {
    empty: () => [],
    reduce: ({ key }, _, event) => (Array.isArray(event[key]) ? objects(event[key]) : undefined),
    load: (_, raw) => objects(raw),
  },
  by_name: {
    empty: () => ({}),
    reduce: ({ key }, value, event) =>
      isObject(event[key]) ? { ...value, ...objectsIn(event[key]) } : undefined,
    load: (_, raw) => objectsIn(object(raw)),
  },
  last_event: {
    empty: () => null,
    reduce: (_, __, event) => ({ ...event }),
    load: (_, raw) => (isObject(raw) ? raw : null),
  },
  last_fields: {
    empty: () => ({}),
    reduce: ({ fields = {} }, _, event) =>
      Object.fromEntries(
        Object.entries(fields).map(([key, empty]) => [
          key,
          empty === null ? (event[key] ?? null) : object(event[key]),
        ]),
      ),
    load: (_, raw) => object(raw),
  },
  newest: {
    empty: () => [],
    reduce: ({ limit }, value, { type, ...event }) => [event, ...value].slice(0, limit),
    load: ({ limit }, raw) => objects(raw).slice(0, limit),
  },
  log: {
    empty: () => [],
    reduce: ({ limit = 0 }, value, event) => {
      const line = { ...event };
      for (const key of NOT_IN_LOG.get(event.type) ?? []) delete line[key];
      value.push(line);
      if (value.length > limit) value.shift();
      return value;
    },
    load: ({ limit = 0 }, raw) => objects(raw).slice(-limit),
  },
  curve: {
    empty: () => ({ time: [], value: [] }),
    reduce: ({ limit = 0, step_s = 1, source: [part = '', field = ''] = [] }, curve, event) => {
      const point = isObject(event[part]) ? event[part][field] : undefined;
      const exact = epoch(event.timestamp);
      if (exact === null || typeof point !== 'number') return undefined;
      const at = Math.floor(exact);
      const { time, value } = curve;
      const last = time[time.length - 1];
      if (last !== undefined && at < last) return undefined;
      if (last !== undefined && Math.floor(at / step_s) === Math.floor(last / step_s)) {
        value[value.length - 1] = point;
      } else {
        time.push(at);
        value.push(point);
        if (time.length > limit) {
          time.shift();
          value.shift();
        }
      }
      return curve;
    },
    load: ({ limit = 0 }, raw) => {
      const { time, value } = object(raw);
      if (!Array.isArray(time) || !Array.isArray(value) || time.length !== value.length) {
        return { time: [], value: [] };
      }
      return { time: time.slice(-limit), value: value.slice(-limit) };
    },
  },
  value: {
    empty: ({ empty }) => empty,
    reduce: (section, _, event) => (fits(section, event[section.key]) ? event[section.key] : undefined),
    load: (section, raw) => (fits(section, raw) ? raw : section.empty),
  },
};

/** Whether a value is what its section holds: a number or a text. @param {Section} section @param {unknown} raw */
const fits = ({ empty }, raw) => typeof raw === (typeof empty === 'number' ? 'number' : 'string');

/** @param {Section} section */
const rules = ({ kind }) => /** @type {Rules} */ (RULES[kind]);

/** The sections that a log event of any type, and an event of each type, change. */
const LOG = SECTIONS.filter(({ event }) => !event);
/** @type {Map<string, Section[]>} */
const BY_EVENT = new Map();
for (const section of SECTIONS) {
  if (section.event) BY_EVENT.set(section.event, [...(BY_EVENT.get(section.event) ?? []), section]);
}

/**
 * Everything that a snapshot holds, changed by `apply` only. The attributes are about one bot,
 * `name`: the first one; the other bots have a state of their own in `bots`. An event that names no
 * bot is about the feed itself and counts for the first bot.
 */
export class FeedState {
  /** @type {import('./wire').Account} */ account = {};
  /** @type {import('./wire').Position[]} */ positions = [];
  /** @type {import('./wire').PendingOrder[]} */ orders = [];
  /** @type {Record<string, import('./wire').Quote>} */ quotes = {};
  /** @type {import('./wire').Scan} */ scan_summary = {};
  /** @type {import('./wire').TradeExecution[]} */ recent_trades = [];
  /** @type {Wire[]} */ events = [];
  /** @type {import('./wire').BotStatus | null} */ bot = null;
  /** @type {import('./wire').TerminalStatus | null} */ terminal = null;
  /** @type {{time: number[], value: number[]}} */ equity = { time: [], value: [] };
  /** @type {string | null} */ server_time = null;
  speed = 1;
  seq = 0;
  revision = 0;
  /** By section. @type {Record<string, number>} */ revisions = {};
  /** @type {Record<string, number>} */ updated = {};
  /** @type {Map<string, FeedState>} */ bots = new Map();

  constructor(epoch = '', name = '') {
    this.epoch = epoch;
    this.name = name;
    for (const section of SECTIONS) {
      /** @type {Wire} */ (this)[section.key] = rules(section).empty(section);
      if (section.kind !== 'value') this.revisions[section.name] = 0;
    }
  }

  /**
   * Apply one event. Malformed fields are ignored.
   * @param {Wire} event
   * @param {number} [now] the moment for `updated`, on a clock of the caller's choice
   */
  apply(event, now) {
    this.revision += 1;
    const isLog = !STATE_TYPES.has(event.type);
    if (event.bot !== undefined && event.bot !== null && event.bot !== this.name) {
      const state = this.getOrAdd(botOf(event));
      if (state !== this) {
        if (isLog && Number.isInteger(event.seq)) this.seq = event.seq;
        state?.apply(event, now);
        return;
      }
    }
    if (isLog) {
      for (const section of LOG) this.reduce(section, event, now);
      if (Number.isInteger(event.seq)) this.seq = event.seq;
    }
    for (const section of BY_EVENT.get(event.type) ?? []) this.reduce(section, event, now);
  }

  /** @param {Section} section @param {Wire} event @param {number} [now] */
  reduce(section, event, now) {
    const held = /** @type {Wire} */ (this)[section.key];
    const value = rules(section).reduce(section, held, event);
    if (value !== undefined) this.put(section, value, now);
  }

  /** Set the content of one section. @param {Section} section @param {any} value @param {number} [now] */
  put(section, value, now) {
    /** @type {Wire} */ (this)[section.key] = value;
    if (section.kind === 'value') return;
    this.revisions[section.name] = (this.revisions[section.name] ?? 0) + 1;
    if (now !== undefined) this.updated[section.name] = now;
  }

  /** The state of one bot; undefined for an unknown one. @param {string} name */
  of(name) {
    return name === this.name ? this : this.bots.get(name);
  }

  /**
   * The state of one bot, added when it is unknown; this state for an empty name.
   * null when there are too many.
   * @param {string} name @returns {FeedState | null}
   */
  getOrAdd(name) {
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

  /** What a snapshot holds of one bot. @returns {Wire} */
  sections() {
    return Object.fromEntries(SECTIONS.map(({ key }) => [key, /** @type {Wire} */ (this)[key]]));
  }

  /**
   * Replace everything by a snapshot: the whole STATE_SNAPSHOT frame or its `data`. Keys that
   * are missing (an older server's) leave their section empty.
   * @param {Wire} snapshot
   * @param {number} [now]
   */
  load(snapshot, now) {
    const data = 'data' in snapshot ? object(snapshot.data) : snapshot;
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
    for (const section of SECTIONS) this.put(section, rules(section).load(section, data[section.key]), now);
    this.revision += 1;
  }
}
