"""Lanes: clients in step are served together and counted once.

A round of the fan-out sends what one turn of the loop published. Clients that get the same bytes
(one ``Key``) and have been served up to the same log event share a lane; all others are served
alone::

    lane, cursor 41                        round: events 42-43, one blob
    slot      0     1     2     3     4
    client    A     B     C     D     E
              ----- done -> |     |     |  serve() writes slot by slot; done = 2: A and B have
              cursor 43     cursor 41      the blob, C to E will get it when the loop is back

    B leaves (its socket is full):         its slot becomes a hole; it keeps cursor 43
    D leaves (it sent SUBSCRIBE):          not served yet, so it goes to ``late``: served alone
                                           at the end of this round

              A    hole   C   hole   E     end(): holes are filled from the back,
              A     E     C                cursor = 43 for all with one assignment

A client that keeps up costs a round one ``os.write`` and no memory of its own is touched for it,
which with a thousand clients costs as much as a third of the write.
"""

from __future__ import annotations

import os

from .subscriber import Subscriber

_GONE = -2
"""As descriptor: the client of this slot has left."""


class Lane:
    """Clients of one key that have been served up to the same log event.

    A round is ``begin``, ``serve`` until all are done, ``end``. A client may leave at any time,
    also within a call of ``serve``; others join between rounds.

    Args:
        cursor: The last log event that its clients have been served.
        alone: The clients that are served alone; those that leave are added to it.

    Attributes:
        cursor: The last log event that its clients had been served when the round began.
        sent: Log events sent in this lane before the round.
        after: The cursor of those that the present round has served.
        logs: Log events that the present round sends to each of them.
        done: The round has served the slots before this one; 0 between rounds.
    """

    __slots__ = (
        "_alone",
        "_clients",
        "_fds",
        "_holes",
        "_late",
        "after",
        "cursor",
        "done",
        "logs",
        "sent",
    )

    def __init__(self, cursor: int, alone: dict[Subscriber, None]) -> None:
        self.cursor = self.after = cursor
        self.sent = self.logs = self.done = 0
        self._alone = alone
        self._clients: list[Subscriber] = []
        self._fds: list[int] = []
        self._late: list[Subscriber] | None = None
        self._holes: list[int] = []

    def __len__(self) -> int:
        return len(self._clients)

    def join(self, client: Subscriber) -> None:
        """Add a client whose cursor is the lane's; between rounds only."""
        client.alone_sent -= self.sent
        client.lane, client.slot = self, len(self._clients)
        self._clients.append(client)
        self._fds.append(client.fd)
        del self._alone[client]

    def leave(self, client: Subscriber) -> None:
        """Remove a client. A round that has not served it yet serves it alone at its end."""
        slot = client.slot
        client.alone_cursor, client.alone_sent, client.lane = client.cursor, client.sent, None
        self._alone[client] = None
        if self._late is None:
            self._close_hole(slot)
            return
        if slot >= self.done:
            self._late.append(client)
        self._fds[slot] = _GONE
        self._holes.append(slot)

    def _close_hole(self, slot: int) -> None:
        last, fd = self._clients.pop(), self._fds.pop()
        if slot < len(self._clients):
            self._clients[slot], self._fds[slot] = last, fd
            last.slot = slot

    def begin(self, after: int, late: list[Subscriber]) -> None:
        """Begin a round up to event ``after``; clients that leave unserved go to ``late``."""
        self.after, self.logs, self._late = after, 0, late

    def serve(self, blob: bytes, logs: int, count: int) -> int:
        """Write ``blob``, which holds ``logs`` log events, to the next ``count`` slots.

        Returns:
            How many clients it was written to.
        """
        self.logs = logs
        start, fds, size, write = self.done, self._fds, len(blob), os.write
        stop = min(start + count, len(fds))
        gone = 0
        for slot in range(start, stop):
            fd = fds[slot]
            taken = 0
            if fd >= 0:
                try:
                    taken = write(fd, blob)
                except (BlockingIOError, InterruptedError):
                    pass
                except OSError:
                    taken = -1
                if taken == size:
                    continue
            elif fd == _GONE:
                gone += 1
                continue
            self.done = slot + 1  # it may leave within the call
            transport = self._clients[slot].transport
            if taken < 0:
                transport.abort()
            else:
                transport.write(blob[taken:] if taken else blob)
        self.done = stop
        return stop - start - gone

    def skip(self, logs: int) -> None:
        """Count all clients as served: the round holds nothing for them."""
        self.logs, self.done = logs, len(self._clients)

    def scatter(self) -> None:
        """Remove all clients: each is served alone at the end of the round."""
        for client in list(self._clients):
            client.step_out()
        self.done = len(self._clients)

    def end(self) -> None:
        """End the round: it has served all that are still here."""
        self.cursor, self.sent = self.after, self.sent + self.logs
        self.done = self.logs = 0
        self._late = None
        if self._holes:
            for slot in sorted(self._holes, reverse=True):
                self._close_hole(slot)
            self._holes.clear()
