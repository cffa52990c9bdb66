"""The whole stack under names and ports of its own, once for the session, removed at the end."""

import socket
from collections.abc import Iterator

import pytest

from demo import monitoring, stack
from demo.engine import ensure_compose, ensure_engine
from demo.faults import until, watching
from demo.images import ensure_images
from demo.world import STATE, Ports, World


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    world = World("stackmedic-e2e", Ports(*free_ports(7)))
    engine = ensure_engine(STATE)
    compose = ensure_compose(STATE)
    images = ensure_images(engine, print)
    monitoring.down(world, compose)  # what an interrupted earlier run may have left
    stack.down(world, compose)
    try:
        stack.up(world, compose, images, print)
        monitoring.up(world, compose, images, engine.data_root)
        until(lambda: watching(world), "Prometheus to see the exporter and the remediator")
        yield world
    finally:
        monitoring.down(world, compose)
        stack.down(world, compose)
