"""Families to bytes: our encoder beside prometheus_client, which Python exporters use.

The samples are made anew for each round, as a scrape does; making them is not counted.
"""

import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as PeerMetric
from prometheus_client.registry import Collector
from typing_extensions import override

from bench.rows import Row, at_most, median
from exporter.exposition import Encoder
from exporter.families.metric import Family, gauge

SAMPLES = 10_000
FAMILIES = 20
LABELS = ("name", "image", "project", "service")
PEER = "prometheus_client"


def run(quick: bool) -> list[Row]:
    rounds = 5 if quick else 15
    encoder = Encoder()
    encoder.encode(families(0))  # the first scrape learns the label text; the peer never does
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Peer())
    ours, peers, gzips, peer_gzips = [], [], [], []
    for number in range(1, rounds + 1):
        ours.append(cpu(partial(encoder.encode, families(number))))
        peers.append(cpu(lambda: generate_latest(registry)))
    body = encoder.encode(families(0)).body
    for _ in range(rounds):
        gzips.append(cpu(lambda: zlib.compress(body, 1)))
        peer_gzips.append(cpu(lambda: zlib.compress(body, 9)))
    micro = 1e6 / SAMPLES
    return [
        Row(
            f"exposition, {SAMPLES:,} samples with 4 labels: CPU a sample",
            median(ours) * micro,
            "us",
            median(peers) * micro,
            PEER,
            at_most(1),
        ),
        Row(
            "gzip of that body: level 1 beside prometheus_client's level 9",
            median(gzips) * 1e3,
            "ms",
            median(peer_gzips) * 1e3,
            PEER,
        ),
    ]


def rows(number: int) -> Iterable[tuple[int, list[tuple[tuple[str, ...], float]]]]:
    """(family, samples) with new tuples each time, as collectors make them."""
    each = SAMPLES // FAMILIES
    for family in range(FAMILIES):
        yield (
            family,
            [
                (
                    (f"backend-{i}", "registry/app:1", f"project-{i % 7}", f"service-{i % 40}"),
                    i * 1.25 + number if family % 2 else i * 4096 + number,
                )
                for i in range(each)
            ],
        )


def families(number: int) -> list[Family]:
    return [
        gauge(f"container_figure_{family}_bytes", "A figure.", LABELS).family(samples)
        for family, samples in rows(number)
    ]


class Peer(Collector):
    """A custom collector, the way prometheus_client's documentation writes an exporter."""

    @override
    def collect(self) -> Iterable[PeerMetric]:
        for family, samples in rows(1):
            metric = GaugeMetricFamily(
                f"container_figure_{family}_bytes", "A figure.", labels=list(LABELS)
            )
            for values, number in samples:
                metric.add_metric(values, number)
            yield metric


def cpu(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
