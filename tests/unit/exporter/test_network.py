"""net/dev as the kernel writes it."""

from exporter.collectors.network import interfaces_of
from exporter.readings import Interface

TEXT = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    1380      19    1    2    0     0          0         0      586       7    3    4    0     0       0          0
 odd: 1 2
"""  # noqa: E501  the kernel's own lines


def test_each_interface_but_the_loopback() -> None:
    assert interfaces_of(TEXT) == (Interface("eth0", (1380, 19, 1, 2), (586, 7, 3, 4)),)


def test_no_interface_is_no_error() -> None:
    assert interfaces_of(b"") == ()
