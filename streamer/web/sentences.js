// @ts-check
/**
 * The sentences of words.json, filled with an event's fields, by the rules of
 * streamer/words/sentences.py: `{field:format}` writes a field, `{a|b}` the first of two that has
 * a value, and text in `[...]` is left out when a field in it is unknown.
 */

import { UNKNOWN, known, lots, money, number, price, priceDecimals, wholeAge, words } from './format.js';
import table from './words.json' with { type: 'json' };

/** @typedef {import('./state.js').Wire} Wire */
/** @typedef {{decimals: number | undefined}} Look how the figures of one sentence are written */
/** @typedef {{paths: string[], format: string}} Field */
/** @typedef {(string | Field | {optional: (string | Field)[]})[]} Sentence */
/** @typedef {string | {text: string, changed?: string[], locked?: string[]}} Part */

const METRICS_SHOWN = 6;

/** A field by its path, undefined where there is none. @param {Wire} event @param {string} path @returns {any} */
export const valueAt = (event, path) =>
  path.split('.').reduce((/** @type {any} */ value, name) =>
    value && typeof value === 'object' && Object.hasOwn(value, name) ? value[name] : undefined, event);

/** @param {unknown} value @returns {value is Wire} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
/** @param {unknown} value */
const word = (value) => (value === null || value === undefined || value === '' ? null : words(value));
/** @param {(value: unknown) => string} write @returns {(value: unknown) => string | null} */
const figure = (write) => (value) => {
  const text = write(value);
  return text === UNKNOWN ? null : text;
};

/** The text (else the code) of a reason, '' without one. @param {unknown} value */
export const reason = (value) => {
  const found = isObject(value) ? value.text || value.code : value;
  return found ? words(found) : '';
};

/** Why a position was closed; a reason that is not in the table says itself. @param {unknown} value */
const closeReason = (value) =>
  typeof value === 'string' && Object.hasOwn(table.close_reasons, value)
    ? table.close_reasons[/** @type {keyof typeof table.close_reasons} */ (value)].text
    : word(value);

/** @type {Record<string, (value: any, look: Look) => string | null>} */
const FORMATS = {
  word,
  upper: (value) => word(value)?.toUpperCase() ?? null,
  number: figure((value) => number(value)),
  tenths: figure((value) => number(value, 1)),
  thousandths: figure((value) => number(value, 3)),
  lots: figure(lots),
  price: (value, look) => figure((v) => price(v, look.decimals))(value),
  money: figure((value) => money(value)),
  gain: figure((value) => money(value, true)),
  multiple: figure((value) => number(value, 1, true)),
  points: figure((value) => number(value, 1, true).replace(/\.0$/, '')),
  share: (value) => ((known(value) ?? 2) <= 1 ? `${number(value * 100)}%` : null),
  whole_age: figure((value) => wholeAge(known(value))),
  reason: (value) => reason(value) || null,
  close_reason: closeReason,
  candidate_count: (value) =>
    value === 0 ? 'no candidate' : `${words(value)} candidate${value === 1 ? '' : 's'}`,
  candidates: (value) =>
    isObject(value)
      ? Object.entries(value)
          .filter(([, detail]) => detail?.code === 'CANDIDATE')
          .map(([symbol, detail]) => `${symbol} ${detail.direction || ''}`.trim())
          .join(', ') || null
      : null,
  args: (value) =>
    isObject(value)
      ? Object.entries(value).filter(([k]) => k !== 'expect').map(([k, v]) => `${k}=${words(v)}`).join(' ') || null
      : null,
  pairs: (value) =>
    isObject(value) ? Object.entries(value).map(([k, v]) => `${k} ${words(v)}`).join('  ') || null : null,
  metrics: (value) =>
    isObject(value)
      ? Object.entries(value).slice(0, METRICS_SHOWN).map(([k, v]) => `${k} ${number(v, 3)}`).join('  ') || null
      : null,
};

/** @type {Map<string, Sentence>} */
const parsed = new Map();

/** A template taken apart. @param {string} template @returns {Sentence} */
function parse(template) {
  let sentence = parsed.get(template);
  if (sentence) return sentence;
  sentence = [];
  /** @type {(string | Field)[] | null} */
  let optional = null;
  for (const [, paths, format, bracket, plain] of template.matchAll(/\{([\w.|]+)(?::(\w+))?\}|([[\]])|([^{}[\]]+)/g)) {
    if (bracket === '[') optional = [];
    else if (bracket === ']') {
      sentence.push({ optional: optional ?? [] });
      optional = null;
    } else (optional ?? sentence).push(plain ?? { paths: paths.split('|'), format: format ?? 'word' });
  }
  parsed.set(template, sentence);
  return sentence;
}

/** @param {string | Field} piece @param {Wire} event @param {Look} look @returns {string | null} */
function fill(piece, event, look) {
  if (typeof piece === 'string') return piece;
  const values = piece.paths.map((path) => valueAt(event, path));
  return FORMATS[piece.format](values.find((v) => v !== null && v !== undefined && v !== ''), look);
}

/** @param {Sentence} sentence @param {Wire} event @param {Look} look */
const write = (sentence, event, look) =>
  sentence
    .map((piece) => {
      if (typeof piece === 'string' || !('optional' in piece)) return fill(piece, event, look) ?? UNKNOWN;
      const texts = piece.optional.map((inner) => fill(inner, event, look));
      return texts.includes(null) ? '' : texts.join('');
    })
    .join('');

/** All prices of a sentence have the decimals of the finest of them. @param {Sentence[]} parts @param {Wire} event */
function decimalsOf(parts, event) {
  const fields = parts.flat().flatMap((piece) => (typeof piece === 'object' && 'optional' in piece ? piece.optional : [piece]));
  const prices = fields
    .filter((field) => typeof field === 'object' && field.format === 'price')
    .map((field) => known(valueAt(event, /** @type {Field} */ (field).paths[0])))
    .filter((n) => n !== null && n !== 0);
  return prices.length ? Math.max(...prices.map((n) => priceDecimals(/** @type {number} */ (n)))) : undefined;
}

/**
 * Whether the stop of a position is at its entry or beyond it.
 * @param {number | null} entry @param {number | null} stop @param {unknown} direction
 */
function noLossPossible(entry, stop, direction) {
  if (entry === null || !stop) return false;
  return direction === 'BUY' ? stop >= entry : stop <= entry;
}

/** @param {Exclude<Part, string>} part @param {Wire} event */
function appears(part, event) {
  if (part.changed) {
    const [before, after] = part.changed.map((name) => event[name] ?? null);
    return after !== null && before !== after;
  }
  if (!part.locked) return true;
  const [entry, stop] = part.locked.map((name) => known(event[name]));
  return noLossPossible(entry, stop, event.direction);
}

/** The parts of a sentence, those that are not empty joined by two spaces. @param {readonly Part[]} text @param {Wire} event */
export function writeText(text, event) {
  const shown = text.filter((part) => typeof part === 'string' || appears(part, event));
  const parts = shown.map((part) => parse(typeof part === 'string' ? part : part.text));
  const look = { decimals: decimalsOf(parts, event) };
  return parts.map((part) => write(part, event, look).trim()).filter(Boolean).join('  ');
}
