// @ts-check
/**
 * The connection: connects, resumes after the last event, backs off, and stops after a final close
 * code. It owns the state and calls the page's listener for each change.
 */

import { FeedState, STATE_TYPES, botOf } from './state.js';

/** @typedef {import('./state.js').Wire} Wire */
/** @typedef {'connecting' | 'live' | 'lost' | 'refused' | 'asleep'} LinkState */
/**
 * @typedef {object} Listener
 * @property {(events: Wire[], missed: string) => void} onLog the log starts again; `missed`
 *   names the events that are not in it, '' when it has all
 * @property {(event: Wire) => void} onEvent a log event, in order, once
 * @property {() => void} onState the state changed
 * @property {() => void} onLink the connection changed
 */
/** @typedef {{id?: string, ok: boolean, result?: Wire | null, error?: {code: string, message: string} | null,
 *   confirm?: {nonce: string, expires_s: number, text: string}, question?: string}} Result */

const PROTOCOL = 'mt5dash.v1';
/** A heartbeat comes every 5 s: silence of this length means the connection is dead. */
const SILENCE_MS = 15_000;
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
const PATIENT_DELAY_MS = 10_000;
/** The server is full, or limits this client: connect again slowly. */
const PATIENT_CODES = new Set([1013, 4029]);
/** Close codes after which a client must not connect again; also 1009 (message too big). */
const isFinal = (/** @type {number} */ code) => (code >= 4500 && code <= 4999) || code === 1009;
const ANSWER_MS = 35_000;

export class FeedLink {
  /**
   * @param {string} url ws:// or wss:// address of the feed
   * @param {Listener} listener
   * @param {{token?: string, random?: () => number, now?: () => number}} [options]
   */
  constructor(url, listener, { token = '', random = Math.random, now = () => performance.now() } = {}) {
    this.url = url;
    this.listener = listener;
    this.token = token;
    this.random = random;
    this.now = now;
    /** All that is known of the feed: its chosen bot, and the others in `bots`. */
    this.feed = new FeedState();
    /** The bot that is shown; '' for the one that the feed has chosen. */
    this.bot = '';
    /** @type {LinkState} */ this.status = 'connecting';
    this.detail = '';
    this.closeCode = 0;
    this.role = 'view';
    this.since = now();
    this.lastFrame = 0;
    /** When the last snapshot came. The age of its content comes with a heartbeat or an update. */
    this.snapshotAt = 0;
    /** @type {import('./wire').Heartbeat} */ this.heartbeat = {};
    this.heartbeatAt = 0;
    this.reconnects = 0;
    this.resumes = 0;
    this.retryAt = 0;
    /** The last log event passed to the page: a resume starts after it. */
    this.logSeq = 0;
    /** Log events up to this one are in the state already. */
    this.inState = 0;
    this.attempt = 0;
    this.hadSnapshot = false;
    this.resumable = true;
    /** The event before the last gap that was found. */
    this.gapAt = -1;
    /** @type {WebSocket | null} */ this.socket = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ this.timer = undefined;
    /** @type {Map<string, {frame: string, epoch: string, done: (r: Result) => void}>} */
    this.commands = new Map();
  }

  /** What is known of the bot that is shown. */
  get reducer() {
    return (this.bot && this.feed.of(this.bot)) || this.feed;
  }

  /** All bots of the feed, the chosen one first. @returns {string[]} */
  names() {
    return [this.feed.name, ...this.feed.bots.keys()].filter(Boolean);
  }

  /** Show another bot. @param {string} name */
  show(name) {
    this.bot = name === this.feed.name ? '' : name;
  }

  /** Whether an event is the shown bot's, or about the feed. @param {Wire} event */
  shows(event) {
    return (botOf(event) || this.feed.name) === this.reducer.name;
  }

  /** The last heartbeat's entry about a bot. @param {string} name @returns {import('./wire').BotPulse} */
  pulse(name) {
    const { bots } = this.heartbeat;
    return (bots && typeof bots === 'object' && Object.hasOwn(bots, name) && bots[name]) || {};
  }

  /** A route's address, about the bot that is shown. @param {string} path */
  about(path) {
    if (this.feed.bots.size === 0) return path;
    return `${path}${path.includes('?') ? '&' : '?'}bot=${encodeURIComponent(this.reducer.name)}`;
  }

  /** Connect. Also after `sleep` or a refusal. */
  start() {
    clearTimeout(this.timer);
    this.drop();
    this.retryAt = 0;
    this.role = 'view';
    const resume = this.hadSnapshot && this.resumable && this.feed.epoch !== '';
    const url = resume ? `${this.url}?since=${this.feed.epoch}:${this.logSeq}` : this.url;
    this.setStatus('connecting', this.hadSnapshot ? 'connecting again' : 'connecting');
    const socket = new WebSocket(url, [PROTOCOL]);
    this.socket = socket;
    socket.onopen = () => {
      this.lastFrame = this.now();
      if (this.token) socket.send(JSON.stringify({ type: 'AUTH', token: this.token }));
    };
    socket.onmessage = (message) => this.onFrame(socket, message.data);
    socket.onclose = (event) => this.lost(socket, event.code, event.reason);
    this.watch(socket);
  }

  /** Present another token, for control or where viewing needs one. @param {string} token */
  present(token) {
    this.token = token;
    this.attempt = 0;
    this.start();
  }

  /** Forget the token and connect without one. */
  forget() {
    this.present('');
  }

  /** Disconnect on purpose (a hidden tab); `start` resumes. */
  sleep() {
    clearTimeout(this.timer);
    this.drop();
    this.setStatus('asleep', 'not in view');
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  /** @param {WebSocket} socket */
  watch(socket) {
    const from = this.now();
    const check = () => {
      if (this.socket !== socket) return;
      const silent = this.now() - Math.max(this.lastFrame, from);
      if (silent > SILENCE_MS) {
        this.drop();
        this.again(0, 'no frame for 15 s');
      } else {
        this.timer = setTimeout(check, 1000);
      }
    };
    this.timer = setTimeout(check, 1000);
  }

  /** @param {WebSocket} socket @param {number} code @param {string} reason */
  lost(socket, code, reason) {
    if (this.socket !== socket) return;
    this.socket = null;
    this.closeCode = code;
    if (isFinal(code)) {
      clearTimeout(this.timer);
      if (code === 4501) this.token = '';
      this.setStatus('refused', reason || this.detail || `closed with ${code}`);
      this.failCommands();
      return;
    }
    this.again(code, reason || (code === 1006 ? 'no connection' : `closed with ${code}`));
  }

  /** @param {number} code @param {string} why */
  again(code, why) {
    clearTimeout(this.timer);
    const spread = 0.5 + this.random() / 2;
    const delay =
      Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.attempt) * spread +
      (PATIENT_CODES.has(code) ? PATIENT_DELAY_MS : 0);
    this.attempt += 1;
    this.reconnects += 1;
    this.retryAt = this.now() + delay;
    this.setStatus('lost', why);
    this.timer = setTimeout(() => this.start(), delay);
  }

  /** @param {LinkState} status @param {string} detail */
  setStatus(status, detail) {
    if (status !== this.status) this.since = this.now();
    this.status = status;
    this.detail = detail;
    this.listener.onLink();
  }

  /** @param {WebSocket} socket @param {unknown} text */
  onFrame(socket, text) {
    if (this.socket !== socket || typeof text !== 'string') return;
    this.lastFrame = this.now();
    /** @type {Wire} */
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof frame !== 'object' || frame === null) return;
    switch (frame.type) {
      case 'STATE_SNAPSHOT':
        this.onSnapshot(frame);
        return;
      case 'AUTH_OK':
        this.role = typeof frame.role === 'string' ? frame.role : 'view';
        this.sendCommands();
        this.listener.onLink();
        return;
      case 'COMMAND_RESULT':
        this.commands.get(frame.id)?.done(/** @type {Result} */ (frame));
        return;
      case 'ERROR':
        this.detail = String(frame.message ?? frame.code ?? '');
        return;
      case 'PONG':
        return;
      case 'HEARTBEAT':
        this.heartbeat = frame;
        this.heartbeatAt = this.lastFrame;
        this.feed.apply(frame, this.lastFrame);
        this.listener.onState();
        return;
    }
    if (STATE_TYPES.has(frame.type)) {
      this.feed.apply(frame, this.lastFrame);
      this.listener.onState();
    } else if (typeof frame.type === 'string') {
      this.log(frame);
    }
  }

  /** @param {Wire} frame */
  onSnapshot(frame) {
    const { epoch } = this.feed;
    const last = this.logSeq;
    const sameRun = this.hadSnapshot && frame.epoch === epoch;
    this.feed.load(frame, this.lastFrame);
    this.inState = this.feed.seq;
    this.snapshotAt = this.lastFrame;
    if (frame.resumed === true && sameRun) {
      this.resumes += 1;
    } else {
      this.logSeq = this.feed.seq;
      this.listener.onLog(this.reducer.events, this.missed(sameRun, last));
    }
    this.resumable = true;
    this.hadSnapshot = true;
    this.attempt = 0;
    // Where viewing needs no token, AUTH_OK brings the role of a token after this.
    if (typeof frame.role === 'string' && frame.role !== 'view') this.role = frame.role;
    this.setStatus('live', '');
    if (!this.token || this.role !== 'view') this.sendCommands();
    this.listener.onState();
  }

  /** @param {boolean} sameRun @param {number} last @returns {string} */
  missed(sameRun, last) {
    if (!this.hadSnapshot) return '';
    if (!sameRun) return 'the feed began a new run of numbers';
    const firsts = [this.feed, ...this.feed.bots.values()].map((state) => state.events[0]?.seq);
    const first = firsts.filter(Number.isInteger).sort((a, b) => a - b)[0];
    if (Number.isInteger(first) && first <= last + 1) return '';
    return `events ${last + 1} to ${(first ?? this.feed.seq + 1) - 1} are no longer kept`;
  }

  /** @param {Wire} event */
  log(event) {
    const { seq } = event;
    if (Number.isInteger(seq)) {
      if (seq <= this.logSeq) return;
      if (seq !== this.logSeq + 1) {
        // A gap: the missing events are requested once; then the state is taken as it is.
        this.resumable = this.logSeq !== this.gapAt;
        this.gapAt = this.logSeq;
        this.drop();
        this.again(0, `event ${this.logSeq + 1} is missing`);
        return;
      }
      this.logSeq = seq;
    }
    if (!Number.isInteger(seq) || seq > this.inState) {
      this.feed.apply(event, this.lastFrame);
      this.listener.onState();
    }
    this.listener.onEvent(event);
  }

  /**
   * Send a command. Never rejects. A command whose answer is lost with the connection is sent
   * again under the same id, on which the feed acts once.
   * @param {string} name
   * @param {Wire} [args]
   * @returns {Promise<Result>}
   */
  command(name, args = {}) {
    const bot = this.feed.bots.size ? { bot: this.reducer.name } : {};
    return this.ask({ type: 'COMMAND', id: newId(), name, args, ...bot });
  }

  /**
   * Answer the feed's question with yes: the same command again, with its one-use nonce.
   * @param {Result} question @returns {Promise<Result>}
   */
  confirm(question) {
    return this.ask({ ...JSON.parse(question.question ?? '{}'), confirm: question.confirm?.nonce });
  }

  /** @param {Wire} command @returns {Promise<Result>} */
  ask(command) {
    const { id } = command;
    const frame = JSON.stringify(command);
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(UNANSWERED), ANSWER_MS);
      const finish = (/** @type {Result} */ result) => {
        clearTimeout(timer);
        this.commands.delete(id);
        resolve(result.confirm ? { ...result, question: frame } : result);
      };
      this.commands.set(id, { frame, epoch: this.feed.epoch, done: finish });
      if (this.status === 'live') this.sendCommands();
    });
  }

  sendCommands() {
    for (const command of this.commands.values()) {
      if (command.epoch !== this.feed.epoch) {
        command.done(UNANSWERED);
      } else if (this.socket?.readyState === WebSocket.OPEN) {
        this.socket.send(command.frame);
      }
    }
  }

  failCommands() {
    const message = this.detail || 'refused';
    for (const command of this.commands.values()) {
      command.done({ ok: false, error: { code: 'REFUSED', message } });
    }
  }
}

/** @type {Result} */
const UNANSWERED = {
  ok: false,
  error: {
    code: 'UNKNOWN',
    message: 'No answer came. Look at positions and events before trying again.',
  },
};

/** An id that no other command has; works also on pages where randomUUID is not available. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
