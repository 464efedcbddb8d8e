"""Room: the WebSocket and HTTP endpoint and the fan-out to its clients."""
