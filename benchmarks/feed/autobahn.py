"""Autobahn's 517 conformance cases against the feed's server, in echo mode.

    python benchmarks/feed/autobahn.py --wstest PATH [--cases "1.*,2.*"] [--reports FOLDER]
    python benchmarks/feed/autobahn.py --reports FOLDER > docs/conformance.md

Autobahn runs on Python 2.7: ``pip install autobahntestsuite`` there, and name its ``wstest``. All
cases take about 20 minutes; with ``--cases`` they can be run in pieces into one folder, the page
is that of all cases found in it. Ends with 1 when a case fails that is not expected to.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
AGENT = "mt5dash"
GROUPS = {
    "1": "framing", "2": "pings", "3": "reserved bits", "4": "opcodes", "5": "fragmentation",
    "6": "UTF-8", "7": "close handling", "9": "limits and performance", "10": "auto-fragmentation",
    "12": "compression: payloads", "13": "compression: parameters",
}  # fmt: skip
BEHAVIOURS = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")
_CAP = (
    "fragments in one message, more than the cap (with WEBSOCKETS_MAX_FRAGMENTS=100000 it passes)"
)
EXPECTED = {
    "7.1.5": "a close frame between the fragments of a message; websockets itself answers so",
    **{f"9.{kind}.{n}": _CAP for kind in (3, 4) for n in (1, 2, 3)},
}


def run(wstest: Path, cases: list[str], reports: Path) -> None:
    """Run these cases against a server of their own; the results are added to those found."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "echo.py"), "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        if not url:
            raise SystemExit("the echo server did not start")
        spec = reports / "spec.json"
        spec.write_text(
            json.dumps(
                {
                    "outdir": str(reports / "pages"),
                    "servers": [{"agent": AGENT, "url": url}],
                    "cases": cases,
                    "exclude-cases": [],
                    "exclude-agent-cases": {},
                }
            )
        )
        with (reports / "wstest.log").open("a") as log:
            command = [str(wstest), "-m", "fuzzingclient", "-s", str(spec)]
            subprocess.run(command, check=True, stdout=log, stderr=log)
    finally:
        server.kill()
        server.wait()
    found = known(reports)
    found.update(json.loads((reports / "pages" / "index.json").read_text())[AGENT])
    (reports / "results.json").write_text(json.dumps(found, indent=1, sort_keys=True))


def known(reports: Path) -> dict[str, Any]:
    """Results so far: ``{case: {"behavior": .., "behaviorClose": .., ..}}``."""
    file = reports / "results.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


HEAD = f"""# Conformance to WebSocket

Autobahn's cases (RFC 6455, RFC 7692) against the feed's server: its connections, checks and
compression, with an echo for a conversation and messages of up to 64 MiB. Made by
`benchmarks/feed/autobahn.py` from a run with autobahntestsuite 25.10.1, websockets
{metadata.version("websockets")}, Python {platform.python_version()}.
"""
FOOT = """
`NON-STRICT`: an invalid frame is answered by a close before the echo of the valid one ahead of it
has left (3, 4, 5), or invalid UTF-8 is found when the message is whole and not at the first wrong
byte (6). `UNIMPLEMENTED`: the client asks for a compression window smaller than 32 KiB; it is
served without compression, as one frame is made for all and needs the full window. The cap of 4096
fragments is websockets' own; a message to the feed may have 64 KiB, so that none needs as many.
"""


def summary(found: dict[str, Any]) -> bool:
    """Print the page; whether nothing failed but what is expected to."""
    print(HEAD)
    rows: dict[str, Counter[str]] = {}
    for case, result in found.items():
        rows.setdefault(case.split(".")[0], Counter())[result["behavior"]] += 1
    print("| cases | of | " + " | ".join(BEHAVIOURS) + " |")
    print("|---|---|" + "---|" * len(BEHAVIOURS))
    for group, name in GROUPS.items():
        if counts := rows.get(group):
            cells = " | ".join(str(counts[b]) for b in BEHAVIOURS)
            print(f"| {group} {name} | {counts.total()} | {cells} |")
    whole: Counter[str] = sum(rows.values(), Counter())
    print(f"| all | {whole.total()} | " + " | ".join(str(whole[b]) for b in BEHAVIOURS) + " |\n")
    good = True
    for case in sorted(found, key=lambda case: [int(n) for n in case.split(".")]):
        behaviour, close = found[case]["behavior"], found[case]["behaviorClose"]
        if behaviour == "FAILED" or close == "FAILED":
            reason = EXPECTED.get(case)
            good = good and reason is not None
            print(f"- {case} fails ({behaviour}, close {close}): {reason or 'NOT EXPECTED'}.")
    print(FOOT, end="")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wstest", type=Path, help="Autobahn's program; without it, only the page")
    parser.add_argument("--cases", default="*", help="patterns, separated by commas")
    parser.add_argument("--reports", type=Path, default=Path("autobahn"))
    options = parser.parse_args()
    options.reports.mkdir(parents=True, exist_ok=True)
    if options.wstest:
        run(options.wstest.absolute(), options.cases.split(","), options.reports.absolute())
    sys.exit(0 if summary(known(options.reports)) else 1)


if __name__ == "__main__":
    main()
