"""install_certificate against a real nginx: what is served changes, or is as it was before."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.actions.certificate_pair import BadPair, judge, read_pair
from remediator.ports import Action, Effect, Permanent, Ready, Refused, Transient
from remediator.topology import CertificatePlace, Target
from tests.certificates import Authority, Pair
from tests.integration.edge_containers import (
    DOCKER_URL,
    NGINX_IMAGE,
    action,
    container,
    docker,
    engine_proxy,
    free_port,
    needs_docker,
    now,
    until,
)

pytestmark = [pytest.mark.integration, needs_docker]

NAMES = "DNS:piano.test,DNS:*.piano.test"
CONFIG = """
worker_processes 1;
events { }
http {
  access_log off;
  server {
    listen 443 ssl;
    ssl_certificate /etc/nginx/ssl/cert.pem;
    ssl_certificate_key /etc/nginx/ssl/key.pem;
    location / { return 200 "ok"; }
  }
}
"""
PINNED = CONFIG.replace("/etc/nginx/ssl/", "/etc/nginx/pinned/")


@dataclass(frozen=True)
class Site:
    target: Target
    place: CertificatePlace
    config: Path
    container: str

    def renew(self, pair: Pair) -> None:
        shutil.copy(pair.certificate, self.place.source_cert)
        shutil.copy(pair.key, self.place.source_key)

    def install(self, docker_url: str = DOCKER_URL) -> Action:
        return action("install_certificate", {}, docker_url=docker_url)

    def with_place(self, **changes: str | int | tuple[str, ...]) -> Target:
        return replace(self.target, certificate=replace(self.place, **changes))  # type: ignore[arg-type]

    def in_place(self) -> tuple[bytes, bytes]:
        return Path(self.place.cert).read_bytes(), Path(self.place.key).read_bytes()


def served(place: CertificatePlace) -> str:
    try:
        return ssl.get_server_certificate((place.served_host, place.served_port), timeout=3)
    except OSError as error:
        return repr(error)


def first(pair: Pair) -> str:
    return pair.certificate.read_text()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca")


@pytest.fixture(scope="module")
def pairs(authority: Authority) -> dict[str, Pair]:
    def made(name: str, days: float, names: str = NAMES, begins: float = -1) -> Pair:
        begin, end = timedelta(days=begins), timedelta(days=days)
        return authority.signed(name, names=names, begins=begin, ends=end)

    return {
        "old": made("old", 5),
        "new": made("new", 25),
        "older": made("older", 3),
        "expired": made("expired", -0.5, begins=-2),
        "future": made("future", 30, begins=1),
        "other": made("other", 25, names="DNS:other.test"),
    }


@pytest.fixture
def site(tmp_path: Path, pairs: dict[str, Pair]) -> Iterator[Site]:
    for folder in ("ssl", "renewed", "pinned"):
        (tmp_path / folder).mkdir()
    for folder in ("ssl", "pinned"):
        shutil.copy(pairs["old"].certificate, tmp_path / folder / "cert.pem")
        shutil.copy(pairs["old"].key, tmp_path / folder / "key.pem")
    (tmp_path / "ssl" / "key.pem").chmod(0o640)
    config = tmp_path / "nginx.conf"
    config.write_text(CONFIG)
    port = free_port()
    mounts = {config: "/etc/nginx/nginx.conf"}
    mounts |= {tmp_path / name: f"/etc/nginx/{name}" for name in ("ssl", "pinned")}
    options = ["-p", f"127.0.0.1:{port}:443"]
    options += [word for here, there in mounts.items() for word in ("-v", f"{here}:{there}:ro")]
    with container(NGINX_IMAGE, "nginx", "-g", "daemon off;", options=options) as name:
        place = CertificatePlace(
            source_cert=str(tmp_path / "renewed" / "fullchain.pem"),
            source_key=str(tmp_path / "renewed" / "privkey.pem"),
            cert=str(tmp_path / "ssl" / "cert.pem"),
            key=str(tmp_path / "ssl" / "key.pem"),
            names=("piano.test", "www.piano.test"),
            nginx_container=name,
            served_host="127.0.0.1",
            served_port=port,
        )
        found = Site(Target("nginx", "edge", certificate=place), place, config, name)
        until(lambda: served(place) == first(pairs["old"]), what="nginx serves the old one")
        found.renew(pairs["new"])
        yield found


def test_the_renewed_pair_is_served_and_the_old_one_is_kept(
    site: Site, pairs: dict[str, Pair]
) -> None:
    before, intended_at = site.in_place(), now()
    install = site.install()
    assert install.precheck(site.target) == Ready()
    assert install.probe(site.target, intended_at=intended_at) is Effect.NOT_DONE
    done = install.run(site.target, timeout_seconds=60)
    assert served(site.place) == first(pairs["new"])
    assert set(done.evidence) == {"not_after", "not_after_before"}
    folder = Path(site.place.cert).parent
    kept = tuple((folder / f"{name}.old").read_bytes() for name in ("cert.pem", "key.pem"))
    assert kept == before
    assert {p.name for p in folder.iterdir()} == {
        *("cert.pem", "key.pem", "cert.pem.old", "key.pem.old")
    }
    assert [(folder / f).stat().st_mode & 0o777 for f in ("key.pem", "key.pem.old")] == [0o640] * 2
    assert install.probe(site.target, intended_at=intended_at) is Effect.DONE
    refused = install.precheck(site.target)
    assert isinstance(refused, Refused)
    assert "serves the newest certificate already" in refused.detail


def test_it_works_through_the_filtering_proxy_and_with_certbots_links(
    site: Site, pairs: dict[str, Pair], tmp_path: Path
) -> None:
    for name in (site.place.source_cert, site.place.source_key):
        Path(name).rename(f"{name}.1")
        Path(name).symlink_to(f"{name}.1")
    with engine_proxy(tmp_path, nginx_container=site.container) as url:
        site.install(url).run(site.target, timeout_seconds=60)
    assert served(site.place) == first(pairs["new"])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expired", "certificate has expired"),
        ("future", "certificate is not yet valid"),
        ("other", "Hostname mismatch, certificate is not valid for 'piano.test'"),
        ("older", "before the one in place"),
    ],
)
def test_a_pair_that_is_no_better_is_refused(
    site: Site, pairs: dict[str, Pair], kind: str, words: str
) -> None:
    site.renew(pairs[kind])
    before = site.in_place()
    refused = site.install().precheck(site.target)
    assert isinstance(refused, Refused)
    assert words in refused.detail
    with pytest.raises(Permanent, match=words):
        site.install().run(site.target, timeout_seconds=60)
    assert site.in_place() == before
    assert site.install().probe(site.target, intended_at=now()) is Effect.UNKNOWN


def test_the_key_of_another_certificate_is_refused(site: Site, pairs: dict[str, Pair]) -> None:
    shutil.copy(pairs["other"].key, site.place.source_key)
    refused = site.install().precheck(site.target)
    assert isinstance(refused, Refused)
    assert "the key is not the certificate's" in refused.detail


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is no certificate in the file"),
        (b"x" * 65_537, "larger than 65536 bytes"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            r"OpenSSL refuses it|cannot be read",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\n\xff\xfe\n-----END CERTIFICATE-----\n",
            "cannot be read",
        ),
    ],
    ids=["empty", "huge", "not DER", "not base64"],
)
def test_what_is_no_certificate_is_permanent(site: Site, content: bytes, words: str) -> None:
    Path(site.place.source_cert).write_bytes(content)
    with pytest.raises(Permanent, match=words):
        site.install().run(site.target, timeout_seconds=60)


def test_a_pipe_or_a_missing_file_is_permanent_and_blocks_nobody(site: Site) -> None:
    Path(site.place.source_key).unlink()
    with pytest.raises(Permanent, match="cannot read"):
        site.install().run(site.target, timeout_seconds=60)
    os.mkfifo(site.place.source_key)
    with pytest.raises(Permanent, match="no regular file"):
        site.install().run(site.target, timeout_seconds=60)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(
    site: Site, tmp_path: Path
) -> None:
    key = Path(site.place.source_key)
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-aes128", "-passout", "pass:hunter2", "-in", key, "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copy(locked, key)
    with pytest.raises(Permanent, match="OpenSSL refuses it"):
        site.install().run(site.target, timeout_seconds=60)


def test_a_link_in_place_is_left_to_whoever_made_it(site: Site) -> None:
    cert = Path(site.place.cert)
    cert.rename(f"{cert}.real")
    cert.symlink_to(f"{cert}.real")
    with pytest.raises(Permanent, match="is a link"):
        site.install().run(site.target, timeout_seconds=60)
    assert cert.is_symlink()


def test_a_configuration_that_nginx_refuses_brings_the_old_pair_back(
    site: Site, pairs: dict[str, Pair]
) -> None:
    site.config.write_text(CONFIG + "nonsense;\n")
    before = site.in_place()
    with pytest.raises(Permanent, match=r'unknown directive "nonsense".*the old pair is back'):
        site.install().run(site.target, timeout_seconds=60)
    assert site.in_place() == before
    assert served(site.place) == first(pairs["old"])


def test_a_pair_that_nginx_does_not_serve_is_taken_back(site: Site, pairs: dict[str, Pair]) -> None:
    site.config.write_text(PINNED)
    before = site.in_place()
    with pytest.raises(Permanent, match=r"does not serve the new certificate.*pair is back"):
        site.install().run(site.target, timeout_seconds=14)
    assert site.in_place() == before
    assert served(site.place) == first(pairs["old"])


@pytest.mark.parametrize("written", ["key.pem", "both"])
def test_after_a_crash_between_the_files_it_is_done_once_more(
    site: Site, pairs: dict[str, Pair], written: str
) -> None:
    intended_at = now()
    shutil.copy(pairs["new"].key, site.place.key)
    if written == "both":
        shutil.copy(pairs["new"].certificate, site.place.cert)
    install = site.install()
    assert install.probe(site.target, intended_at=intended_at) is Effect.NOT_DONE
    assert install.precheck(site.target) == Ready()
    install.run(site.target, timeout_seconds=60)
    assert served(site.place) == first(pairs["new"])
    # A half pair is not worth keeping: what a person kept before is not overwritten by it.
    assert Path(f"{site.place.cert}.old").exists() is (written == "both")


def test_without_the_engine_or_nginx_nothing_changes(site: Site) -> None:
    before = site.in_place()
    with pytest.raises(Permanent, match="the old pair is back"):
        site.install("tcp://127.0.0.1:9").run(site.target, timeout_seconds=60)
    assert site.in_place() == before
    docker("stop", "-t", "1", site.container)
    with pytest.raises(Transient, match="see that nginx runs"):
        site.install().precheck(site.target)
    assert site.install().probe(site.target, intended_at=now()) is Effect.UNKNOWN


def test_a_server_that_never_says_a_word_is_transient(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        there = site.with_place(served_port=deaf.getsockname()[1])
        with pytest.raises(Transient):
            site.install().precheck(there)


def test_a_timeout_without_room_to_undo_touches_nothing(site: Site) -> None:
    before = site.in_place()
    with pytest.raises(Permanent, match="to be able to undo it"):
        site.install().run(site.target, timeout_seconds=10)
    assert site.in_place() == before


def test_a_judged_pair_tells_when_it_ends(pairs: dict[str, Pair]) -> None:
    pair = pairs["new"]
    judged = judge(read_pair(str(pair.certificate), str(pair.key)), ("a.piano.test",))
    assert timedelta(days=24) < judged.not_after - now() < timedelta(days=26)
    assert "BEGIN" not in repr(read_pair(str(pair.certificate), str(pair.key)))
    with pytest.raises(BadPair, match="Hostname mismatch"):
        judge(read_pair(str(pair.certificate), str(pair.key)), ("piano.test", "a.b.piano.test"))
