// @ts-check
/**
 * Numbers, prices, times and ages as short text, as in streamer/words/figures.py: both pass the
 * vectors in tests/streamer/words/vectors. An unknown value is written – and never zero. The page
 * draws the minus sign as −, which screen readers read.
 */

import { epoch } from './state.js';

export const UNKNOWN = '–';

/** @param {unknown} value @returns {number | null} */
export const known = (value) =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

/**
 * A number with so many decimals; a tie goes to the even digit, as in Python.
 * @param {number} n @param {number} decimals
 */
function fixed(n, decimals) {
  const text = n.toFixed(decimals);
  // An odd multiple of half a unit is a tie, and exact in binary only with this power of two.
  if ((Math.abs(n) * 2 ** (decimals + 1)) % 2 !== 1 || '02468'.includes(text.slice(-1))) return text;
  return (n - Math.sign(n) * 0.5 * 10 ** -decimals).toFixed(decimals);
}

const THOUSANDS = /\B(?=(\d{3})+(?!\d))/g;

/** `1234.5` as `1,234.50`; what rounds to zero has no sign. @param {unknown} value @param {number} [decimals] @param {boolean} [sign] */
export function number(value, decimals = 0, sign = false) {
  const n = known(value);
  if (n === null) return UNKNOWN;
  const [whole, part] = fixed(Math.abs(n), decimals).split('.');
  const text = whole.replace(THOUSANDS, ',') + (part ? `.${part}` : '');
  if (!/[1-9]/.test(text)) return text;
  return (n < 0 ? '\u2212' : sign ? '+' : '') + text;
}

/** Money with two decimals; from a million on without. @param {unknown} value @param {boolean} [sign] */
export const money = (value, sign = false) =>
  number(value, Math.abs(known(value) ?? 0) >= 1e6 ? 0 : 2, sign);

/** @param {unknown} value @param {number} [decimals] @param {boolean} [sign] */
export const percent = (value, decimals = 1, sign = false) =>
  known(value) === null ? UNKNOWN : `${number(value, decimals, sign)}%`;

/** Digits at most of a price whose symbol's decimals are unknown. */
const SIGNIFICANT = 8;

/**
 * Decimals of a price whose symbol's decimals are unknown: as many as are usual for its size, and
 * more where it was sent with more.
 * @param {number} n
 */
export function priceDecimals(n) {
  const size = Math.abs(n);
  const usual = size < 20 ? 5 : size < 500 ? 3 : 2;
  const whole = size >= 1 ? String(Math.floor(size)).length : 0;
  const most = Math.max(0, SIGNIFICANT - whole);
  const sent = (size.toFixed(most).split('.')[1] ?? '').replace(/0+$/, '');
  return Math.max(usual, sent.length);
}

/** A price with the symbol's own decimals; 0 (no stop, no target) is not a price. @param {unknown} value @param {unknown} [digits] */
export function price(value, digits) {
  const n = known(value);
  if (n === null || n === 0) return UNKNOWN;
  const own = typeof digits === 'number' && Number.isInteger(digits) && digits >= 0 && digits <= 10;
  return fixed(n, own ? digits : priceDecimals(n));
}

/** A volume: two decimals, more only where it has them. @param {unknown} value */
export function lots(value) {
  const n = known(value);
  if (n === null) return UNKNOWN;
  return Math.abs(n * 100 - Math.round(n * 100)) < 1e-6 ? fixed(n, 2) : String(Number(n.toPrecision(10)));
}

/** `▲` for more than zero, `▼` for less: the sign without colour. @param {unknown} value */
export function arrow(value) {
  const n = known(value);
  if (n === null || Math.abs(n) < 0.005) return '';
  return n > 0 ? '▲' : '▼';
}

/** @param {unknown} value @returns {'up' | 'down' | ''} */
export function tone(value) {
  const n = known(value);
  if (n === null || Math.abs(n) < 0.005) return '';
  return n > 0 ? 'up' : 'down';
}

/** How old: `0.3s`, `12s`, `4m05`, `2h07`, `3d04`. @param {unknown} seconds */
export function age(seconds) {
  const n = known(seconds);
  if (n === null) return UNKNOWN;
  return n < 9.95 ? `${fixed(Math.max(0, n), 1)}s` : wholeAge(n);
}

/** As `age`, in whole seconds. @param {unknown} seconds */
export function wholeAge(seconds) {
  const n = known(seconds);
  if (n === null) return UNKNOWN;
  const s = Math.max(0, Math.floor(n));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}`;
  return `${Math.floor(s / 86400)}d${two(Math.floor((s % 86400) / 3600))}`;
}

/** Time left: `0:07`, `1:48`; `now` when it is due. @param {unknown} seconds */
export function countdown(seconds) {
  const n = known(seconds);
  if (n === null) return UNKNOWN;
  if (n <= 0) return 'now';
  const s = Math.ceil(n);
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  return `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`;
}

/** @param {number} n */
const two = (n) => String(n).padStart(2, '0');

/** Time of day (UTC) of an ISO time. @param {unknown} text */
export function clock(text) {
  const at = epoch(text);
  return at === null ? UNKNOWN : new Date(at * 1000).toISOString().slice(11, 19);
}

/** Day and time (UTC) of an ISO time. @param {unknown} text */
export function moment(text) {
  const at = epoch(text);
  return at === null ? UNKNOWN : new Date(at * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

/** Text for people from anything a foreign event may hold. @param {unknown} value */
export const words = (value) =>
  value === null || value === undefined
    ? UNKNOWN
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);
