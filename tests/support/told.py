"""What tests of a running program share: waiting for a condition, and the events told."""

from __future__ import annotations

from typing import Any

from streamer.protocol.messages import Event


class Told(list[Event]):
    """Events in the order they were published."""

    def of(self, *types: str) -> list[Any]:
        return [event for event in self if event.__struct_config__.tag in types]

    def names(self) -> list[str]:
        """The types of the log events."""
        state = {"ACCOUNT_UPDATE", "POSITION_UPDATE", "ORDERS_UPDATE", "QUOTE_UPDATE"}
        tags = [str(event.__struct_config__.tag) for event in self]
        return [tag for tag in tags if tag not in state]
