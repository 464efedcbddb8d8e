#!/usr/bin/env python3
"""Serves the MetaTrader5 module of this Python to mt5dash, over a socket or a pipe.

One file, standard library and numpy, Python 3.8 or newer: copy it to where the terminal is
(Windows, Wine, a VPS) and run it there with the Python that has MetaTrader5 installed:

    python agent.py

It listens on 127.0.0.1 and asks for a token, which it makes at its first start and shows.
From another machine use an SSH tunnel: ssh -L 18812:127.0.0.1:18812 user@vps

    python agent.py --save-profile broker.json

writes how the broker sets up this account and its symbols, without name, money or password, so that
mt5dash's paper terminal can be like it (paper.like).

Wire: a frame is a length (4 bytes, big-endian), the length of its header (4 bytes), the header
(JSON) and the bytes of arrays. The agent speaks first: {"agent": 1, "nonce": hex, ...}; the
answer is {"proof": HMAC-SHA256(token, nonce)}. Then {"id": n, "calls": [[name, args, kwargs]]}
is answered by {"id": n, "replies": [{"v": value, "e": last_error, "f": failed}]}.
"""

# Runs on Python 3.8 as well: the typing names of that time.
# ruff: noqa: UP006, UP035, UP045

from __future__ import annotations

import argparse
import contextlib
import hmac
import importlib
import ipaddress
import json
import os
import secrets
import socket
import struct
import sys
import threading
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

VERSION = 1
DEFAULT_PORT = 18812
HELLO_S = 5.0
SEND_S = 60.0
IN_MAX = 1 << 20
CLIENTS_MAX = 8

FUNCTIONS = frozenset(
    (
        "initialize", "login", "shutdown", "version", "terminal_info", "account_info",
        "last_error", "symbols_total", "symbols_get", "symbol_info", "symbol_info_tick",
        "symbol_select", "market_book_add", "market_book_get", "market_book_release",
        "copy_rates_from", "copy_rates_from_pos", "copy_rates_range", "copy_ticks_from",
        "copy_ticks_range", "orders_total", "orders_get", "order_calc_margin",
        "order_calc_profit", "order_check", "order_send", "positions_total", "positions_get",
        "history_orders_total", "history_orders_get", "history_deals_total", "history_deals_get",
    )
)  # fmt: skip
"""The functions of the real module; nothing else is ever called on it."""

FLOATS = ("volume", "price", "stoplimit", "sl", "tp")
INTEGERS = (
    "action", "magic", "order", "deviation", "type", "type_filling", "type_time",
    "expiration", "position", "position_by",
)  # fmt: skip

FAILED, INVALID, UNSUPPORTED = -1, -2, -7

PROFILE_VERSION = 1
PROFILE_ACCOUNT = (
    "login", "server", "company", "currency", "currency_digits", "leverage", "margin_mode",
    "margin_so_mode", "margin_so_call", "margin_so_so", "limit_orders", "fifo_close",
)  # fmt: skip
PROFILE_TERMINAL = ("build", "maxbars")
PROFILE_SYMBOL = (
    "name", "path", "description", "visible", "digits", "point", "bid", "ask", "spread",
    "chart_mode", "trade_calc_mode", "trade_mode", "trade_exemode", "filling_mode",
    "expiration_mode", "order_mode", "order_gtc_mode", "trade_stops_level", "trade_freeze_level",
    "trade_contract_size", "trade_tick_size", "trade_tick_value", "trade_face_value",
    "trade_liquidity_rate", "volume_min", "volume_max", "volume_step", "volume_limit",
    "margin_initial", "margin_maintenance", "margin_hedged", "margin_hedged_use_leg", "swap_mode",
    "swap_long", "swap_short", "swap_rollover3days", "currency_base", "currency_profit",
    "currency_margin",
)  # fmt: skip
"""What a profile holds of ``account_info``, ``terminal_info`` and ``symbols_get``."""

Call = Tuple[str, Sequence[Any], Dict[str, Any]]
Outcome = Tuple[Any, int, str, bool]
"""A value, ``last_error()`` right after it, and whether the call failed."""


# -- calls ----------------------------------------------------------------------------------


def perform(module: Any, call: Call) -> Outcome:
    """Carry out one call of the allow-list; never raises for what the module does."""
    name, args, kwargs = call
    method = getattr(module, name, None) if name in FUNCTIONS else None
    if method is None:
        return None, UNSUPPORTED, f"{name}: not a function of this terminal", True
    if name in ("order_send", "order_check"):
        try:
            args = [put_right(arg) if isinstance(arg, dict) else arg for arg in args]
        except (TypeError, ValueError, OverflowError) as error:
            return None, INVALID, f"{name}: {error}", True
    try:
        # ``method(*args, **{})`` hands a C function an empty dict instead of no keywords, and the
        # package's order_send and order_check refuse a request that comes with any keywords.
        value = method(*args, **kwargs) if kwargs else method(*args)
    except Exception as error:  # noqa: BLE001 - the package raises more than it documents
        return None, *cause_of(module, name, error), True
    if (value is None and name != "shutdown") or value is False:
        code, text = module.last_error()
        return value, int(code), str(text), True
    return value, 1, "Success", False


def cause_of(module: Any, name: str, error: Exception) -> Tuple[int, str]:
    """The code and text of a call that raised.

    The package raises for an argument that it refuses (``TypeError`` for the form of the call,
    ``SystemError`` for a number of a wrong kind or range, with -2 in ``last_error()``): such a
    call never reached the terminal. An ``order_send`` that raises for any other reason may have
    been sent, so its code is one that leaves the outcome unknown.
    """
    if isinstance(error, (TypeError, SystemError)):
        code, text = module.last_error()
        if isinstance(error, SystemError) and code == INVALID:
            return INVALID, f"{name}: {text}"
        if code == INVALID or name != "order_send":
            return INVALID, f"{name}: {error}"
    return FAILED, f"{name}: {type(error).__name__}: {error}"


def put_right(request: Dict[str, Any]) -> Dict[str, Any]:
    """A trade request with the exact types that the module insists on."""
    out = dict(request)
    for key in FLOATS:
        if key in out:
            out[key] = float(out[key])
    for key in INTEGERS:
        if key in out:
            out[key] = int(out[key])
    return out


def about(module: Any) -> Dict[str, Any]:
    """What a paper terminal knows beyond the module's functions; nothing for the real one."""
    clock = getattr(module, "server_now", None)
    told = callable(clock)
    return {
        "market": getattr(module, "market_text", None),
        "speed": float(getattr(module, "speed", 1.0)),
        "server_now": float(clock()) if told else None,  # type: ignore[misc]
        "utc_offset": float(getattr(module, "utc_offset", 0.0)) if told else None,
    }


def answer(module: Any, payload: bytes) -> bytes:
    """One request, without its frame's length, to one reply, likewise."""
    size = struct.unpack_from("!I", payload)[0]
    request = json.loads(payload[4 : 4 + size].decode())
    if request.get("about"):
        return pack({"id": request.get("id"), "about": about(module)}, [])
    arrays: List[bytes] = []
    replies = []
    for name, args, kwargs in request["calls"]:
        value, code, text, failed = perform(module, (str(name), args, kwargs))
        kept = len(arrays)
        try:
            sent = encode(value, arrays)
        except TypeError as error:
            # The call was carried out: only its result is lost.
            del arrays[kept:]
            sent, code, text, failed = None, FAILED, f"{name}: {error}", True
        replies.append({"v": sent, "e": [code, text], "f": failed})
    return pack({"id": request.get("id"), "replies": replies}, arrays)


# -- encoding -------------------------------------------------------------------------------


def encode(value: Any, arrays: List[bytes]) -> Any:
    """A value of the module as JSON; arrays go to ``arrays``.

    ``{"a": [descr, rows]}`` an array, ``{"s": type, "n": names, "v": values}`` a struct,
    ``{"t": type, "n": names, "r": rows}`` structs of one type, ``{"l": values}`` a tuple.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        arrays.append(value.tobytes())
        return {"a": [value.dtype.descr, int(value.shape[0])]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        values = [encode(item, arrays) for item in value]
        return {"s": type(value).__name__, "n": list(value._asdict()), "v": values}
    if isinstance(value, (tuple, list)):
        first: Any = value[0] if value else None
        if hasattr(first, "_asdict") and all(type(item) is type(first) for item in value):
            rows = [[encode(field, arrays) for field in item] for item in value]
            return {"t": type(first).__name__, "n": list(first._asdict()), "r": rows}
        return {"l": [encode(item, arrays) for item in value]}
    raise TypeError(f"cannot send a {type(value).__name__}")


def pack(header: Dict[str, Any], arrays: Sequence[bytes]) -> bytes:
    """A frame's content: header length, header, arrays."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([struct.pack("!I", len(text)), text, *arrays])


# -- transport ------------------------------------------------------------------------------

Read = Callable[[int], bytes]
Write = Callable[[bytes], Any]


def read_frame(read: Read, most: int = IN_MAX) -> Optional[bytes]:
    """One frame's content, ``None`` at the end. Raises ``ValueError`` for a broken one."""
    head = read(4)
    if not head:
        return None
    if len(head) < 4:
        raise ValueError("half a frame")
    size = struct.unpack("!I", head)[0]
    if not 4 <= size <= most:
        raise ValueError(f"a frame of {size} bytes")
    body = read(size)
    if len(body) < size:
        raise ValueError("half a frame")
    return body


def write_frame(write: Write, payload: bytes) -> None:
    write(struct.pack("!I", len(payload)) + payload)


def hello(module: Any, nonce: str = "") -> bytes:
    return pack(
        {
            "agent": VERSION,
            "nonce": nonce,
            "module": getattr(module, "__name__", type(module).__name__),
            "module_version": str(getattr(module, "__version__", "")),
            "python": sys.version.split()[0],
        },
        [],
    )


def serve_pipe(module: Any) -> None:
    """Answer on standard input and output until input ends: the child-process form."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the module or a library prints must not fall into the frames
    if sys.platform == "win32":
        import msvcrt

        for stream in (source, sink):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)

    def send(payload: bytes) -> None:
        write_frame(sink.write, payload)
        sink.flush()

    send(hello(module))
    while True:
        payload = read_frame(source.read)
        if payload is None:
            return
        send(answer(module, payload))


class Server:
    """Serves one module on a socket: a thread a connection, one call at a time."""

    def __init__(self, module: Any, token: str, host: str, port: int) -> None:
        self._module = module
        self._token = token.encode()
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(CLIENTS_MAX)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._socket.settimeout(0.5)  # on Windows Ctrl+C is seen between two waits only
        self.host, self.port = self._socket.getsockname()[:2]

    def run(self) -> None:
        while True:
            try:
                peer, address = self._socket.accept()
            except socket.timeout:  # noqa: UP041 - its name in Python 3.8
                continue
            except OSError:
                return  # closed
            if not self._slots.acquire(blocking=False):
                peer.close()
                continue
            threading.Thread(target=self._serve, args=(peer, address), daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self, peer: socket.socket, address: Any) -> None:
        try:
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.settimeout(HELLO_S)
                if self._admit(peer, address):
                    self._talk(peer)
        except Exception as error:  # noqa: BLE001 - one bad peer must not end the agent
            say(f"{address[0]}: {error}")
        finally:
            self._slots.release()

    def _admit(self, peer: socket.socket, address: Any) -> bool:
        nonce = secrets.token_hex(16)
        write_frame(peer.sendall, hello(self._module, nonce))
        payload = read_frame(exactly(peer), 4096)
        if payload is None:
            return False
        proof = str(json.loads(payload[4:].decode()).get("proof", ""))
        good = hmac.new(self._token, nonce.encode(), "sha256").hexdigest()
        if hmac.compare_digest(proof.encode(), good.encode()):
            write_frame(peer.sendall, pack({"ok": True}, []))
            return True
        say(f"{address[0]}: wrong token")
        threading.Event().wait(1.0)
        write_frame(peer.sendall, pack({"ok": False, "error": "wrong token"}, []))
        return False

    def _talk(self, peer: socket.socket) -> None:
        read = exactly(peer)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        while True:
            peer.settimeout(None)
            payload = read_frame(read)
            if payload is None:
                return
            with self._lock:
                reply = answer(self._module, payload)
            peer.settimeout(SEND_S)
            write_frame(peer.sendall, reply)


def exactly(peer: socket.socket) -> Read:
    """Read ``n`` bytes, or fewer at the end."""

    def read(count: int) -> bytes:
        parts: List[bytes] = []
        while count:
            part = peer.recv(min(count, 1 << 16))
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    return read


# -- profile --------------------------------------------------------------------------------


def profile_of(account: Any, terminal: Any, symbols: Sequence[Any]) -> Dict[str, Any]:
    """How a broker sets up an account and its symbols, for a paper terminal that is to be alike.

    Args:
        account: ``account_info()``.
        terminal: ``terminal_info()``.
        symbols: ``symbols_get()``.
    """

    def fields(value: Any, names: Sequence[str]) -> Dict[str, Any]:
        return {name: getattr(value, name) for name in names}

    return {
        "profile": PROFILE_VERSION,
        "about": f"{account.company}, {account.server}",
        "account": fields(account, PROFILE_ACCOUNT),
        "terminal": fields(terminal, PROFILE_TERMINAL),
        "symbols": [fields(symbol, PROFILE_SYMBOL) for symbol in symbols],
    }


def save_profile(profile: Dict[str, Any], path: str) -> None:
    """Write a profile, a symbol a line; the file is whole or not there."""
    symbols = ",\n".join("  " + json.dumps(symbol) for symbol in profile["symbols"])
    head = json.dumps({**profile, "symbols": []}, indent=1)
    text = head[: head.rindex("[]")] + "[\n" + symbols + "\n ]\n}\n"
    fresh = path + ".new"
    with open(fresh, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)


def write_profile(module: Any, path: str) -> int:
    """Read the terminal that is running and write its profile; the exit code."""
    if not module.initialize():
        say(f"no terminal answers: {module.last_error()}. Start MetaTrader 5 and log in")
        return 1
    account, terminal, symbols = (
        module.account_info(),
        module.terminal_info(),
        module.symbols_get(),
    )
    if account is None or terminal is None or not symbols:
        say(f"the terminal cannot be read: {module.last_error()}. Is an account logged in?")
        return 1
    try:
        save_profile(profile_of(account, terminal, symbols), path)
    except OSError as error:
        say(f"{path} cannot be written: {error}")
        return 1
    module.shutdown()
    print(f"{path}: {len(symbols)} symbols of {account.server}", flush=True)
    return 0


# -- command line ---------------------------------------------------------------------------


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def kept_token(path: str) -> str:
    """The token in ``path``; made, and readable for its owner only, when there is none."""
    try:
        with open(path, encoding="ascii") as file:
            token = file.read().strip()
    except FileNotFoundError:
        token = secrets.token_urlsafe(24)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
    if len(token) < 16:
        raise SystemExit(f"{path}: a token has at least 16 characters; delete the file")
    return token


def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="agent.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0: any free port")
    parser.add_argument("--module", default="MetaTrader5", help=argparse.SUPPRESS)
    parser.add_argument("--pipe", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--token-file",
        default=os.path.join(os.path.expanduser("~"), ".mt5dash-agent-token"),
        help="file with the token; made at the first start",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        help="allow an address that other machines reach; traffic is not encrypted",
    )
    parser.add_argument(
        "--save-profile",
        metavar="FILE",
        help="write the broker's profile for a paper terminal, and end",
    )
    options = parser.parse_args(argv)
    try:
        module = importlib.import_module(options.module)
    except Exception as error:  # noqa: BLE001 - a package built for another numpy raises anything
        say(
            f"{options.module} cannot be imported: {error}. It exists for Windows only (also under "
            "Wine): python -m pip install MetaTrader5"
        )
        return 3
    if options.save_profile:
        return write_profile(module, options.save_profile)
    if options.pipe:
        serve_pipe(module)
        return 0
    if not options.open and not is_loopback(options.host):
        say(f"{options.host} is reached by other machines: use an SSH tunnel, or add --open")
        return 2
    token = os.environ.get("MT5DASH_AGENT_TOKEN") or kept_token(options.token_file)
    try:
        server = Server(module, token, options.host, options.port)
    except OSError as error:
        say(f"cannot listen on {options.host}:{options.port}: {error}")
        return 1
    print(
        f"mt5dash agent on {server.host}:{server.port}, token in {options.token_file}", flush=True
    )
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    server.close()
    return 0


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    # Run as a file, its folder is first on the path: modules beside it must not be found.
    if sys.path and os.path.abspath(sys.path[0]) == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    raise SystemExit(main())
