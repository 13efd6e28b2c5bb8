"""Metrics for Prometheus; one registry per server, none global. No label takes a value that a request brings."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from filiera.clock import US_PER_S
from filiera.server.trouble import Troubles


class Metrics:
    """Counts of requests and predictions, and what does not work."""

    def __init__(self, troubles: Troubles) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "filiera_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "filiera_request_seconds", "Seconds of a request by route", ["route"], registry=self.registry
        )
        self.predictions = Counter(
            "filiera_predictions", "Predictions by model version", ["model"], registry=self.registry
        )
        self.registry.register(_TroubleCollector(troubles))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _TroubleCollector(Collector):
    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles

    def collect(self) -> Iterable[GaugeMetricFamily]:
        gauge = GaugeMetricFamily(
            "filiera_trouble_since_seconds", "Unix time since when a part fails; 0 = it works", labels=["part"]
        )
        for part, since_us in self._troubles.parts().items():
            gauge.add_metric([part], since_us / US_PER_S)
        yield gauge
