// The connection of the page against a socket that the test plays, under node's own test runner.
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { pathToFileURL } from 'node:url';

const { FeedLink } = await import(pathToFileURL(process.env.LINK_JS).href);

/** @type {FakeSocket[]} */
let sockets = [];
class FakeSocket {
  static OPEN = 1;
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, readyState: 0, sent: [], closed: false });
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  say(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  fail(code, reason = '') {
    this.onclose?.({ code, reason });
  }
}
globalThis.WebSocket = FakeSocket;

let clock = 0;
let told;
const make = (options = {}) => {
  told = { logs: [], events: [], links: [] };
  const link = new FeedLink('ws://feed/ws', {
    onLog: (events, missed) => told.logs.push({ seqs: events.map((e) => e.seq), missed }),
    onEvent: (event) => told.events.push(event.seq),
    onState: () => {},
    onLink: () => told.links.push(link?.status),
  }, { random: () => 1, now: () => clock, ...options });
  link.start();
  return link;
};
const snapshot = (seq, more = {}) => ({
  type: 'STATE_SNAPSHOT', protocol: 1, epoch: 'e1', seq, role: 'view', data: { events: seq ? [{ type: 'A', seq }] : [] }, ...more,
});
const event = (seq) => ({ type: 'A', seq });
const pass = (ms) => {
  for (let i = 0; i < ms; i += 100) {
    clock += 100;
    mock.timers.tick(100);
  }
};

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  sockets = [];
  clock = 1000;
});

test('offers the subprotocol and starts from the snapshot', () => {
  const link = make();
  assert.deepEqual(sockets[0].protocols, ['mt5dash.v1']);
  assert.equal(sockets[0].url, 'ws://feed/ws');
  sockets[0].open();
  sockets[0].say(snapshot(7));
  sockets[0].say(event(8));
  assert.equal(link.status, 'live');
  assert.deepEqual(told.logs, [{ seqs: [7], missed: '' }]);
  assert.deepEqual(told.events, [8]);
});

for (const code of [1001, 1006, 1011, 1012, 4008, 4000, 4499]) {
  test(`comes back after ${code} and asks for what it missed`, () => {
    const link = make();
    sockets[0].open();
    sockets[0].say(snapshot(7));
    sockets[0].say(event(8));
    sockets[0].fail(code);
    assert.equal(link.status, 'lost');
    pass(600);
    assert.equal(sockets[1].url, 'ws://feed/ws?since=e1:8');
    sockets[1].open();
    sockets[1].say(snapshot(10, { resumed: true }));
    sockets[1].say(event(9));
    sockets[1].say(event(10));
    sockets[1].say(event(11));
    assert.deepEqual(told.events, [8, 9, 10, 11]);
    assert.equal(told.logs.length, 1, 'the log goes on');
    assert.deepEqual(link.reducer.events.map((e) => e.seq), [10, 11], 'nothing is applied twice');
    assert.equal(link.resumes, 1);
  });
}

for (const code of [1009, 4500, 4501, 4503, 4999]) {
  test(`does not come back after ${code}`, () => {
    const link = make({ token: 't' });
    sockets[0].open();
    sockets[0].say({ type: 'ERROR', code: 'X', message: 'because' });
    sockets[0].fail(code);
    pass(120_000);
    assert.equal(sockets.length, 1);
    assert.equal(link.status, 'refused');
    assert.equal(link.detail, 'because');
    assert.equal(link.token, code === 4501 ? '' : 't', 'a wrong token is forgotten');
  });
}

test('waits at least ten seconds when the server is full', () => {
  make();
  sockets[0].fail(1013);
  pass(10_000);
  assert.equal(sockets.length, 1);
  pass(1000);
  assert.equal(sockets.length, 2);
});

test('waits longer each time, up to half a minute, and begins anew after a snapshot', () => {
  make();
  const gaps = [];
  for (let i = 0; i < 9; i += 1) {
    const from = clock;
    const n = sockets.length;
    sockets.at(-1).fail(1006);
    while (sockets.length === n) pass(100);
    gaps.push(clock - from);
  }
  assert.deepEqual(gaps.slice(0, 4), [500, 1000, 2000, 4000]);
  assert.ok(gaps.every((gap) => gap <= 30_100));
  sockets.at(-1).open();
  sockets.at(-1).say(snapshot(1));
  const n = sockets.length;
  sockets.at(-1).fail(1006);
  pass(500);
  assert.equal(sockets.length, n + 1);
});

test('says what is missing when the feed keeps no more, or numbers anew', () => {
  make();
  sockets[0].open();
  sockets[0].say(snapshot(3));
  sockets[0].fail(1006);
  pass(600);
  sockets[1].say(snapshot(90, { resumed: false }));
  assert.deepEqual(told.logs[1], { seqs: [90], missed: 'events 4 to 89 are no longer kept' });
  sockets[1].fail(1006);
  pass(600);
  sockets[2].say(snapshot(2, { epoch: 'e2', resumed: false }));
  assert.equal(told.logs[2].missed, 'the feed began a new run of numbers');
});

test('a hole in the numbers is asked for, and taken as it is when it stays', () => {
  const link = make();
  sockets[0].say(snapshot(3));
  sockets[0].say(event(5));
  assert.deepEqual(told.events, []);
  pass(600);
  assert.equal(sockets[1].url, 'ws://feed/ws?since=e1:3');
  sockets[1].say(snapshot(5, { resumed: true }));
  sockets[1].say(event(5));
  pass(1200);
  assert.equal(sockets[2].url, 'ws://feed/ws', 'the second time it starts from a snapshot');
  sockets[2].say(snapshot(6));
  sockets[2].say(event(7));
  assert.equal(link.logSeq, 7);
});

test('silence is a lost connection', () => {
  const link = make();
  sockets[0].open();
  sockets[0].say(snapshot(1));
  pass(14_000);
  assert.equal(link.status, 'live');
  pass(2500);
  assert.ok(sockets[0].closed);
  assert.equal(sockets.length, 2);
});

test('sleeping closes, and waking resumes', () => {
  const link = make();
  sockets[0].say(snapshot(4));
  link.sleep();
  pass(60_000);
  assert.equal(sockets.length, 1);
  link.start();
  assert.equal(sockets[1].url, 'ws://feed/ws?since=e1:4');
});

test('a token goes in the first message, never in the address', () => {
  const link = make({ token: 'secret' });
  sockets[0].open();
  assert.deepEqual(sockets[0].sent, [{ type: 'AUTH', token: 'secret' }]);
  assert.ok(!sockets[0].url.includes('secret'));
  sockets[0].say(snapshot(1));
  assert.equal(link.role, 'view');
  sockets[0].say({ type: 'AUTH_OK', role: 'control' });
  assert.equal(link.role, 'control');
});

test('a command whose answer is lost is sent again under its id, and only in the same run', async () => {
  const link = make({ token: 't' });
  sockets[0].open();
  sockets[0].say({ type: 'AUTH_OK', role: 'control' });
  sockets[0].say(snapshot(1, { role: 'control' }));
  const answer = link.command('close_position', { ticket: 7 });
  const [, command] = sockets[0].sent;
  assert.equal(command.name, 'close_position');
  sockets[0].fail(1006);
  pass(600);
  sockets[1].open();
  sockets[1].say({ type: 'AUTH_OK', role: 'control' });
  assert.equal(sockets[1].sent.filter((m) => m.type === 'COMMAND')[0].id, command.id);
  sockets[1].say({ type: 'COMMAND_RESULT', id: command.id, ok: true, result: { closed: 1 } });
  assert.equal((await answer).ok, true);

  sockets[1].say(snapshot(1, { role: 'control', resumed: true }));
  const second = link.command('close_position', { ticket: 8 });
  sockets[1].fail(1006);
  pass(600);
  sockets[2].open();
  sockets[2].say(snapshot(1, { epoch: 'other', role: 'control', resumed: false }));
  const result = await second;
  assert.equal(result.error.code, 'UNKNOWN');
  assert.ok(!sockets[2].sent.some((m) => m.type === 'COMMAND'), 'another run might act twice');
});

test('a command that nobody answers ends as unknown', async () => {
  const link = make();
  sockets[0].open();
  sockets[0].say(snapshot(1));
  const answer = link.command('pause');
  for (let i = 0; i < 40; i += 1) {
    sockets[0].say({ type: 'HEARTBEAT', seq: 1 });
    pass(1000);
  }
  assert.equal((await answer).error.code, 'UNKNOWN');
});
