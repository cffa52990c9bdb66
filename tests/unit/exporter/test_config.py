"""exporter.yml is checked whole: every mistake at once, each with its place and a sentence."""

from pathlib import Path

import pytest

from exporter.config import Config, load, parse
from exporter.main import main
from exporter.settings import Invalid
from exporter.targets import POSTGRES_PARTS

REPO = Path(__file__).resolve().parents[3]
GOLDEN = REPO / "tests" / "golden" / "exporter"
SHIPPED = REPO / "exporter" / "exporter.yml"

NAME = "must be a name of a-z, 0-9, '_', '.' or '-', at most 63 long"
DURATION = "must be a duration such as 500ms, 2s or 5m"
PROBE_URL = "must be a URL such as http://host:port/path, tcp://host:port or tls://host:port"
UNTERMINATED = "is not a regular expression: missing ), unterminated subpattern at position 0"
FORMATS = "'gzip', 'zstd', 'xz', 'bzip2', 'lz4', 'zip', 'tar', 'pg_dump', 'rdb' or 'age'"
MISTAKES = {
    "module": [
        "modules.m.method: must be one of 'GET', 'HEAD', 'POST', 'PUT' or 'OPTIONS'",
        "modules.m.headers.X Y: must be the name of a header",
        "modules.m.headers.X-Two: must be one line of printable text",
        "modules.m.expected_status.0: must be at most 599",
        f"modules.m.body_matches: {UNTERMINATED}",
        "modules.m.max_body_size: must be a size such as 64KiB or 1MiB, at most 64MiB",
        "modules.m.tls: is not a known key",
        "probes.site.json_values.0: must be a path such as database.pool.size, at most 10 deep",
    ],
    "probe-module": [
        "probes.redis: a tcp or tls probe has no body to look into",
        "probes.site.module: 'nope' is not one of modules",
        "probes.often.interval: must not be shorter than timeout",
    ],
    "tcp-probe": [f"probes.a.url: {PROBE_URL}", f"probes.b.url: {PROBE_URL}"],
    "nginx": ["nginx.nginx.url: must be a URL such as http://host:port/path"],
    "files": [
        "certificates.site.file: must be an absolute path such as /host/backups",
        "certificates.site.service: is required",
        "disks.root.path: must be an absolute path such as /host/backups",
        "backups.a.pattern: must be a pattern below the directory, without '..' and '**'",
        f"backups.a.format: must be one of {FORMATS}",
        "backups.a.verification: must be the name of a file below the directory",
        "backups.b.pattern: must have wildcards in 2 folders at most",
        "textfiles.directory: must be an absolute path such as /host/backups",
    ],
    "host": ["host: must be a name of a-z, 0-9, '_', '.' or '-', at most 63 long"],
    "unknown-key": ["docker.projcts: is not a known key", "probe: is not a known key"],
    "not-yaml": ["line 2: is not YAML: expected ',' or '}', but got '<scalar>'"],
    "not-a-mapping": ["must be a mapping of sections"],
    "doubled-key": ["docker.url: is written twice, again in line 3"],
    "duration": [f"probes.site.timeout: {DURATION}", f"scrape.timeout: {DURATION}"],
    "engine-url": ["docker.url: must be unix:///path or tcp://host:port"],
    "probe-url": [f"probes.site.url: {PROBE_URL}"],
    "name": [
        "redis.Cache Server: must be a name of a-z, 0-9, '_', '.' or '-', at most 63 long",
    ],
    "missing": ["postgres.postgres.database: is required", "postgres.postgres.user: is required"],
    "types": [
        "listen: must be text",
        "redis.redis.port: must be a whole number",
        "probes.site.health_json: must be true or false",
        "colours.backend.one_of: must be a list",
    ],
    "range": [
        "postgres.postgres.top_statements: must be at least 1",
        "redis.redis.host: must not be empty",
        "redis.redis.port: must be at most 65535",
        "colours.backend.one_of: must not be empty",
    ],
    "postgres": [
        "postgres.postgres.statement_texts: must be true or false",
        "postgres.postgres.statement_text_length: must be at least 1",
        "postgres.postgres.application_names: must be a list",
        "postgres.postgres.databases.0: must not be empty",
        "postgres.postgres.databases_limit: must be at least 1",
        "postgres.postgres.tables_limit: must be at least 1",
        f"postgres.postgres.slow_interval: {DURATION}",
        "postgres.postgres.with_parts: 'bloat' is not one of stat_io, process_idle",
        f"postgres.postgres.without_parts: 'tables' is not one of {', '.join(POSTGRES_PARTS)}",
    ],
    "listen": ["listen: must be host:port such as 0.0.0.0:9180"],
    "services-without-docker": [
        "services: need the docker section, which says where to look for them",
        "logs: need the docker section, which names the containers",
    ],
    "service-project": ["services.web.project: 'cor' is not one of docker.projects"],
    "redis": [
        "redis.redis.tls.verify: is not a known key",
        "redis.redis.modules: must be true or false",
        "redis.redis.latency_percentiles: must be true or false",
        "redis.redis.key_groups.groups.odd: must be a glob such as session:*",
        "redis.redis.key_groups.databases.0: must be at most 16383",
        "redis.redis.key_groups.interval: must be at least 10s",
        "redis.redis.key_groups.memory_samples: must be at least 0",
        "redis.empty.key_groups.groups: must not be empty",
    ],
    "celery": [
        "celery.odd.db: must be at least 0",
        "celery.odd.queues: must be a list",
        f"celery.odd.workers.celery@blue: {NAME}",
        "celery.odd.priority_steps: must be priorities from 0 to 9, 0 among them",
        f"celery.late.heartbeat_timeout: {DURATION}",
        "celery.late.prefix: is not a known key",
    ],
    "celery-redis": ["celery.celery.redis: 'cache' is not one of redis"],
    "logs": [
        "logs.ask_engine: must be true or false",
        f"logs.patterns.Upper Case: {NAME}",
        "logs.patterns.short.text: must be at least 3 characters",
        (
            'logs.patterns.escaped.text: must be plain ASCII without ", \\, <, > or &: '
            "the log file escapes them"
        ),
        (
            "logs.patterns.broken.regex: is not a regular expression: missing ), unterminated "
            "subpattern at position 5"
        ),
        "logs.patterns.unknown.flags: is not a known key",
    ],
    "many": [
        "docker: is written twice, again in line 3",
        "listen: must be host:port such as 0.0.0.0:9180",
        "docker.url: is required",
        f"scrape.timeout: {DURATION}",
    ],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place(mistake: str) -> None:
    file = f"invalid-{mistake}.yml"

    with pytest.raises(Invalid) as refused:
        load(GOLDEN / file)

    assert refused.value.errors == [f"{file}: {text}" for text in MISTAKES[mistake]]


def test_every_invalid_file_is_tested() -> None:
    assert {path.stem.removeprefix("invalid-") for path in GOLDEN.glob("invalid-*.yml")} == set(
        MISTAKES
    )


def test_the_shipped_file_is_good_and_watches_the_runbooks_services() -> None:
    targets = load(SHIPPED).targets()

    assert targets.engine is not None
    assert {service.key for service in targets.engine.services} == {
        "postgres",
        "redis",
        "frontend",
        "nginx",
        "backend-blue",
        "backend-green",
        "celery-blue",
        "celery-green",
    }
    assert {probe.name for probe in targets.probes} >= {"site", "nginx", "backend-blue-ready"}
    assert targets.logs is not None


def test_an_empty_mapping_is_a_configuration_with_nothing_to_look_at() -> None:
    config = parse("{}", "exporter.yml")

    assert config == Config()
    assert config.settings().address == ("0.0.0.0", 9180)  # noqa: S104  the documented default


def test_a_configuration_cannot_be_changed() -> None:
    config = parse("{}", "exporter.yml")

    with pytest.raises(ValueError, match="frozen"):
        config.listen = "elsewhere:1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2.0), ("1.5m", 90.0), ("1h", 3600.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse(f"scrape: {{timeout: {text}}}", "f").scrape.timeout == seconds


def test_check_prints_every_mistake_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    status = main([f"--config.file={GOLDEN / 'invalid-missing.yml'}", "--config.check"])

    assert status == 2
    assert capsys.readouterr().err.splitlines() == [
        f"invalid-missing.yml: {text}" for text in MISTAKES["missing"]
    ]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"gone\.yml: cannot be read"):
        load(tmp_path / "gone.yml")
