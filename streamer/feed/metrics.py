"""What the feed counts, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from .feed import Feed


class _FeedCollector(Collector):
    """Reads the feed's own counters when asked; nothing is counted twice."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        feed, hub = self._feed, self._feed.hub
        gauges = {
            "clients": ("Clients that get events.", len(hub)),
            "connections": ("Open connections.", len(feed.server.connections)),
            "seq": ("Number of the last log event.", feed.state.seq),
            "journal_waiting": ("Log events not on disk yet.", feed.waiting),
            "loop_lag_seconds": ("How late timers were of late.", feed.loop_lag_ms / 1000),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"mt5dash_{name}", text, value)
        counters = {
            "events": ("Events published.", feed.published),
            "events_refused": ("Events that could not be published.", feed.refused),
            "writes": ("Writes to clients.", hub.frames_sent),
            "sent_bytes": ("Bytes written to clients.", hub.bytes_sent),
            "clients_slow": ("Clients closed because they were too slow.", hub.closed_slow),
            "clients_silent": ("Clients cut because they did not answer.", hub.closed_silent),
        }
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(f"mt5dash_{name}", text, value=value)
        for name, measure in feed.health.measures.items():
            kind = CounterMetricFamily if measure.counter else GaugeMetricFamily
            yield kind(f"mt5dash_{name}", measure.text, value=measure.value())
        refused = CounterMetricFamily(
            "mt5dash_requests_refused", "Requests and clients turned away.", labels=["reason"]
        )
        for reason, count in feed.server.refused.items():
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
        now = feed.moment()
        for bot in feed.bots:
            events.add_metric([bot.name], bot.published)
            too_many.add_metric([bot.name], bot.refused)
            if bot.heard is not None:
                silent.add_metric([bot.name], now - bot.heard)
        yield from (events, too_many, silent)
        health = GaugeMetricFamily(
            "mt5dash_health", "1 when the check says ok.", labels=["check", "status"]
        )
        for check, found in feed.health.report()["checks"].items():
            health.add_metric([check, found["status"]], float(found["status"] == "ok"))
        yield health


def metrics_text(feed: Feed) -> bytes:
    """All metrics of one feed; a registry of its own, so that two feeds do not collide."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_FeedCollector(feed))
    return generate_latest(registry)
