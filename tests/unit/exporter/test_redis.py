"""What the Redis and Celery collectors decide without a server."""

import base64
import json
import threading

import pytest

from exporter.collectors.celery import list_of, oldest_of
from exporter.collectors.celery_hearts import Event, Hearts, channels_of, event_of
from exporter.collectors.celery_queues import queues_of
from exporter.collectors.port import Clocks
from exporter.collectors.redis import histograms_of, slowest_of, spikes_of
from exporter.collectors.redis_scan import BURST_SECONDS, Pace
from exporter.collectors.redis_wire import Refused, unreachable
from exporter.config import parse
from exporter.families import celery, redis
from exporter.families.metric import Families, families_of
from exporter.families.redis_info import FIELDS
from exporter.globs import classifier, escaped
from exporter.readings import Cause, LatencyHistogram, LatencySpike, Redis, Unreachable
from exporter.settings import Invalid
from exporter.targets import CeleryBroker, CeleryWorker, RedisServer

SERVER = RedisServer("redis", "redis", 6379)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def by_name(families: Families) -> dict[str, dict[tuple[str, ...], float]]:
    return {f.metric.name + f.suffix: dict(f.samples) for f in families_of(families)}


@pytest.mark.parametrize(
    ("glob", "key", "fits"),
    [
        ("temp:*", b"temp:1", True),
        ("temp:*", b"temp", False),
        ("temp:*", b"temp:\n\xff", True),
        ("a?c", b"abc", True),
        ("a[bc]d", b"acd", True),
        ("a[^b]d", b"abd", False),
        ("a[b-d]e", b"ace", True),
        (r"a\*", b"a*", True),
        (r"a\*", b"ab", False),
        ("a[b", b"a[b", True),
        ("a.c", b"abc", False),
        ("*" * 50 + "x", b"a" * 4000, False),
    ],
)
def test_globs_are_read_as_redis_reads_them(glob: str, key: bytes, fits: bool) -> None:  # noqa: FBT001
    assert classifier((glob,))(key) == int(fits)


def test_the_first_glob_that_fits_has_the_key() -> None:
    group = classifier(("session:*", "*:cache", "*"))

    assert [group(k) for k in (b"session:cache", b"x:cache", b"x", b"y" * 5000)] == [1, 2, 3, 0]


def test_an_escaped_text_fits_itself_alone() -> None:
    assert classifier((escaped("a*[b]?\\"),))(b"a*[b]?\\") == 1
    assert classifier((escaped("a*"),))(b"ab") == 0


def test_a_walk_steps_shorter_when_a_step_was_long_and_rests_nine_times_as_long() -> None:
    pace = Pace(count=512)

    rest = pace.rest_after(2 * BURST_SECONDS)

    assert pace.count == 256
    assert rest == pytest.approx(18 * BURST_SECONDS)
    for _ in range(20):
        pace.rest_after(1.0)
    assert pace.count == 16
    for _ in range(20):
        pace.rest_after(0.0001)
    assert pace.count == 1024


def test_answers_in_another_shape_are_not_believed() -> None:
    assert slowest_of([]) == (0, 0.0)
    assert slowest_of([[7, 1700000000, 250000, [b"SAVE"], b"1.1.1.1:1", b""]]) == (7, 0.25)
    assert slowest_of(Refused("NOPERM")) == (None, None)
    assert spikes_of([[b"command", 1700000000, 500, 900], b"odd"]) == {
        "command": LatencySpike(1700000000, 0.5)
    }
    assert histograms_of([b"get", [b"calls", 5, b"histogram_usec", [1, 3, 33, 5]], b"odd"]) == {
        "get": LatencyHistogram(5, ((1, 3), (33, 5)))
    }
    assert histograms_of([b"get", [b"calls", 5, b"histogram_usec", [33, 3, 1, 5]]]) == {}
    assert histograms_of(Refused("ERR unknown subcommand")) == {}


@pytest.mark.parametrize(
    ("text", "cause", "for_good"),
    [
        ("NOAUTH Authentication required.", Cause.AUTH, False),
        ("WRONGPASS invalid username-password pair", Cause.AUTH, False),
        ("NOPERM User x has no permissions to run the 'info' command", Cause.AUTH, True),
        ("ERR unknown command 'INFO'", Cause.REFUSED, True),
        ("BUSY Redis is busy running a script", Cause.REFUSED, False),
    ],
)
def test_why_redis_cannot_be_read(text: str, cause: Cause, for_good: bool) -> None:  # noqa: FBT001
    refused = Refused(text)

    assert unreachable(SERVER, refused).cause is cause
    assert refused.for_good is for_good


def test_the_names_are_redis_exporters() -> None:
    names = {metric.name for metrics in FIELDS.values() for metric in metrics}

    assert len(names) > 230
    assert names >= {
        "redis_memory_max_bytes",
        "redis_mem_not_counted_for_eviction_bytes",
        "redis_config_maxclients",
        "redis_max_clients",
        "redis_evicted_keys_total",
        "redis_replica_resyncs_full",
        "redis_acl_access_denied_auth_total",
        "redis_total_system_memory_bytes",
    }


def test_a_failure_is_told_in_words_of_a_closed_list() -> None:
    found = by_name(redis.families(SERVER, Unreachable(Cause.TIMEOUT, "10.0.0.1: no answer")))

    assert found == {
        "redis_up": {("redis",): 0},
        "redis_exporter_last_scrape_error": {("redis", "timeout"): 1},
    }


def test_errors_past_the_cap_and_odd_ones_are_summed_up() -> None:
    info = {f"errorstat_E{number:03}": "count=1" for number in range(100)}
    info['errorstat_odd " name'] = "count=5"

    errors = by_name(redis.families(SERVER, Redis(info)))["redis_errors_total"]

    assert len(errors) == 65
    assert errors["redis", "other"] == 36 + 5
    assert sum(errors.values()) == 105


def test_quantiles_are_ratios() -> None:
    server = RedisServer("redis", "redis", 6379, latency_percentiles=True)
    info = {
        "cmdstat_get": "calls=5,usec=100,usec_per_call=20.00",
        "latency_percentiles_usec_get": "p50=1.003,p99=9.023,p99.9=20.095",
    }
    found = by_name(redis.families(server, Redis(info)))

    assert found["redis_latency_percentiles_usec"] == {
        ("redis", "get", "0.5"): 1.003,
        ("redis", "get", "0.99"): 9.023,
        ("redis", "get", "0.999"): 20.095,
    }
    assert found["redis_latency_percentiles_usec_count"] == {("redis", "get", ""): 5}
    assert "redis_latency_percentiles_usec" not in by_name(redis.families(SERVER, Redis(info)))


def test_a_server_from_before_6_2_has_no_rejected_calls() -> None:
    info = {"cmdstat_get": "calls=5,usec=100,usec_per_call=20.00"}

    found = by_name(redis.families(SERVER, Redis(info)))

    assert found["redis_commands_total"] == {("redis", "get"): 5}
    assert found["redis_commands_rejected_calls_total"] == {}


BROKER = CeleryBroker("celery", SERVER, db=1, workers=(CeleryWorker("celery@blue", "celery-blue"),))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def hearts(time: Time) -> Hearts:
    return Hearts(BROKER, Clocks(time, time))


def up(hearts: Hearts) -> dict[str, bool | None]:
    return {worker.hostname: worker.up for worker in hearts.workers()}


def test_nothing_is_said_of_a_worker_until_one_listened_long_enough(
    hearts: Hearts, time: Time
) -> None:
    assert up(hearts) == {"celery@blue": None}
    hearts.listening(time())
    time.now += 29
    assert up(hearts) == {"celery@blue": None}
    time.now += 2
    assert up(hearts) == {"celery@blue": False}


def test_a_heartbeat_counts_for_the_timeout_and_is_then_missed(hearts: Hearts, time: Time) -> None:
    hearts.listening(time())
    time.now += 60
    hearts.hear(Event("celery@blue", active=2))
    assert up(hearts) == {"celery@blue": True}
    time.now += 31
    (worker,) = hearts.workers()
    assert (worker.up, worker.last_heartbeat, worker.service) == (False, 1060.0, "celery-blue")


def test_a_gap_in_listening_is_not_held_against_a_worker(hearts: Hearts, time: Time) -> None:
    hearts.listening(time())
    hearts.hear(Event("celery@blue"))
    hearts.listening(None)
    time.now += 300
    assert up(hearts) == {"celery@blue": None}
    hearts.listening(time())
    time.now += 10
    assert up(hearts) == {"celery@blue": None}


def test_a_worker_that_says_goodbye_is_down_at_once(hearts: Hearts, time: Time) -> None:
    hearts.hear(Event("celery@blue", offline=True))
    assert up(hearts) == {"celery@blue": False}
    hearts.hear(Event("celery@blue"))
    assert up(hearts) == {"celery@blue": True}


def test_strangers_are_forgotten_and_never_too_many(hearts: Hearts, time: Time) -> None:
    for number in range(250):
        hearts.hear(Event(f"celery@{number}"))
    assert len(hearts.workers()) == 201
    assert hearts.folded == 50
    hearts.hear(Event("celery@blue"))
    assert up(hearts)["celery@blue"] is True
    time.now += 601
    assert up(hearts).keys() == {"celery@blue"}


def message(channel: bytes, body: object, content_type: str = "application/json") -> list[object]:
    envelope = {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-type": content_type,
        "headers": {"hostname": "celery@head"},
        "properties": {"body_encoding": "base64"},
    }
    return [b"message", channel, json.dumps(envelope).encode()]


def test_events_are_read_from_kombus_envelope() -> None:
    beat = message(b"/1.celeryev/worker.heartbeat", {"hostname": "celery@blue", "active": 1})
    bye = message(b"/1.celeryev/worker.offline", {"hostname": "celery@blue"})
    pickled = message(b"/1.celeryev/worker.heartbeat", {}, "application/x-python-serialize")

    assert event_of(beat) == Event("celery@blue", active=1)  # type: ignore[arg-type]
    assert event_of(bye) == Event("celery@blue", offline=True)  # type: ignore[arg-type]
    assert event_of(pickled) == Event("celery@head")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"headers": {"hostname": 3}}', b"\xff", b'"text"']
)
def test_what_is_no_event_is_passed_over(text: bytes) -> None:
    assert event_of([b"message", b"/1.celeryev/worker.heartbeat", text]) is None
    assert event_of([b"subscribe", b"/1.celeryev/worker.heartbeat", 1]) is None


def test_channels_of_old_and_new_kombu() -> None:
    assert "/1.celeryev/worker.heartbeat" in channels_of(BROKER)
    assert "/{db}.celeryev/worker.heartbeat" in channels_of(BROKER)


def test_queues_of_one_client_are_not_listed() -> None:
    assert queues_of("celery", [b"celery\x06\x16\x06\x16celery", b"k\x06\x16\x06\x16mail"]) == {
        "celery",
        "mail",
    }
    assert queues_of("celery.pidbox", [b"\x06\x16\x06\x16celery@blue.celery.pidbox"]) == set()
    assert queues_of("celeryev", [b"worker.#\x06\x16\x06\x16celeryev.1234"]) == set()
    assert queues_of("news", [b"\x06\x16\x06\x16bcast.1234"]) == set()


def test_keys_as_kombu_writes_them() -> None:
    assert [list_of("mail", step) for step in (0, 3)] == ["mail", "mail\x06\x163"]
    assert oldest_of([b"tag", b"1795480089.5"]) == 1795480089.5
    assert oldest_of([]) is None


def test_a_broker_that_is_away_says_nothing_of_its_workers() -> None:
    assert celery.families(BROKER, Unreachable(Cause.CONNECT)) == []


def test_a_configuration_of_everything() -> None:
    targets = parse(
        """
redis:
  redis:
    host: redis
    tls: {ca_file: /ca.pem, server_name: redis.example}
    key_groups: {groups: {temp: "temp:*", rest: "*"}, databases: [0, 1], memory_samples: 100}
celery:
  celery: {redis: redis, db: 1, queues: [mail], workers: {celery@blue: celery-blue}}
""",
        "f",
    ).targets()

    (server,) = targets.redis_servers
    (broker,) = targets.celery_brokers
    assert server.tls is not None
    assert server.key_groups is not None
    assert server.key_groups.groups == (("temp", "temp:*"), ("rest", "*"))
    assert broker.server == server
    assert (broker.db, broker.queues) == (1, ("mail",))
    assert broker.workers == (CeleryWorker("celery@blue", "celery-blue"),)


def test_a_broker_needs_a_redis_that_is_configured() -> None:
    with pytest.raises(Invalid, match="'cache' is not one of redis"):
        parse("celery: {celery: {redis: cache}}", "f")


def test_threads_of_a_collector_that_never_ran_can_be_closed(hearts: Hearts) -> None:
    before = threading.active_count()
    hearts.close()
    assert threading.active_count() == before
