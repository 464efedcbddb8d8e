// @ts-check
/** Feed events in words: a short tag, how much it matters, and one line of text for each. */

import { UNKNOWN, known, lots, money, number, price, wholeAge, words } from './format.js';

/** @typedef {import('./state.js').Wire} Wire */

export const LEVELS = /** @type {const} */ (['debug', 'info', 'warn', 'error']);
/** @typedef {typeof LEVELS[number]} Level */

/** @type {Record<string, string>} */
const TAGS = {
  SCAN_START: 'SCAN',
  SCAN_SUMMARY: 'SCAN',
  TRADE_EXECUTION: 'FILL',
  POSITION_OPENED: 'OPEN',
  POSITION_MODIFIED: 'MODIFY',
  POSITION_CLOSED: 'CLOSE',
  ORDER_UPDATE: 'ORDER',
  BOT_STATUS: 'BOT',
  TERMINAL_STATUS: 'TERM',
  RISK_ALERT: 'RISK',
  TRAINER_STATUS: 'TRAIN',
  MODEL_SWAPPED: 'MODEL',
  COMMAND_AUDIT: 'CMD',
  RESEARCH_START: 'RESEARCH',
  RESEARCH_RESULT: 'RESEARCH',
  CRITIC_REVIEW: 'CRITIC',
  STAT_ARB_HEDGE: 'ARB',
  STAT_ARB_FLATTEN: 'ARB',
};

/** @type {Record<string, string>} */
export const CLOSE_REASON = {
  sl: 'stop hit',
  tp: 'target hit',
  stop_out: 'STOP OUT',
  strategy: 'by the strategy',
  operator: 'by hand',
  external: 'from outside',
};

/** @param {Wire} event */
export const tag = (event) =>
  Object.hasOwn(TAGS, event.type) ? TAGS[event.type] : words(event.type).replaceAll('_', ' ').slice(0, 8);

/** Whether a terminal's status says that it is being reached for the first time. @param {Wire | null} status */
export const connecting = (status) => status?.last_error?.code === 'STARTING';

/** @param {Wire} event @returns {Level} */
export function level(event) {
  switch (event.type) {
    case 'SCAN_START':
      return 'debug';
    case 'BOT_STATUS':
      return event.state === 'error' ? 'error' : ['halted', 'paused'].includes(event.state) ? 'warn' : 'debug';
    case 'TERMINAL_STATUS':
      if (connecting(event)) return 'info';
      return event.state === 'disconnected' ? 'error' : event.state === 'stale' ? 'warn' : 'info';
    case 'ORDER_UPDATE':
      // The deal itself comes as TRADE_EXECUTION.
      if (event.kind === 'market' && ['placed', 'filled'].includes(event.status)) return 'debug';
      return ['rejected', 'unknown'].includes(event.status) ? 'error' : 'info';
    case 'RISK_ALERT':
      return event.level === 'critical' ? 'error' : event.level === 'warning' ? 'warn' : 'info';
    case 'POSITION_CLOSED':
      return event.close_reason === 'stop_out' ? 'error' : 'info';
    case 'COMMAND_AUDIT':
      return event.state === 'given' ? 'debug' : event.ok === false ? 'warn' : 'info';
  }
  return /ERROR|FAIL/.test(String(event.type)) ? 'error' : 'info';
}

/** @param {unknown} value */
const reason = (value) =>
  value && typeof value === 'object'
    ? words(/** @type {Wire} */ (value).text ?? /** @type {Wire} */ (value).code)
    : value ? words(value) : '';
/** @param {...(string | false | null | undefined)} parts */
const join = (...parts) => parts.filter(Boolean).join('  ');
/** @param {Wire} e */
const what = (e) => `${words(e.symbol)} ${words(e.direction)}`;
/** @param {Wire} e */
const ticket = (e) => known(e.ticket) !== null && `#${e.ticket}`;
/** @param {string} label @param {unknown} value */
const atLevel = (label, value) => Boolean(known(value)) && `${label} ${price(value)}`;
/** @param {string} label @param {unknown} from @param {unknown} to */
const change = (label, from, to) =>
  to !== null && to !== undefined && from !== to && `${label} ${price(from)} → ${price(to)}`;

/** @type {Record<string, (e: Wire) => string>} */
const WRITERS = {
  SCAN_START: (e) => `${words(e.count)} symbols: scan started`,
  SCAN_SUMMARY: (e) => {
    const found = Object.entries(e.details ?? {})
      .filter(([, d]) => d?.code === 'CANDIDATE')
      .map(([symbol, d]) => `${symbol} ${d.direction ?? ''}`.trim());
    const n = e.candidates;
    return join(
      `${words(e.count)} symbols, ${n === 0 ? 'no candidate' : `${words(n)} candidate${n === 1 ? '' : 's'}`}`,
      found.length > 0 && found.join(', '),
      known(e.duration_ms) !== null && `${number(e.duration_ms)} ms`,
    );
  },
  TRADE_EXECUTION: (e) =>
    join(
      `${what(e)} ${lots(e.lot)} @ ${price(e.price)}`,
      known(e.slippage) !== null && `slip ${number(e.slippage, 1, true)} points`,
      known(e.score) !== null && `score ${number(e.score)}`,
      ticket(e),
    ),
  POSITION_OPENED: (e) =>
    join(
      `${what(e)} ${lots(e.volume)} @ ${price(e.entry_price)}`,
      atLevel('sl', e.sl_price),
      atLevel('tp', e.tp_price),
      known(e.initial_risk) !== null && `risk ${money(e.initial_risk)}`,
      ticket(e),
    ),
  POSITION_MODIFIED: (e) =>
    join(
      words(e.symbol),
      change('SL', e.old_sl_price, e.sl_price),
      change('TP', e.old_tp_price, e.tp_price),
      known(e.old_volume) !== null && e.old_volume !== e.volume && `lots ${lots(e.old_volume)} → ${lots(e.volume)}`,
      known(e.profit) !== null && `realised ${money(e.profit, true)}`,
      e.reason && words(e.reason),
      ticket(e),
    ),
  POSITION_CLOSED: (e) =>
    join(
      `${what(e)} ${lots(e.volume)}`,
      money(e.profit, true),
      known(e.r_multiple) !== null && `${number(e.r_multiple, 1, true)} R`,
      `${Object.hasOwn(CLOSE_REASON, e.close_reason) ? CLOSE_REASON[e.close_reason] : ''}${
        known(e.duration_s) !== null ? ` after ${wholeAge(e.duration_s)}` : ''}`.trim(),
      ticket(e),
    ),
  ORDER_UPDATE: (e) =>
    join(
      `${what(e)} ${words(e.kind)} ${lots(e.volume)}${known(e.price) ? ` @ ${price(e.price)}` : ''}`,
      words(e.status).toUpperCase(),
      e.reason && words(e.reason),
      e.status === 'rejected' && known(e.retcode) !== null && `(${e.retcode})`,
      atLevel('sl', e.sl),
      atLevel('tp', e.tp),
      known(e.order) !== null && `#${e.order}`,
    ),
  BOT_STATUS: (e) => `${words(e.state)}${reason(e.reason) && `: ${reason(e.reason)}`}`,
  TERMINAL_STATUS: (e) =>
    connecting(e) ? `${words(e.backend)} terminal: ${reason(e.last_error)}` : `${words(e.backend)} terminal ${words(e.state)}${
      reason(e.last_error) ? `: ${reason(e.last_error)}` : e.market ? ` (${words(e.market)})` : ''}`,
  RISK_ALERT: (e) => words(e.text ?? e.code),
  COMMAND_AUDIT: (e) =>
    `${join(words(e.name), ...Object.entries(e.args ?? {}).filter(([k]) => k !== 'expect').map(([k, v]) => `${k}=${words(v)}`)).replaceAll('  ', ' ')} by ${words(e.actor)}: ${
      e.state === 'given' ? 'given' : e.ok ? 'done' : `refused${e.error?.message ? ` (${words(e.error.message)})` : ''}`}`,
  TRAINER_STATUS: (e) =>
    join(words(e.state), known(e.progress) !== null && e.progress <= 1 && `${number(e.progress * 100)}%`, e.text && words(e.text)),
  MODEL_SWAPPED: (e) => `${words(e.model)} takes over  ${metrics(e.metrics)}`,
  RESEARCH_RESULT: (e) => `${words(e.symbol)} ${words(e.action)} ${number(e.confidence)}%: ${words(e.reason)}`,
  CRITIC_REVIEW: (e) => `${words(e.symbol)} ${number(e.score, 1)}/10: ${words(e.lesson)}`,
  STAT_ARB_HEDGE: (e) => `${words(e.symbol)}: ${words(e.message)}`,
  STAT_ARB_FLATTEN: (e) => `${words(e.symbol)}: ${words(e.message)}`,
};

/** @param {unknown} value */
const metrics = (value) =>
  value && typeof value === 'object'
    ? Object.entries(value).map(([k, v]) => `${k} ${known(v) === null ? UNKNOWN : number(v, 2)}`).join('  ')
    : '';

/** One line that says what happened, in the words of a trader. @param {Wire} event */
export function text(event) {
  if (Object.hasOwn(WRITERS, event.type)) return WRITERS[event.type](event);
  const { type, timestamp, seq, ...rest } = event;
  return `${words(type)} ${JSON.stringify(rest).slice(0, 2000)}`;
}

/** Which of the page's colours an event has. @param {Wire} event */
export function colour(event) {
  const grade = level(event);
  if (grade === 'error' || grade === 'warn') return grade;
  const profit = known(event.profit);
  if (event.type === 'POSITION_CLOSED' && profit !== null) return profit >= 0 ? 'up' : 'down';
  if (['TRADE_EXECUTION', 'POSITION_OPENED', 'ORDER_UPDATE'].includes(event.type)) return 'accent';
  return 'dim';
}
