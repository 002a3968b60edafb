"""What Prometheus reads at /metrics: requests, refusals, latencies, and what each model's engine does.

    metrics = Metrics({"mini": engine})
    metrics.text()                                     # in Prometheus' text format

Unusual: each service has a registry of its own, so that several can run in one process.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from motionmillion.serve.engine import Engine

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_COUNTERS = {
    "steps": "Decoding steps",
    "rows": "Rows of decoding steps; divided by the steps, the mean size of a batch",
    "motions": "Motions that were made",
    "failures": "Steps that failed and were begun again",
}
_GAUGES = {"waiting": "Motions that wait", "running": "Motions that are being decoded"}


class Metrics:
    """Counters of the service."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "motionmillion_requests", "Requests", ["method", "path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "motionmillion_request_seconds", "Time to answer", ["path"], buckets=_SECONDS, registry=self.registry
        )
        self.first_piece = Histogram(
            "motionmillion_first_piece_seconds",
            "Time to a stream's first frames",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter("motionmillion_refused", "Requests that were refused", ["why"], registry=self.registry)
        self.registry.register(_Engines(engines))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Engines(Collector):
    """Reads the counts of engines when it is asked."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.engines = engines

    def collect(self) -> Iterator[Metric]:
        for name, help in _COUNTERS.items():
            counter = CounterMetricFamily(f"motionmillion_engine_{name}", help, labels=["model"])
            for model, engine in self.engines.items():
                counter.add_metric([model], getattr(engine.counts, name))
            yield counter
        for name, help in _GAUGES.items():
            gauge = GaugeMetricFamily(f"motionmillion_engine_{name}", help, labels=["model"])
            for model, engine in self.engines.items():
                gauge.add_metric([model], getattr(engine.counts, name))
            yield gauge
