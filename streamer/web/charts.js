// @ts-check
/** The equity curve and the price chart, drawn on canvas. No library: two plain charts need none. */

import { UNKNOWN, known, money, price } from './format.js';
import { epoch } from './state.js';

/** @typedef {import('./state.js').Wire} Wire */
/** @typedef {{time: number, open: number, high: number, low: number, close: number}} Bar */
/** @typedef {{value: number, text: string, tone: 'up' | 'down' | 'accent' | 'dim', dashed: boolean}} Mark */

const AXIS_W = 66;
const AXIS_H = 20;
const FONT = '11px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/** A canvas that follows its element's size, the screen's density and the theme. */
class Chart {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} readout shows the value at the cursor */
  constructor(canvas, readout) {
    this.canvas = canvas;
    this.readout = readout;
    this.width = 0;
    this.height = 0;
    /** @type {number | null} */ this.cursor = null;
    /** @type {Record<string, string>} */ this.colours = {};
    new ResizeObserver(() => this.fit()).observe(canvas);
    canvas.addEventListener('pointermove', (event) => this.point(event.offsetX));
    canvas.addEventListener('pointerleave', () => this.point(null));
    canvas.addEventListener('blur', () => this.point(null));
    canvas.addEventListener('keydown', (event) => this.key(event));
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    const density = window.devicePixelRatio || 1;
    this.width = clientWidth;
    this.height = clientHeight;
    this.canvas.width = Math.round(clientWidth * density);
    this.canvas.height = Math.round(clientHeight * density);
    this.context().setTransform(density, 0, 0, density, 0, 0);
    this.paint();
  }

  /** The theme changed. */
  recolour() {
    this.colours = {};
    this.paint();
  }

  /** @param {string} name a custom property of the style sheet */
  colour(name) {
    this.colours[name] ??= getComputedStyle(this.canvas).getPropertyValue(`--${name}`).trim();
    return this.colours[name];
  }

  context() {
    const context = this.canvas.getContext('2d');
    if (!context) throw new Error('this browser draws no canvas');
    return context;
  }

  /** The number of places of the cursor. */
  places() {
    return 0;
  }

  /** @param {number | null} x */
  point(x) {
    const n = this.places();
    const room = this.width - AXIS_W;
    const cursor = x === null || n === 0 ? null : Math.max(0, Math.min(n - 1, Math.round((x / room) * n - 0.5)));
    if (cursor !== this.cursor) {
      this.cursor = cursor;
      this.paint();
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 };
    const step = /** @type {Record<string, number>} */ (steps)[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const last = this.places() - 1;
    this.cursor = Math.max(0, Math.min(last, (this.cursor ?? last) + step));
    this.paint();
  }

  paint() {}

  /**
   * Grid and value labels.
   * @param {CanvasRenderingContext2D} c @param {number} low @param {number} high
   * @param {(value: number) => string} text
   */
  grid(c, low, high, text) {
    const { width, height } = this;
    const step = niceStep((high - low) / Math.max(2, Math.floor((height - AXIS_H) / 44)));
    c.font = FONT;
    c.textBaseline = 'middle';
    c.textAlign = 'left';
    c.strokeStyle = this.colour('line');
    c.fillStyle = this.colour('dim');
    c.lineWidth = 1;
    c.beginPath();
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      const y = Math.round(this.y(value, low, high)) + 0.5;
      c.moveTo(0, y);
      c.lineTo(width - AXIS_W, y);
      c.fillText(text(value), width - AXIS_W + 6, y);
    }
    c.stroke();
  }

  /** @param {number} value @param {number} low @param {number} high */
  y(value, low, high) {
    const room = this.height - AXIS_H - 8;
    return 4 + room * (1 - (value - low) / (high - low || 1));
  }

  /** @param {CanvasRenderingContext2D} c @param {number} n @param {(i: number) => number} time @param {(i: number) => number} x */
  times(c, n, time, x) {
    const wanted = Math.max(2, Math.floor((this.width - AXIS_W) / 90));
    c.fillStyle = this.colour('dim');
    c.textBaseline = 'alphabetic';
    c.textAlign = 'center';
    const long = time(n - 1) - time(0) > 36 * 3600;
    for (let k = 0; k < wanted; k += 1) {
      const i = Math.floor(((k + 0.5) / wanted) * n);
      const text = new Date(time(i) * 1000).toISOString();
      c.fillText(long ? text.slice(5, 10) : text.slice(11, 16), x(i), this.height - 5);
    }
  }

  /** A value's tag on the axis. @param {CanvasRenderingContext2D} c @param {number} y @param {string} text @param {string} colour */
  tagAt(c, y, text, colour) {
    c.fillStyle = colour;
    c.fillRect(this.width - AXIS_W + 1, y - 8, AXIS_W - 1, 16);
    c.fillStyle = this.colour('panel');
    c.textAlign = 'left';
    c.textBaseline = 'middle';
    c.fillText(text, this.width - AXIS_W + 6, y + 0.5);
  }
}

/** 1, 2 or 5 times a power of ten, not below `least`. @param {number} least */
function niceStep(least) {
  if (!(least > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least) ?? 10 * power;
}

export class EquityChart extends Chart {
  /** @type {{time: number[], value: number[]}} */ series = { time: [], value: [] };

  /** @param {{time: number[], value: number[]}} series @param {string} currency */
  show(series, currency) {
    this.series = series;
    const { value, time } = series;
    const n = value.length;
    this.canvas.setAttribute(
      'aria-label',
      n === 0
        ? 'Equity curve: no data yet'
        : `Equity over ${Math.round((time[n - 1] - time[0]) / 60)} minutes: from ${money(value[0])} to ${money(value[n - 1])} ${currency}, lowest ${money(Math.min(...value))}, highest ${money(Math.max(...value))}`,
    );
    this.paint();
  }

  /** @override */
  places() {
    return this.series.value.length;
  }

  /** @override */
  paint() {
    const { width, height } = this;
    if (width === 0) return;
    const c = this.context();
    c.clearRect(0, 0, width, height);
    const { time, value } = this.series;
    const n = value.length;
    if (n < 2) {
      this.readout.textContent = n === 0 ? 'no equity yet' : money(value[0]);
      return;
    }
    const low0 = Math.min(...value);
    const high0 = Math.max(...value);
    const pad = (high0 - low0) * 0.08 || Math.abs(high0) * 0.001 || 1;
    const low = low0 - pad;
    const high = high0 + pad;
    const x = (/** @type {number} */ i) => ((i + 0.5) / n) * (width - AXIS_W);
    this.grid(c, low, high, (v) => money(v).replace(/\.00$/, ''));
    this.times(c, n, (i) => time[i], x);
    const rose = value[n - 1] >= value[0];
    const colour = this.colour(rose ? 'up' : 'down');
    c.beginPath();
    value.forEach((v, i) => c.lineTo(x(i), this.y(v, low, high)));
    c.strokeStyle = colour;
    c.lineWidth = 1.6;
    c.lineJoin = 'round';
    c.stroke();
    c.lineTo(x(n - 1), height - AXIS_H);
    c.lineTo(x(0), height - AXIS_H);
    c.closePath();
    c.globalAlpha = 0.1;
    c.fillStyle = colour;
    c.fill();
    c.globalAlpha = 1;
    const last = value[n - 1];
    this.tagAt(c, this.y(last, low, high), money(last), colour);
    const at = this.cursor === null ? null : Math.min(this.cursor, n - 1);
    if (at !== null) {
      c.strokeStyle = this.colour('dim');
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(Math.round(x(at)) + 0.5, 0);
      c.lineTo(Math.round(x(at)) + 0.5, height - AXIS_H);
      c.stroke();
    }
    const shown = at ?? n - 1;
    const stamp = new Date(time[shown] * 1000).toISOString().slice(11, 19);
    this.readout.textContent = `${stamp}  ${money(value[shown])}  (${money(value[shown] - value[0], true)} since ${new Date(time[0] * 1000).toISOString().slice(11, 16)})`;
  }
}

export class PriceChart extends Chart {
  /** @type {Bar[]} */ bars = [];
  /** @type {Mark[]} */ marks = [];
  digits = 5;
  symbol = '';
  note = '';

  /** @param {string} symbol @param {Bar[]} bars @param {Mark[]} marks @param {number} digits @param {string} note */
  show(symbol, bars, marks, digits, note) {
    Object.assign(this, { symbol, bars, marks, digits, note });
    const last = bars.at(-1);
    this.canvas.setAttribute(
      'aria-label',
      last
        ? `${symbol}: ${bars.length} bars, last close ${price(last.close, digits)}. ${marks.map((m) => `${m.text} ${price(m.value, digits)}`).join(', ')}`
        : `${symbol}: ${note || 'no bars yet'}`,
    );
    this.paint();
  }

  /** @override */
  places() {
    return this.bars.length;
  }

  /** @override */
  paint() {
    const { width, height, bars, marks, digits } = this;
    if (width === 0) return;
    const c = this.context();
    c.clearRect(0, 0, width, height);
    const n = bars.length;
    if (n === 0) {
      this.readout.textContent = this.note || UNKNOWN;
      return;
    }
    let low = Infinity;
    let high = -Infinity;
    for (const bar of bars) {
      low = Math.min(low, bar.low);
      high = Math.max(high, bar.high);
    }
    const span = high - low;
    for (const mark of marks) {
      // A level far away would flatten the candles: it is only named at the edge.
      if (mark.value > low - span && mark.value < high + span) {
        low = Math.min(low, mark.value);
        high = Math.max(high, mark.value);
      }
    }
    const pad = (high - low) * 0.06 || high * 0.001;
    low -= pad;
    high += pad;
    const room = width - AXIS_W;
    const x = (/** @type {number} */ i) => ((i + 0.5) / n) * room;
    this.grid(c, low, high, (v) => v.toFixed(digits));
    this.times(c, n, (i) => bars[i].time, x);
    const body = Math.max(1, Math.floor((room / n) * 0.66));
    bars.forEach((bar, i) => {
      const colour = this.colour(bar.close >= bar.open ? 'up' : 'down');
      c.strokeStyle = colour;
      c.fillStyle = colour;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(Math.round(x(i)) + 0.5, this.y(bar.high, low, high));
      c.lineTo(Math.round(x(i)) + 0.5, this.y(bar.low, low, high));
      c.stroke();
      const top = this.y(Math.max(bar.open, bar.close), low, high);
      const bottom = this.y(Math.min(bar.open, bar.close), low, high);
      c.fillRect(Math.round(x(i) - body / 2), top, body, Math.max(1, bottom - top));
    });
    for (const mark of marks) {
      const inside = mark.value >= low && mark.value <= high;
      const y = Math.round(Math.min(height - AXIS_H - 8, Math.max(10, this.y(mark.value, low, high)))) + 0.5;
      const colour = this.colour(mark.tone);
      if (inside) {
        c.strokeStyle = colour;
        c.setLineDash(mark.dashed ? [4, 4] : []);
        c.beginPath();
        c.moveTo(0, y);
        c.lineTo(room, y);
        c.stroke();
        c.setLineDash([]);
      }
      c.font = FONT;
      c.textAlign = 'left';
      c.textBaseline = 'bottom';
      c.fillStyle = colour;
      c.fillText(inside ? mark.text : `${mark.text} ${mark.value > high ? '↑' : '↓'}`, 6, y - 2);
      this.tagAt(c, y, mark.value.toFixed(digits), colour);
    }
    const at = this.cursor === null ? n - 1 : Math.min(this.cursor, n - 1);
    if (this.cursor !== null) {
      c.strokeStyle = this.colour('dim');
      c.beginPath();
      c.moveTo(Math.round(x(at)) + 0.5, 0);
      c.lineTo(Math.round(x(at)) + 0.5, height - AXIS_H);
      c.stroke();
    }
    const bar = bars[at];
    const days = n > 1 && bars[1].time - bars[0].time >= 86_400;
    const stamp = new Date(bar.time * 1000).toISOString();
    this.readout.textContent = `${days ? stamp.slice(0, 10) : stamp.slice(11, 16)}  O ${price(bar.open, digits)}  H ${price(bar.high, digits)}  L ${price(bar.low, digits)}  C ${price(bar.close, digits)}`;
  }
}

/**
 * The bars of an answer of /api/bars; incomplete bars are left out.
 * @param {unknown} answer
 * @returns {Bar[]}
 */
export function barsOf(answer) {
  const list = Array.isArray(answer) ? answer : /** @type {Wire} */ (answer ?? {}).bars;
  if (!Array.isArray(list)) return [];
  return list
    .filter((bar) => bar && typeof bar === 'object')
    .map((bar) => ({ ...bar, time: known(bar.time) ?? epoch(bar.time) }))
    .filter((bar) => [bar.time, bar.open, bar.high, bar.low, bar.close].every((v) => known(v) !== null));
}
