"""Tries of passwords get rarer, and nobody is locked out."""

from remediator.web.console.throttle import AT_MOST, FREE, LONGEST, Throttle
from tests.fakes import FakeClock


def fail(throttle: Throttle, *keys: str, times: int = 1) -> list[float]:
    return [throttle.try_one(keys) for _ in range(times)]


def test_the_first_tries_are_free_and_then_each_waits_longer() -> None:
    clock = FakeClock()
    throttle = Throttle(clock)
    assert fail(throttle, "account ann", times=FREE) == [0] * FREE
    waits = []
    for _ in range(9):
        wait = throttle.try_one(["account ann"])
        waits.append(wait)
        clock.wait(wait)
        assert throttle.try_one(["account ann"]) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert waits[-1] == LONGEST.total_seconds()


def test_a_stranger_fills_no_count_of_a_known_browser() -> None:
    throttle = Throttle(FakeClock())
    fail(throttle, "account ann", "address 10.0.0.9", times=50)
    assert throttle.try_one(["account ann", "address 10.0.0.1"]) > 0
    assert throttle.try_one(["device her-browser"]) == 0


def test_an_address_is_counted_whatever_the_name() -> None:
    throttle = Throttle(FakeClock())
    for number in range(FREE):
        assert throttle.try_one([f"account {number}", "address 10.0.0.9"]) == 0
    assert throttle.try_one(["account other", "address 10.0.0.9"]) > 0
    assert throttle.try_one(["account other", "address 10.0.0.1"]) == 0


def test_a_try_that_is_not_let_through_pushes_nobody_out() -> None:
    throttle = Throttle(FakeClock())
    fail(throttle, "account ann", "address 10.0.0.9", times=FREE)
    for number in range(AT_MOST + 1):
        assert throttle.try_one([f"account {number}", "address 10.0.0.9"]) > 0
    assert throttle.try_one(["account ann", "address 10.0.0.1"]) > 0


def test_a_success_and_a_quarter_of_an_hour_forget() -> None:
    clock = FakeClock()
    throttle = Throttle(clock)
    fail(throttle, "a", "b", times=FREE)
    throttle.succeeded(["a", "b"])
    assert throttle.try_one(["a", "b"]) == 0
    fail(throttle, "a", times=FREE)
    clock.wait(901)
    assert fail(throttle, "a", times=FREE) == [0] * FREE


def test_it_remembers_so_many_at_most() -> None:
    throttle = Throttle(FakeClock())
    for number in range(AT_MOST + 100):
        throttle.try_one([f"address {number}"])
    assert len(throttle._tries) == AT_MOST
