"""TLS and basic auth by the web configuration file, with the real process where it matters."""

import base64
import os
import shutil
import ssl
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import bcrypt
import pytest

from exporter.settings import Invalid
from exporter.web.access import Access
from tests.certificates import Authority
from tests.unit.exporter.running import running

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("access") / "ca")


def web_config(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text)
    return path


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_the_real_exporter_asks_for_tls_and_a_password(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.signed("web")
    shutil.copy(pair.certificate, tmp_path / "cert.pem")
    shutil.copy(pair.key, tmp_path / "key.pem")
    tls = "tls_server_config: {cert_file: cert.pem, key_file: key.pem, min_version: TLS13}\n"
    path = web_config(tmp_path, f"{tls}basic_auth_users:\n  prometheus: '{HASH}'\n")
    trust = ssl.create_default_context(cafile=authority.certificate)

    with running(tmp_path, "", f"--web.config.file={path}") as exporter:
        url = exporter.url("/metrics").replace("http:", "https:")
        assert status(url, trust, "") == 401
        assert status(url, trust, basic("prometheus", "wrong")) == 401
        assert status(url, trust, basic("prometheus", PASSWORD)) == 200
        with pytest.raises(OSError, match=r"."):
            status(url.replace("https:", "http:"), trust, "")

        # A renewed certificate needs no restart.
        renewed = authority.signed("web")
        shutil.copy(renewed.key, tmp_path / "key.pem")
        shutil.copy(renewed.certificate, tmp_path / "cert.pem")
        assert serial(exporter.address) == serial_of(renewed.certificate)
        assert status(url, trust, basic("prometheus", PASSWORD)) == 200
    assert "Traceback" not in exporter.log()


def test_headers_go_with_every_answer_over_tls_and_change_without_a_restart(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.signed("web")
    tls = f"tls_server_config: {{cert_file: {pair.certificate}, key_file: {pair.key}}}\n"
    more = "http_server_config: {http2: true, headers: {Strict-Transport-Security: max-age=9}}\n"
    path = web_config(tmp_path, f"{tls}{more}basic_auth_users:\n  prometheus: '{HASH}'\n")
    trust = ssl.create_default_context(cafile=authority.certificate)

    with running(tmp_path, "", f"--web.config.file={path}") as exporter:
        url = exporter.url("/-/healthy").replace("http:", "https:")
        for authorization in ("", basic("prometheus", PASSWORD)):
            found = headers(url, trust, authorization)
            assert found["Strict-Transport-Security"] == "max-age=9"
            assert found.get_all("X-Content-Type-Options") == ["nosniff"]
            assert found["X-Frame-Options"] is None

        words = '{X-Frame-Options: deny, X-Content-Type-Options: nosniff, X-XSS-Protection: ""}'
        web_config(tmp_path, f"{tls}http_server_config: {{http2: false, headers: {words}}}\n")
        found = headers(url, trust, "")
        assert found["X-Frame-Options"] == "deny"
        assert found.get_all("X-Content-Type-Options") == ["nosniff"]
        assert found["X-XSS-Protection"] is found["Strict-Transport-Security"] is None


def headers(url: str, trust: ssl.SSLContext, authorization: str) -> Message:
    request = urllib.request.Request(url, headers={"Authorization": authorization})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as response:  # noqa: S310
            return response.headers  # type: ignore[no-any-return]
    except urllib.error.HTTPError as error:
        with error:
            return error.headers


def serial_of(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


def serial(address: tuple[str, int]) -> bytes:
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(address))


def status(url: str, trust: ssl.SSLContext, authorization: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": authorization})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_without_a_file_everybody_may_ask() -> None:
    assert Access().allows(None)
    assert Access().context() is None


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic !", "Bearer x", basic("a", ""), basic("nobody", PASSWORD),
     basic("a", PASSWORD + "x"), basic("a", "\0"), basic("a", "x" * 200), "Basic \xff",
     basic("", ""), "Basic " + base64.b64encode(b"\xff\xfe:x").decode()],
)  # fmt: skip
def test_who_may_not_ask(tmp_path: Path, authorization: str | None) -> None:
    access = Access(web_config(tmp_path, f"basic_auth_users: {{a: '{HASH}'}}"))

    assert not access.allows(authorization)
    assert access.allows(basic("a", PASSWORD))
    assert not access.allows(authorization)


def test_a_changed_password_counts_at_once_and_a_broken_file_changes_nothing(
    tmp_path: Path,
) -> None:
    path = web_config(tmp_path, f"basic_auth_users: {{a: '{HASH}'}}")
    access = Access(path)
    assert access.allows(basic("a", PASSWORD))

    web_config(tmp_path, "basic_auth_users: [broken")
    assert access.allows(basic("a", PASSWORD))
    assert not access.allows(None)

    path.unlink()
    assert access.allows(basic("a", PASSWORD))

    other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
    web_config(tmp_path, f"basic_auth_users: {{a: '{other}'}}")
    assert not access.allows(basic("a", PASSWORD))
    assert access.allows(basic("a", "other"))


def test_clients_show_a_certificate_where_it_is_required(
    authority: Authority, tmp_path: Path
) -> None:
    pair, client = authority.signed("mutual"), authority.signed("client")
    text = (
        f"tls_server_config: {{cert_file: {pair.certificate}, key_file: {pair.key}, "
        f"client_ca_file: {authority.certificate}, client_auth_type: RequireAndVerifyClientCert}}"
    )
    path = web_config(tmp_path, text)
    trust = ssl.create_default_context(cafile=authority.certificate)
    with running(tmp_path, "", f"--web.config.file={path}") as exporter:
        url = exporter.url("/-/healthy").replace("http:", "https:")
        with pytest.raises(OSError, match=r"."):
            status(url, trust, "")
        trust.load_cert_chain(client.certificate, client.key)
        assert status(url, trust, "") == 200
    assert "Traceback" not in exporter.log()


TLS = "web.yml: tls_server_config"
HEADERS = (
    "'Content-Security-Policy', 'Strict-Transport-Security', 'X-Content-Type-Options', "
    "'X-Frame-Options' or 'X-XSS-Protection'"
)
AUTH_TYPES = "'NoClientCert', 'VerifyClientCertIfGiven' or 'RequireAndVerifyClientCert'"
MISTAKES = {
    "basic_auth_users: {a: secret}": [
        "web.yml: basic_auth_users.a: must be a bcrypt hash, as `htpasswd -nBC 10 NAME` makes it"
    ],
    "tls_server_config: {cert_file: a, tls: b}": [
        "web.yml: tls_server_config.key_file: is required",
        "web.yml: tls_server_config.tls: is not a known key",
    ],
    "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert}": [
        f"{TLS}.client_auth_type: must be one of {AUTH_TYPES}"
    ],
    "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c, min_version: TLS13, "
    "max_version: TLS12}": [
        f"{TLS}.client_ca_file: goes with a client_auth_type that verifies, and only then",
        "web.yml: tls_server_config.min_version: is above max_version",
    ],
    "http_server_config: {headers: {Server: me}}": [
        f"web.yml: http_server_config.headers.Server: must be one of {HEADERS}"
    ],
    "http_server_config: {headers: {X-Frame-Options: allow}}": [
        "web.yml: http_server_config.headers: X-Frame-Options must be one of deny, sameorigin"
    ],
    'http_server_config: {http2: 1, headers: {X-XSS-Protection: "0\\r\\nSet-Cookie: a"}}': [
        "web.yml: http_server_config.http2: must be true or false",
        "web.yml: http_server_config.headers.X-XSS-Protection: must be printable ASCII in one line",
    ],
    "tls_server_config: {cert_file: gone, key_file: gone}": [
        f"web.yml: tls_server_config: certificate, key or authority: [Errno 2] {os.strerror(2)}"
    ],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_at_the_start_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Access(web_config(tmp_path, text))

    assert refused.value.errors == MISTAKES[text]
