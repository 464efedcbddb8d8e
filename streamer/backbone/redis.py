"""A backbone on Redis or Valkey: two streams, a snapshot and a mark of the writer.

The id of a log event is its number (``SEQ-0``), so that the broker itself refuses an event that
it has already. Each atomic step is one script, which also refuses a writer that was replaced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from .model import (
    READ_EVENTS,
    STATES_KEPT,
    Claim,
    ClaimResult,
    Cursor,
    ReadResult,
    StoredSnapshot,
    StoreUnavailable,
    StreamInfo,
    StreamLost,
    StreamTaken,
    WriteBatch,
)

CONNECT_S = 3.0
TIMEOUT_S = 4.0
"""Longest wait for an answer; a read blocks for less (``ReaderTimings.block_s``)."""
BEAT_CHECK_S = 1.0
"""Between two reads of the writer's beat while events arrive."""

# KEYS of both: mark, log, states, snapshot.
# ARGV: writer, who, epoch, seq, seen, first, run of the broker.
_CLAIM = """
local m = redis.call('HMGET', KEYS[1], 'writer', 'who', 'epoch', 'term', 'beat', 'generation')
local there, mine, same = m[4], m[1] == ARGV[1], m[3] == ARGV[3]
local beat, generation = tonumber(m[5] or '0'), tonumber(m[6] or '0')
if there and m[1] ~= '' and not mine and ARGV[5] ~= tostring(beat)
    and not (same and ARGV[6] == '1') then
  return {0, m[2], beat}
end
local function last(key)
  local e = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if #e == 0 then return 0 end
  return tonumber(string.match(e[1][1], '^(%d+)'))
end
local log, state, term, renewed = last(KEYS[2]), last(KEYS[3]), m[4], 0
generation, beat = generation + 1, beat + 1
if not there or not same or (not mine and log > tonumber(ARGV[4])) then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
  log, state, renewed = 0, 0, 1
  term = ARGV[7] .. '-' .. generation .. '-' .. string.sub(ARGV[1], 1, 6)
  redis.call('HSET', KEYS[1], 'term', term, 'epoch', ARGV[3], 'base', ARGV[4])
end
redis.call('HSET', KEYS[1], 'writer', ARGV[1], 'who', ARGV[2], 'beat', beat,
  'generation', generation)
return {1, ARGV[2], beat, generation, term, log, state, renewed}
"""

# ARGV: writer, term, generation, events kept, states kept, how many log events, states and
# snapshots (0 or 1); then number and bytes of each, then epoch, seq, state, bytes.
_WRITE = """
local m = redis.call('HMGET', KEYS[1], 'writer', 'who', 'term', 'generation')
if not m[3] then return {'lost', 'the stream is gone'} end
if m[1] ~= ARGV[1] then return {'taken', m[2]} end
if m[3] ~= ARGV[2] or m[4] ~= ARGV[3] then return {'lost', 'the stream was claimed again'} end
local at, again = 9, 0
local function add(key, count)
  for _ = 1, count do
    local r = redis.pcall('XADD', key, ARGV[at] .. '-0', 't', ARGV[2], 'e', ARGV[at + 1])
    if type(r) == 'table' and r.err then
      if not string.find(r.err, 'equal or smaller', 1, true) then return r end
      if key == KEYS[2] then again = again + 1 end
    end
    at = at + 2
  end
end
local nlog, nstate = tonumber(ARGV[6]), tonumber(ARGV[7])
local bad = add(KEYS[2], nlog) or add(KEYS[3], nstate)
if bad then return bad end
if nlog > 0 then redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[4]) end
if nstate > 0 then redis.call('XTRIM', KEYS[3], 'MAXLEN', '~', ARGV[5]) end
if ARGV[8] == '1' then
  local s = redis.call('HMGET', KEYS[4], 'seq', 'state')
  local seq, state = tonumber(s[1] or '-1'), tonumber(s[2] or '-1')
  local new, nstate = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if new > seq or (new == seq and nstate >= state) then
    redis.call('HSET', KEYS[4], 'epoch', ARGV[at], 'seq', ARGV[at + 1], 'state', ARGV[at + 2],
      'raw', ARGV[at + 3])
  end
end
redis.call('HINCRBY', KEYS[1], 'beat', 1)
return {'ok', again}
"""

_RELEASE = """
if redis.call('HGET', KEYS[1], 'writer') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'writer', '')
end
"""


class RedisStore:
    """See ``Store``. One connection for a writer or a reader.

    Args:
        host: The broker's host.
        port: Its port.
        db: Number of the database.
        stream: Name of the stream: its keys begin with ``mt5dash:{NAME}:``.
        username: For brokers with several users.
        password: Never part of a log line or an error.
        tls: Whether to speak TLS.
        ca: PEM file of the authority that signed its certificate; the system's when ``None``.
        where: The address for people.
        timeout_s: Longest wait for an answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        db: int,
        stream: str,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        ca: str | None = None,
        where: str,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.where = where
        # The braces make a cluster keep all four keys on one node.
        self._keys = [f"mt5dash:{{{stream}}}:{part}" for part in ("mark", "log", "state", "saved")]
        security: dict[str, Any] = {"ssl": True, "ssl_ca_certs": ca} if tls else {}
        self._redis = Redis(
            host=host,
            port=port,
            db=db,
            username=username,
            password=password,
            socket_timeout=timeout_s,
            socket_connect_timeout=CONNECT_S,
            # The writer and the reader retry themselves, and log it.
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            client_name="mt5dash",
            protocol=2,
            **security,
        )
        self._beat_checked_at = 0.0
        self._abandoned: set[asyncio.Future[Any]] = set()
        self._claim = self._redis.register_script(_CLAIM)
        self._write = self._redis.register_script(_WRITE)
        self._release = self._redis.register_script(_RELEASE)

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        # In a task of its own: redis-py sends under `asyncio.wait_for`, which sometimes loses a
        # cancellation before Python 3.12, and would continue to wait for the answer.
        asked = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({asked})
        except asyncio.CancelledError:
            self._abandoned.add(asked)
            asked.add_done_callback(self._forget)
            asked.cancel()
            raise
        try:
            return asked.result()
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(_explain(self.where, error)) from None

    def _forget(self, asked: asyncio.Future[Any]) -> None:
        self._abandoned.discard(asked)
        if not asked.cancelled():
            asked.exception()

    async def claim(self, claim: Claim) -> ClaimResult:
        """See ``Store.claim``."""
        run = await self._ask(self._run_id())
        found = await self._ask(
            self._claim(
                self._keys,
                [
                    claim.writer,
                    claim.owner,
                    claim.epoch,
                    claim.seq,
                    "" if claim.dead_beat is None else claim.dead_beat,
                    int(claim.first),
                    run,
                ],
            )
        )
        granted, owner, beat = bool(found[0]), _text(found[1]), int(found[2])
        if not granted:
            return ClaimResult(False, owner, beat)
        _, _, _, generation, term, last, state, restarted = found
        return ClaimResult(
            True,
            owner,
            beat,
            int(generation),
            _text(term),
            int(last),
            int(state),
            bool(restarted),
        )

    async def _run_id(self) -> str:
        """The broker's id of its current run; empty for a user without the right to read it."""
        try:
            server = await self._redis.info("server")
        except NoPermissionError:
            return ""
        return str(server.get("run_id", ""))[:8]

    async def write(self, batch: WriteBatch, keep: int) -> int:
        """See ``Store.write``."""
        new = batch.snapshot
        args: list[Any] = [
            batch.writer,
            batch.term,
            batch.generation,
            keep,
            STATES_KEPT,
            len(batch.log),
            len(batch.states),
            int(new is not None),
        ]
        for event in (*batch.log, *batch.states):
            args += event
        if new is not None:
            args += [new.epoch, new.seq, new.state, new.raw]
        status, value = await self._ask(self._write(self._keys, args))
        if status == b"taken":
            raise StreamTaken(f"{self.where} was taken over by another feed ({_text(value)})")
        if status == b"lost":
            raise StreamLost(_text(value))
        return int(value)

    async def release(self, writer: str) -> None:
        """See ``Store.release``."""
        await self._ask(self._release(self._keys[:1], [writer]))

    async def info(self) -> StreamInfo | None:
        """See ``Store.info``."""
        mark, log, _, saved = self._keys
        pipe = self._redis.pipeline(transaction=True)
        pipe.hmget(mark, "epoch", "term", "base", "beat")
        pipe.xrange(log, count=1)
        pipe.xrevrange(log, count=1)
        pipe.hmget(saved, "epoch", "seq", "state", "raw")
        (epoch, term, base, beat), first, last, found = await self._ask(pipe.execute())
        if term is None:
            return None
        return StreamInfo(
            _text(epoch),
            _text(term),
            int(base),
            int(beat or 0),
            _number(first[0][0]) if first else 0,
            _number(last[0][0]) if last else 0,
            StoredSnapshot(_text(found[0]), int(found[1]), int(found[2]), found[3])
            if found[3] is not None
            else None,
        )

    async def snapshot_offsets(self) -> tuple[str, int, int] | None:
        """See ``Store.snapshot_offsets``."""
        fields = self._redis.hmget(self._keys[3], "epoch", "seq", "state")
        epoch, seq, state = await self._ask(cast(Awaitable[Any], fields))
        return (_text(epoch), int(seq), int(state)) if seq is not None else None

    async def read(self, cursor: Cursor, block_s: float) -> ReadResult:
        """See ``Store.read``."""
        mark, log, states, _ = self._keys
        found = await self._ask(
            self._redis.xread(
                {log: f"{cursor.seq}-0", states: f"{cursor.state}-0"},
                count=READ_EVENTS,
                block=max(1, int(block_s * 1000)),
            )
        )
        number: int | None = None
        now = time.monotonic()
        if not found or now - self._beat_checked_at >= BEAT_CHECK_S:
            self._beat_checked_at = now
            fields = cast(Awaitable[Any], self._redis.hmget(mark, "term", "beat"))
            term, beat = await self._ask(fields)
            named, number = _text(term or b""), int(beat or 0)
            if not found or named != cursor.term:
                return ReadResult(term=None if named == cursor.term else named, beat=number)
        parts: dict[str, list[tuple[int, bytes]]] = {log: [], states: []}
        for key, entries in found:
            into = parts[_text(key)]
            for entry, fields in entries:
                if _text(fields[b"t"]) != cursor.term:
                    return ReadResult(term=_text(fields[b"t"]))
                into.append((_number(entry), fields[b"e"]))
        return ReadResult(parts[log], parts[states], beat=number)

    async def close(self) -> None:
        """See ``Store.close``."""
        try:
            await self._redis.aclose()
        except (RedisError, OSError, TimeoutError):
            return


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _number(entry: bytes) -> int:
    return int(entry.partition(b"-")[0])


def _explain(where: str, error: Exception) -> str:
    """The error, and what to do about it where that is known."""
    text = str(error).rstrip(".") or type(error).__name__
    hints: Sequence[tuple[type[Exception], str]] = (
        (AuthenticationError, "check the password ([backbone] password_file)"),
        (NoPermissionError, "give this user the commands in docs/backbone.md"),
        (ReadOnlyError, "this is a replica: name the primary"),
        (OutOfMemoryError, "give the broker more memory, or set a lower keep_events"),
        (BusyLoadingError, "it is reading its data; it is tried again"),
    )
    for kind, hint in hints:
        if isinstance(error, kind):
            return f"{where}: {text}; {hint}"
    if "NOAUTH" in text or "WRONGPASS" in text:
        return f"{where}: {text}; check the password ([backbone] password_file)"
    if "WRONGTYPE" in text:
        return f"{where}: {text}; another program uses these keys: choose another stream name"
    return f"{where}: {text}"
