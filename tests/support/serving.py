"""An agent or an rpyc server over a module, in a process of its own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from typing import Any

from support.paths import ROOT

PATH = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
TOKEN = "a-token-of-the-tests-0123"


def serve_agent(*more: str, python: str = sys.executable, **env: str) -> tuple[Any, int]:
    """An agent over paper in a process of its own; the process and its port."""
    process = subprocess.Popen(
        [python, str(ROOT / "execution/agent.py"), "--port", "0", *more],
        stdout=subprocess.PIPE,
        env=os.environ | PATH | {"MT5DASH_AGENT_TOKEN": TOKEN} | env,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r":(\d+), token", line)
    assert found, line
    return process, int(found.group(1))


RPYC = """
import rpyc.utils.server, rpyc.core.service, sys
sys.modules["MetaTrader5"] = __import__("{module}", fromlist=["x"])
server = rpyc.utils.server.ThreadedServer(
    rpyc.core.service.SlaveService, hostname="127.0.0.1", port=0)
print(server.port, flush=True)
server.start()
"""


def serve_rpyc(module: str) -> tuple[Any, int]:
    """An rpyc classic server whose ``MetaTrader5`` is ``module``; the process and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", RPYC.format(module=module)],
        stdout=subprocess.PIPE,
        env=os.environ | PATH,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    reachable(port)
    return process, port


def reachable(port: int) -> None:
    """Wait until something listens there."""
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")
