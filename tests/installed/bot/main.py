"""A bot of the usual shape: its own `execution`, `strategy` and `tui`, and mt5dash's `streamer`."""

import json
import time
import urllib.request

from execution.mt5_client import MT5Client
from strategy.signals import Signal
from tui.table import line

from streamer import push_update, start_server, stop_server

client, signal = MT5Client(), Signal("EURUSD")
port = start_server(port=0)
push_update({"type": "TRADE_EXECUTION", "symbol": signal.symbol, "ticket": client.send(signal)})
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state") as answer:
        events = [e for e in json.load(answer)["events"] if e["type"] == "TRADE_EXECUTION"]
    if events:
        print(line(events[0]["symbol"], events[0]["ticket"]))
        break
    time.sleep(0.05)
stop_server()
