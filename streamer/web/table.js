// @ts-check
/**
 * A table whose rows are updated in place: a cell that did not change costs nothing, and a row
 * that is scrolled out of sight is drawn once a second only, so 200 positions may change ten
 * times a second. Rows do not jump: the table is sorted again every two seconds at most, and not
 * while the pointer or the focus is in it.
 */

import { el, setText } from './dom.js';

/** @typedef {import('./state.js').Wire} Wire */
/**
 * @template Row
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: Row) => string} text the text of the cell
 * @property {(row: Row) => string} [tone] its colour: up, down, warn, dim or ''
 * @property {(row: Row) => string | number | null} [sort] makes the heading a button
 * @property {(cell: HTMLElement, row: Row) => void} [draw] in place of text, which is then what
 *   decides whether the cell changed
 * @property {string} [cls] `num` for numbers; `p2`, `p3` leave first when room is short
 * @property {boolean} [head] the cell names the row
 */
const OUT_OF_SIGHT_MS = 1000;
const SORT_MS = 2000;

/**
 * @template Row
 * @typedef {{seen: boolean, tr: HTMLTableRowElement, cells: {cell: HTMLElement, text: string, tone: string}[], row: Row, open: HTMLElement | null}} Line
 */

/** @template Row */
export class LiveTable {
  /**
   * @param {HTMLElement} place an empty element that gets the table
   * @param {Column<Row>[]} columns
   * @param {{label: string, key: (row: Row) => string, empty: string, onOpen?: (row: Row) => void, openLabel?: (row: Row) => string, tone?: (row: Row) => string, sortBy?: number, down?: boolean}} options
   */
  constructor(place, columns, options) {
    this.columns = columns;
    this.options = options;
    this.sortBy = options.sortBy ?? -1;
    this.down = options.down ?? false;
    /** @type {Map<string, Line<Row>>} */
    this.lines = new Map();
    /** @type {WeakMap<Element, Line<Row>>} */
    this.byElement = new WeakMap();
    /** @type {Row[]} */
    this.rows = [];
    /** Keys in the order of the last sorting. @type {string[]} */
    this.order = [];
    this.sortedAt = -Infinity;
    this.allAt = -Infinity;
    this.sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const line = this.byElement.get(target);
        if (!line) continue;
        line.seen = isIntersecting;
        if (isIntersecting) this.drawLine(line, line.row);
      }
    });
    this.head = el('tr');
    /** @type {HTMLTableCellElement[]} */
    this.headings = columns.map((column, i) => {
      const th = el('th', { scope: 'col', class: column.cls ?? '' });
      if (column.sort) {
        const button = el('button', { type: 'button', class: 'sort', text: column.title });
        button.addEventListener('click', () => this.sortOn(i));
        th.append(button);
      } else {
        th.textContent = column.title;
      }
      return th;
    });
    this.head.append(...this.headings);
    this.body = el('tbody');
    this.table = el('table', { class: 'live' }, el('caption', { class: 'hidden', text: options.label }), el('thead', {}, this.head), this.body);
    this.nothing = el('p', { class: 'empty', text: options.empty });
    place.append(this.table, this.nothing);
    this.markSort();
  }

  /** @param {number} column */
  sortOn(column) {
    if (this.sortBy !== column) {
      this.sortBy = column;
      this.down = Boolean(this.columns[column].cls?.includes('num'));
    } else {
      this.down = !this.down;
    }
    this.markSort();
    this.sortedAt = -Infinity;
    this.update(this.rows);
  }

  markSort() {
    this.headings.forEach((th, i) => {
      if (i === this.sortBy) th.setAttribute('aria-sort', this.down ? 'descending' : 'ascending');
      else th.removeAttribute('aria-sort');
    });
  }

  /** @param {string} text shown when there is no row */
  setEmpty(text) {
    setText(this.nothing, text);
  }

  /** @param {Row[]} rows */
  update(rows) {
    this.rows = rows;
    /** @type {Map<string, Row>} */
    const byKey = new Map();
    for (const row of rows) {
      const key = this.options.key(row);
      if (!byKey.has(key)) byKey.set(key, row);
    }
    this.arrange(byKey);
    const now = performance.now();
    const all = now - this.allAt > OUT_OF_SIGHT_MS;
    if (all) this.allAt = now;
    /** @type {Element | null} */
    let place = this.body.firstElementChild;
    for (const key of this.order) {
      const row = /** @type {Row} */ (byKey.get(key));
      let line = this.lines.get(key);
      if (!line) {
        line = this.makeLine(row);
        this.lines.set(key, line);
        this.drawLine(line, row);
      } else if (all || line.seen) {
        this.drawLine(line, row);
      } else {
        line.row = row;
      }
      if (line.tr === place) place = place.nextElementSibling;
      else this.body.insertBefore(line.tr, place);
    }
    for (const [key, line] of this.lines) {
      if (!byKey.has(key)) {
        this.sight.unobserve(line.tr);
        line.tr.remove();
        this.lines.delete(key);
      }
    }
    this.nothing.hidden = byKey.size > 0;
    this.table.hidden = byKey.size === 0;
  }

  /** Keep the order, or sort again. @param {Map<string, Row>} byKey */
  arrange(byKey) {
    const same = byKey.size === this.order.length && this.order.every((key) => byKey.has(key));
    if (same && this.columns[this.sortBy]?.sort) {
      const now = performance.now();
      const asked = this.sortedAt === -Infinity;
      const held = this.body.matches(':hover') || this.body.contains(document.activeElement);
      if (!asked && (held || now - this.sortedAt < SORT_MS)) return;
    }
    this.sortedAt = performance.now();
    this.order = this.sorted([...byKey.values()]).map((row) => this.options.key(row));
  }

  /** @param {Row[]} rows @returns {Row[]} */
  sorted(rows) {
    const by = this.columns[this.sortBy]?.sort;
    if (!by) return rows;
    const sign = this.down ? -1 : 1;
    return rows
      .map((row) => ({ row, value: by(row) }))
      .sort((a, b) => {
        if (a.value === b.value) return 0;
        if (a.value === null) return 1; // not known comes last either way
        if (b.value === null) return -1;
        return (a.value < b.value ? -1 : 1) * sign;
      })
      .map(({ row }) => row);
  }

  /** @param {Row} row @returns {Line<Row>} */
  makeLine(row) {
    const tr = el('tr');
    /** @type {HTMLElement | null} */
    let open = null;
    const cells = this.columns.map((column) => {
      const cell = el(column.head ? 'th' : 'td', { class: column.cls ?? '' });
      if (column.head) cell.setAttribute('scope', 'row');
      tr.append(cell);
      if (column.head && this.options.onOpen) {
        const button = el('button', { type: 'button', class: 'open' });
        cell.append(button);
        open = button;
        return { cell: /** @type {HTMLElement} */ (button), text: '', tone: '' };
      }
      return { cell: /** @type {HTMLElement} */ (cell), text: '', tone: '' };
    });
    const line = { tr, cells, row, open, seen: true };
    this.byElement.set(tr, line);
    this.sight.observe(tr);
    const { onOpen } = this.options;
    if (onOpen) {
      tr.classList.add('opens');
      tr.addEventListener('click', () => onOpen(line.row));
    }
    return line;
  }

  /** @param {Line<Row>} line @param {Row} row */
  drawLine(line, row) {
    line.row = row;
    this.columns.forEach((column, i) => {
      const slot = line.cells[i];
      const text = column.text(row);
      if (text !== slot.text) {
        slot.text = text;
        if (column.draw) column.draw(slot.cell, row);
        else slot.cell.textContent = text;
        if (slot.cell === line.open && this.options.openLabel) {
          slot.cell.setAttribute('aria-label', this.options.openLabel(row));
        }
      }
      const tone = column.tone ? column.tone(row) : '';
      if (tone !== slot.tone) {
        slot.tone = tone;
        slot.cell.dataset.tone = tone;
      }
    });
    const tone = this.options.tone?.(row) ?? '';
    if (line.tr.dataset.tone !== tone) line.tr.dataset.tone = tone;
  }
}
