// @ts-check
/** How fresh what the page shows is: one badge for each thing that can fall silent, in words. */

import { known, wholeAge, words } from './format.js';
import { epoch } from './state.js';
import { connecting } from './words.js';

/** @typedef {import('./link.js').FeedLink} FeedLink */
/** @typedef {{word: string, grade: 'ok' | 'warn' | 'crit' | 'dim', age: number | null, detail: string}} Badge */

/** Account and positions are read every second: up to this age they are live, then slow. */
const LIVE_S = 3;
const SLOW_S = 10;

/** @param {string} word @param {Badge['grade']} grade @param {number | null} [age] @param {string} [detail] @returns {Badge} */
const badge = (word, grade, age = null, detail = '') => ({ word, grade, age, detail });

/** @param {unknown} reason */
const said = (reason) =>
  reason && typeof reason === 'object'
    ? words(/** @type {any} */ (reason).text ?? /** @type {any} */ (reason).code ?? '')
    : '';

/**
 * Seconds since the account was last read; null while that is not known. A snapshot says what the
 * account was, not when: until the next update the age is what the heartbeat says.
 * @param {FeedLink} link
 */
function accountAge(link) {
  const at = link.reducer.updated.account;
  if (at === undefined) return null;
  const now = link.now();
  if (at > link.joinedAt) return (now - at) / 1000;
  const told = link.heartbeatAt > link.joinedAt ? known((link.feed.bots.size ? link.pulse(link.reducer.name) : link.heartbeat).data_age_s) : null;
  return told === null ? null : told + (now - link.heartbeatAt) / 1000;
}

/** Seconds from a timestamp until now. @param {unknown} timestamp */
const since = (timestamp) => {
  const at = epoch(timestamp);
  return at === null ? null : Math.max(0, Date.now() / 1000 - at);
};

/** The trading terminal: how old account and positions are. @param {FeedLink} link @returns {Badge} */
export function terminal(link) {
  const status = link.reducer.terminal;
  const detail = said(status?.last_error);
  const age = accountAge(link);
  const { lost } = link.pulse(link.reducer.name);
  if (typeof lost === 'string') return badge('LOST', 'crit', age, words(lost));
  if (connecting(status)) return badge('JOINING', 'warn', null, detail);
  if (status?.state === 'disconnected') return badge('GONE', 'crit', age, detail || 'the terminal does not answer');
  if (Object.keys(link.reducer.account).length === 0) return badge('WAITING', 'dim', null, 'no account data yet');
  if (age === null) return badge('JOINED', 'dim', null, 'how old this is comes with the next heartbeat');
  if (age > SLOW_S) return badge('STALE', 'crit', age, detail || 'no account data any more');
  if (status?.state === 'stale' || age > LIVE_S) return badge('SLOW', 'warn', age, detail);
  return badge('LIVE', 'ok', age, words(status?.market ?? ''));
}

/** The worker: what it does, and the age of its last scan. @param {FeedLink} link @returns {Badge} */
export function bot(link) {
  const status = link.reducer.bot;
  const age = since(link.reducer.scan_summary.timestamp);
  if (!status?.state) return age === null ? badge('UNKNOWN', 'dim', null, 'no bot has spoken here') : badge('LIVE', 'ok', age);
  const word = words(status.state).toUpperCase();
  const detail = said(status.reason);
  if (['error', 'halted'].includes(status.state)) return badge(word, 'crit', age, detail);
  if (['paused', 'stopped', 'starting'].includes(status.state)) return badge(word, 'warn', age, detail);
  const period = known(status.cycle_s);
  if (period && age !== null && age > 2 * period + 2) return badge('LATE', 'crit', age, `no scan for ${wholeAge(age)}`);
  return badge(word, 'ok', age, detail);
}

/** The feed, as this page sees it. @param {FeedLink} link @returns {Badge} */
export function feed(link) {
  const now = link.now();
  const age = link.lastFrame ? (now - link.lastFrame) / 1000 : null;
  switch (link.status) {
    case 'live': {
      const { journal } = link.heartbeat;
      if (typeof journal === 'string' && !['ok', 'none'].includes(journal)) return badge('HELD', 'crit', age, `journal: ${journal}`);
      return age !== null && age > 8 ? badge('SLOW', 'warn', age) : badge('LIVE', 'ok', age);
    }
    case 'connecting':
      return badge('JOINING', 'warn', null, link.detail);
    case 'asleep':
      return badge('ASLEEP', 'dim', null, link.detail);
    case 'refused':
      return badge('REFUSED', 'crit', null, link.detail);
  }
  return badge('LOST', 'crit', (now - link.since) / 1000, link.detail);
}

export const SIGNS = { ok: '●', warn: '◐', crit: '✕', dim: '○' };
