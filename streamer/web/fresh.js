// @ts-check
/**
 * Freshness of what the page shows: one badge each for terminal, bot and feed.
 * Words, grades and thresholds are those of words.json; the terminal's screen grades by the same
 * rules (tui/session/freshness.py) and passes the same vectors.
 */

import { known, wholeAge, words } from './format.js';
import { reason } from './sentences.js';
import { epoch } from './state.js';
import table from './words.json' with { type: 'json' };

/** @typedef {import('./link.js').FeedLink} FeedLink */
/** @typedef {import('./wire').TerminalStatus} TerminalStatus */
/** @typedef {import('./wire').BotStatus} BotStatus */
/** @typedef {'ok' | 'warn' | 'crit' | 'dim'} Grade */
/** @typedef {{word: string, grade: Grade, age: number | null, detail: string}} Badge */

const LIMITS = table.freshness;
/** @type {Record<'terminal' | 'bot' | 'feed', Record<string, {grade: string, detail?: string}>>} */
const BADGES = table.badges;

export const SIGNS = { ok: '●', warn: '◐', crit: '✕', dim: '○' };

/** The words of a badge; a word that is not in the table is ok. @param {'terminal' | 'bot' | 'feed'} source @param {string} word */
const wordsOf = (source, word) => (Object.hasOwn(BADGES[source], word) ? BADGES[source][word] : { grade: 'ok' });

/** @param {'terminal' | 'bot' | 'feed'} source @param {string} word @param {number | null} [age] @param {string} [detail] @returns {Badge} */
function badge(source, word, age = null, detail = '') {
  const found = wordsOf(source, word);
  return { word, grade: /** @type {Grade} */ (found.grade), age, detail: detail || (found.detail ?? '') };
}

/**
 * The trading terminal.
 * @param {TerminalStatus | null} status its last status
 * @param {{known: boolean, age: number | null, other_age?: number | null, status_age?: number | null, lost?: unknown}} facts
 *   whether there is an account; seconds since it was read (null: unknown), the same of the newer
 *   of positions and quotes; seconds since the status came; why the bot cannot be reached
 * @returns {Badge}
 */
export function gradeTerminal(status, { known: isKnown, age, other_age = null, status_age = null, lost }) {
  const detail = reason(status?.last_error);
  if (typeof lost === 'string') return badge('terminal', 'LOST', age, lost);
  if (status?.state === 'disconnected') {
    const joining = !isKnown && status_age !== null && status_age < LIMITS.joining_s;
    return joining ? badge('terminal', 'CONNECTING', null, detail) : badge('terminal', 'DISCONNECTED', age, detail);
  }
  if (!isKnown) return badge('terminal', 'WAITING');
  if (age === null) return badge('terminal', 'UNKNOWN');
  if (age > LIMITS.account_slow_s) return badge('terminal', 'STALE', age, detail);
  if (age > LIMITS.account_live_s) return badge('terminal', 'SLOW', age, detail);
  const newest = other_age === null ? age : Math.min(age, other_age);
  if (status?.state === 'stale') return badge('terminal', 'SLOW', newest, detail);
  return badge('terminal', 'LIVE', newest, detail || words(status?.market ?? ''));
}

/** The bot: its state, and the age of its last scan. @param {BotStatus | null} status @param {{age: number | null}} facts @returns {Badge} */
export function gradeBot(status, { age }) {
  if (!status?.state) return age === null ? badge('bot', 'UNKNOWN') : badge('bot', 'LIVE', age);
  const word = words(status.state).toUpperCase();
  const detail = reason(status.reason);
  const { grade } = wordsOf('bot', word);
  const period = known(status.cycle_s);
  if (grade === 'ok' && period && age !== null && age > LIMITS.late_cycles * period + LIMITS.late_s) {
    return badge('bot', 'LATE', age, BADGES.bot.LATE.detail?.replace('{age}', wholeAge(age)));
  }
  return { word, grade: /** @type {Grade} */ (grade), age, detail };
}

/**
 * The feed, as this page sees it.
 * @param {{state: import('./link.js').LinkState, detail?: string, frame_age?: number | null, for_s?: number, journal_trouble?: string | null}} facts
 *   the connection, the age of its last frame, seconds in this state
 * @returns {Badge}
 */
export function gradeFeed({ state, detail = '', frame_age = null, for_s = 0, journal_trouble = null }) {
  switch (state) {
    case 'live':
      if (frame_age !== null && frame_age > LIMITS.frame_slow_s) return badge('feed', 'STALE', frame_age);
      if (journal_trouble) return badge('feed', 'HELD', frame_age, BADGES.feed.HELD.detail?.replace('{trouble}', () => journal_trouble));
      return badge('feed', frame_age !== null && frame_age > LIMITS.frame_live_s ? 'SLOW' : 'LIVE', frame_age, detail);
    case 'connecting':
      return badge('feed', 'CONNECTING', frame_age, detail);
    case 'asleep':
      return badge('feed', 'ASLEEP', null, detail);
  }
  return badge('feed', state === 'refused' ? 'REFUSED' : 'LOST', for_s, detail);
}

/**
 * Seconds since the account was read; null while that is unknown. A snapshot holds the account
 * without the time at which it was read: until the next update its age is that of the heartbeat.
 * @param {FeedLink} link
 */
function accountAge(link) {
  const at = link.reducer.updated.account;
  if (at === undefined) return null;
  const now = link.now();
  if (at > link.snapshotAt) return (now - at) / 1000;
  const atBeat = link.heartbeatAt > link.snapshotAt ? known((link.feed.bots.size ? link.pulse(link.reducer.name) : link.heartbeat).data_age_s) : null;
  return atBeat === null ? null : atBeat + (now - link.heartbeatAt) / 1000;
}

/** Seconds since a section came after the snapshot; null before. @param {FeedLink} link @param {string} section */
function sectionAge(link, section) {
  const at = link.reducer.updated[section];
  return at === undefined || at <= link.snapshotAt ? null : (link.now() - at) / 1000;
}

/** Seconds from a timestamp until now. @param {unknown} timestamp */
const since = (timestamp) => {
  const at = epoch(timestamp);
  return at === null ? null : Math.max(0, Date.now() / 1000 - at);
};

/** The trading terminal: the age of account, positions and quotes. @param {FeedLink} link */
export function terminal(link) {
  const others = ['positions', 'quotes'].map((section) => sectionAge(link, section)).filter((age) => age !== null);
  return gradeTerminal(link.reducer.terminal, {
    known: Object.keys(link.reducer.account).length > 0,
    age: accountAge(link),
    other_age: others.length ? Math.min(...others) : null,
    status_age: since(link.reducer.terminal?.timestamp),
    lost: link.pulse(link.reducer.name).lost,
  });
}

/** The bot: its state, and the age of its last scan. @param {FeedLink} link */
export const bot = (link) => gradeBot(link.reducer.bot, { age: since(link.reducer.scan_summary.timestamp) });

/** The feed, as this page sees it. @param {FeedLink} link */
export function feed(link) {
  const now = link.now();
  const { journal } = link.heartbeat;
  return gradeFeed({
    state: link.status,
    detail: link.detail,
    frame_age: link.lastFrame && link.status === 'live' ? (now - link.lastFrame) / 1000 : null,
    for_s: (now - link.since) / 1000,
    journal_trouble: typeof journal === 'string' && !['ok', 'none'].includes(journal) ? journal : null,
  });
}
