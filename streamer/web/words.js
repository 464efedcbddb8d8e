// @ts-check
/**
 * Events, stages, modes and limits in words: the table of words.json, as streamer/words reads it.
 * Both pass the vectors in tests/streamer/words/vectors.
 */

import { UNKNOWN, known, money, percent, words } from './format.js';
import { valueAt, writeText } from './sentences.js';
import table from './words.json' with { type: 'json' };

/** @typedef {import('./state.js').Wire} Wire */
/** @typedef {{when: Record<string, string | boolean | null | string[]>, level?: Level, text?: import('./sentences.js').Part[]}} Case */
/**
 * @typedef {{name: string, tag: string, level?: Level, tone?: string, cases?: Case[],
 *   text: import('./sentences.js').Part[]}} EventWords
 */
/** @typedef {{stage: string, sign: string, name: string, tone: string, of?: {code: string, gate: string}}} Stage */

export const LEVELS = /** @type {const} */ (['debug', 'info', 'warn', 'error']);
/** @typedef {typeof LEVELS[number]} Level */

const FOREIGN_MAX = 2000;
const TAG_MAX = 6;
const STAGE_MAX = 8;

const EVENTS = new Map(Object.entries(/** @type {Record<string, EventWords>} */ (/** @type {unknown} */ (table.events))));

/** @param {Wire} event */
const eventType = ({ type }) => (typeof type === 'string' && type ? type : '?');
/** @param {Wire} event */
const wordsOf = (event) => EVENTS.get(eventType(event));

/** Whether the fields of an event have the values of a case. @param {Case} rule @param {Wire} event */
const fits = (rule, event) =>
  Object.entries(rule.when).every(([path, wanted]) => {
    const value = valueAt(event, path) ?? null;
    return Array.isArray(wanted) ? wanted.includes(value) : value === wanted;
  });

/** What a trader calls the event. @param {Wire} event */
export const name = (event) => wordsOf(event)?.name ?? eventType(event);

/** At most six letters that name the kind. @param {Wire} event */
export const tag = (event) =>
  wordsOf(event)?.tag ?? eventType(event).replaceAll('_', ' ').slice(0, TAG_MAX).trim();

/** Whether a terminal's status says that it is being reached for the first time. @param {Wire | null} status */
export const connecting = (status) => status?.last_error?.code === 'STARTING';

/** How much an event matters. @param {Wire} event @returns {Level} */
export function level(event) {
  const entry = wordsOf(event);
  if (!entry) return table.errors_contain.some((part) => eventType(event).includes(part)) ? 'error' : 'info';
  return entry.cases?.find((rule) => rule.level && fits(rule, event))?.level ?? entry.level ?? 'info';
}

/** One line that says what happened. @param {Wire} event */
export function text(event) {
  const entry = wordsOf(event);
  if (entry) return writeText(entry.cases?.find((rule) => rule.text && fits(rule, event))?.text ?? entry.text, event);
  const { type, timestamp, seq, ...rest } = event;
  return `${eventType(event)} ${JSON.stringify(rest).slice(0, FOREIGN_MAX)}`;
}

/** What an event is about, for its colour. @param {Wire} event */
export const tone = (event) => wordsOf(event)?.tone ?? 'quiet';

/** Which of the page's colours an event has. @param {Wire} event */
export function colour(event) {
  const grade = level(event);
  if (grade === 'error' || grade === 'warn') return grade;
  const about = tone(event);
  if (about !== 'result') return about === 'quiet' ? 'dim' : 'accent';
  const profit = known(event.profit);
  return profit === null ? 'dim' : profit >= 0 ? 'up' : 'down';
}

/** From the nearest to a trade to the farthest. @type {Stage[]} */
export const STAGES = table.stages;

/**
 * The stage of a symbol by the detail of its scan. A code that is not in the table is a stage of
 * its own, with an unknown sign.
 * @param {import('./wire').ScanDetail} detail @returns {Stage}
 */
export function stageOf({ code, gate }) {
  const found = STAGES.find(({ of }) => of && of.code === code && of.gate === gate) ?? STAGES.find(({ stage }) => stage === code);
  if (found) return found;
  const foreign = typeof code === 'string' ? code : '';
  return foreign ? { ...table.unknown_stage, stage: foreign, name: foreign.slice(0, STAGE_MAX) } : table.unknown_stage;
}

/** How close to a trade: first the stage, within it the score. @param {Stage} stage @param {number | null} score */
export const nearness = (stage, score) => {
  const at = STAGES.findIndex((one) => one.stage === stage.stage);
  return (at < 0 ? -1 : STAGES.length - 1 - at) * 1000 + (score ?? 0);
};

/** The page's colour of a tone of the table. @param {string} of */
export const toneColour = (of) => ({ info: 'accent', crit: 'error' })[of] ?? of;

/** observe, paper or live, as account or bot say; undefined when neither does. @param {{account: import('./wire').Account, bot: import('./wire').BotStatus | null}} state */
export const modeOf = ({ account, bot }) => account.mode || bot?.mode || undefined;

/** What a mode is called. @param {unknown} mode */
export const modeName = (mode) =>
  Object.hasOwn(table.modes, String(mode))
    ? table.modes[/** @type {keyof typeof table.modes} */ (mode)]
    : words(mode).toUpperCase();

/** @type {Map<string, {name: string, short: string, decimals?: number}>} */
const LIMITS = new Map(Object.entries(table.limits));

/** What a risk limit is called. @param {string} limit */
export const limitName = (limit) => LIMITS.get(limit)?.name ?? sentenceCase(limit.replaceAll('_', ' '));

/** @param {string} text */
const sentenceCase = (text) => text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase();

/** A limit's value without its unit, '%' excepted. @param {string} limit @param {number | null} value @param {string} unit */
export function limitAmount(limit, value, unit) {
  if (unit === '%') return percent(value, LIMITS.get(limit)?.decimals ?? 1);
  if (!table.counted_units.includes(unit)) return money(value);
  return value === null ? UNKNOWN : String(Number(value.toPrecision(10)));
}

/** How near a limit is: '', 'ok', 'warn' or 'crit'. @param {number | null} value @param {number | null} limit */
export function limitGrade(value, limit) {
  if (value === null || !limit) return '';
  const share = Math.abs(value) / Math.abs(limit);
  return share >= table.limit_shares.crit ? 'crit' : share >= table.limit_shares.warn ? 'warn' : 'ok';
}
