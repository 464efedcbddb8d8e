"""permessage-deflate negotiated so that one compressed frame can be read by every client."""

from __future__ import annotations

from collections.abc import Sequence

from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.typing import ExtensionParameter


class SharedDeflate(ServerPerMessageDeflateFactory):
    """Negotiates permessage-deflate only where a shared frame can be read by the client."""

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)

    def process_request_params(
        self,
        params: Sequence[ExtensionParameter],
        accepted_extensions: Sequence[object],
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Decline a client that asks for a window smaller than the shared frame's."""
        if any(name == "server_max_window_bits" and value != "15" for name, value in params):
            raise NegotiationError("frames are made once, with the full window")
        return super().process_request_params(params, accepted_extensions)  # type: ignore[arg-type]
