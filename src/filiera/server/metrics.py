"""Metrics for Prometheus; one registry per server, none global."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest


class Metrics:
    """Counts of requests and predictions."""

    def __init__(self) -> None:
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

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
