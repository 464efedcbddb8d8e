// @ts-check
/** One dialog at a time: details, questions before acting, the token, help. */

import { byId, el, setText } from './dom.js';

/** @typedef {{label: string, cls?: string, value: string, close?: boolean}} Choice */
/**
 * @typedef {object} Question
 * @property {string} title
 * @property {(Node | string)[]} body
 * @property {Choice[]} [choices] buttons beside the one that closes the dialog
 * @property {string} [leave] the label of that one
 * @property {string} [typed] a word that must be typed before anything can be chosen
 * @property {(value: string, form: FormData) => string | void | Promise<string | void>} [decide]
 *   carries out the choice; a text that it returns is shown as an error and the dialog stays
 */

export class Dialogs {
  constructor() {
    this.dialog = /** @type {HTMLDialogElement} */ (byId('dialog'));
    this.form = /** @type {HTMLFormElement} */ (byId('dialog-form'));
    /** @type {Question | null} */ this.question = null;
    this.busy = false;
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit(event.submitter instanceof HTMLButtonElement ? event.submitter.value : '');
    });
    this.dialog.addEventListener('close', () => {
      this.question = null;
    });
  }

  get open() {
    return this.dialog.open;
  }

  /** @param {Question} question */
  ask(question) {
    if (this.dialog.open) this.dialog.close();
    this.question = question;
    this.busy = false;
    setText(byId('dialog-title'), question.title);
    setText(byId('dialog-error'), '');
    const body = byId('dialog-body');
    body.replaceChildren(...question.body.map((part) => (typeof part === 'string' ? el('p', { text: part }) : part)));
    const buttons = byId('dialog-buttons');
    const choices = (question.choices ?? []).map((choice) =>
      el('button', { type: 'submit', value: choice.value, class: choice.cls ?? '', text: choice.label }),
    );
    if (question.typed) {
      const input = el('input', { type: 'text', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', name: 'typed' });
      const fits = () => {
        for (const choice of choices) choice.disabled = input.value.trim().toLowerCase() !== question.typed;
      };
      input.addEventListener('input', fits);
      fits();
      body.append(el('label', {}, `Type ${question.typed} to go on`, input));
    }
    const leave = el('button', { type: 'button', text: question.leave ?? (choices.length ? 'Cancel' : 'Close') });
    leave.addEventListener('click', () => this.dialog.close());
    buttons.replaceChildren(leave, ...choices);
    this.dialog.showModal();
    // The safe answer has the focus, unless a word must be typed.
    const first = /** @type {HTMLElement | null} */ (body.querySelector('input, select'));
    (first ?? leave).focus();
  }

  /** @param {string} value */
  async submit(value) {
    const { question } = this;
    if (!question || this.busy) return;
    const choice = value || question.choices?.[0]?.value;
    if (!choice) {
      this.dialog.close();
      return;
    }
    if (question.typed && String(new FormData(this.form).get('typed')).trim().toLowerCase() !== question.typed) return;
    this.busy = true;
    for (const button of byId('dialog-buttons').querySelectorAll('button[type=submit]')) button.setAttribute('disabled', '');
    setText(byId('dialog-error'), '');
    const wrong = await question.decide?.(choice, new FormData(this.form));
    if (this.question !== question) return;
    this.busy = false;
    if (wrong) {
      setText(byId('dialog-error'), wrong);
      for (const button of byId('dialog-buttons').querySelectorAll('button')) button.removeAttribute('disabled');
    } else {
      this.dialog.close();
    }
  }
}

/** Name and value pairs. @param {[string, string, string?][]} pairs the third is a colour */
export function facts(pairs) {
  return el(
    'dl',
    { class: 'facts' },
    ...pairs.flatMap(([name, value, tone = '']) => [el('dt', { text: name }), el('dd', { text: value, 'data-tone': tone })]),
  );
}

/** @param {string} label @param {Record<string, string>} attributes */
export const field = (label, attributes) => el('label', {}, label, el('input', attributes));
