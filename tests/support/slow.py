"""Files whose tests are marked ``slow``: they start programs or browsers, wait on sockets and
terminals, or run markets and training for long. ``.ci/check`` leaves them out, ``.ci/run`` does not.

A file that takes more than four seconds alone belongs here; a single test can be marked where it is.
"""

from __future__ import annotations

from pathlib import Path

from support.paths import TESTS

SLOW = """
execution/account/test_observer.py
execution/account/test_observer_paper.py
execution/orders/test_orders.py
execution/orders/test_orders_killed.py
execution/paper/test_market_generated.py
execution/paper/test_paper_state.py
execution/test_doctor.py
execution/transport/test_backends.py
execution/transport/test_client.py
execution/transport/test_hang.py
installed
program
strategy/backtest/test_backtest.py
strategy/backtest/test_backtest_live.py
strategy/backtest/test_precompute.py
strategy/ml/test_trainer.py
strategy/ml/test_trainer_fit.py
strategy/ml/test_trainer_worker.py
strategy/scan/test_news.py
strategy/test_live_loop.py
strategy/test_operator.py
strategy/test_operator_expect.py
strategy/test_worker.py
streamer/backbone/test_backbone_contract.py
streamer/backbone/test_backbone_faults.py
streamer/backbone/test_publisher.py
streamer/backbone/test_backbone_program.py
streamer/backbone/test_backbone_redis.py
streamer/client/test_feed_client.py
streamer/journal/test_journal_files.py
streamer/relay/test_relay_backbone.py
streamer/relay/test_relay_chaos.py
streamer/relay/test_relay_links.py
streamer/server/test_feed_access.py
streamer/server/test_feed_lanes.py
streamer/server/test_feed_slow.py
streamer/server/test_feed_socket.py
streamer/server/test_feed_strangers.py
streamer/state/test_bots_bounds.py
streamer/web/test_web_browser.py
streamer/web/test_web_code.py
streamer/web/test_web_examples.py
tui/app/test_app.py
tui/app/test_keys.py
tui/app/test_keys_elsewhere.py
tui/app/test_screen_injection.py
tui/app/test_screen_injection_many.py
tui/app/test_time_travel.py
tui/cli/test_backtest_command.py
tui/cli/test_cli_journal.py
tui/cli/test_cli_relay.py
tui/cli/test_tail.py
tui/panels/test_panel_lines.py
tui/run/test_systemd.py
tui/screens/test_screens.py
tui/session/test_bots_screen.py
tui/session/test_trade_lookup.py
tui/terminal/test_clipboard.py
tui/terminal/test_driver_pty.py
tui/terminal/test_start_pty.py
"""


def slow_paths() -> frozenset[Path]:
    """The files and folders above.

    Raises:
        FileNotFoundError: One was moved or removed, and the list was not.
    """
    found = frozenset(TESTS / line for line in SLOW.split())
    for path in found:
        path.stat()
    return found


def is_slow(test: Path, paths: frozenset[Path]) -> bool:
    """Whether a test's file, or one of its folders, is among ``paths``."""
    return not paths.isdisjoint((test, *test.parents))
