"""Counters of a feed in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..feed.core import FeedCore
from ..feed.health import Health, LoopLag
from .connection import Connections
from .fanout import Fanout


class Metrics(Collector):
    """Reads the counters of a feed and of its endpoint when asked; it counts nothing itself."""

    def __init__(
        self,
        core: FeedCore,
        fanout: Fanout,
        connections: Connections,
        health: Health,
        lag: LoopLag,
    ) -> None:
        self._core = core
        self._fanout = fanout
        self._connections = connections
        self._health = health
        self._lag = lag

    def text(self) -> bytes:
        """All metrics; a registry of its own, so that two feeds do not collide."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        core, fanout = self._core, self._fanout
        gauges = {
            "clients": ("Clients that get events.", len(fanout)),
            "connections": ("Open connections.", len(self._connections)),
            "seq": ("Number of the last log event.", core.state.seq),
            "journal_waiting": ("Log events not on disk yet.", core.waiting),
            "loop_lag_seconds": ("How late timers were recently.", self._lag.ms / 1000),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"mt5dash_{name}", text, value)
        counters = {
            "events": ("Events published.", core.published),
            "events_refused": ("Events that could not be published.", core.refused),
            "writes": ("Writes to clients.", fanout.frames_sent),
            "sent_bytes": ("Bytes written to clients.", fanout.bytes_sent),
            "clients_slow": ("Clients closed because they were too slow.", fanout.closed_slow),
            "clients_silent": ("Clients cut because they did not answer.", fanout.closed_silent),
        }
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(f"mt5dash_{name}", text, value=value)
        for name, measure in self._health.measures.items():
            kind = CounterMetricFamily if measure.counter else GaugeMetricFamily
            yield kind(f"mt5dash_{name}", measure.text, value=measure.value())
        refused = CounterMetricFamily(
            "mt5dash_requests_refused", "Requests and clients turned away.", labels=["reason"]
        )
        for reason, count in self._connections.refused.items():
            refused.add_metric([reason.lower()], count)
        yield refused
        events = CounterMetricFamily(
            "mt5dash_bot_events", "Events taken in from a bot.", labels=["bot"]
        )
        too_many = CounterMetricFamily(
            "mt5dash_bot_events_refused", "Events of a bot that were too many.", labels=["bot"]
        )
        silent = GaugeMetricFamily(
            "mt5dash_bot_silent_seconds", "Since anything came from a bot.", labels=["bot"]
        )
        now = core.moment()
        for bot in core.bots:
            events.add_metric([bot.name], bot.published)
            too_many.add_metric([bot.name], bot.refused)
            if bot.heard is not None:
                silent.add_metric([bot.name], now - bot.heard)
        yield from (events, too_many, silent)
        health = GaugeMetricFamily(
            "mt5dash_health", "1 when the check says ok.", labels=["check", "status"]
        )
        for check, found in self._health.report()["checks"].items():
            health.add_metric([check, found["status"]], float(found["status"] == "ok"))
        yield health
