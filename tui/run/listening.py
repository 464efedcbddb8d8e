"""Starting a feed at the address of the settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from streamer.errors import USAGE, Mt5dashError


class CannotListen(Mt5dashError):
    """The address in the settings is not an address of this machine."""

    exit_code = USAGE


async def listen(start: Callable[[], Awaitable[None]], host: str) -> None:
    """Await ``start()``, which binds the socket of a feed at ``host``.

    Raises:
        CannotListen: The socket cannot be bound.
        streamer.errors.Mt5dashError: As ``start`` does: the port or the journal is in use.
    """
    try:
        await start()
    except Mt5dashError:
        raise
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}: {error.strerror or error}") from None
