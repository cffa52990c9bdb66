"""The certificate reader: agrees with openssl, and no bytes make it raise anything else."""

import calendar
import subprocess
import time
from base64 import encodebytes
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.readings import Certificate
from exporter.x509 import Malformed, certificate, certificates
from tests.certificates import Authority, der_certificate

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
moments = st.integers(-62135596800, 253402300799).map(float)  # the years 1 to 9999
told = st.builds(
    Certificate,
    subject_cn=texts,
    issuer_cn=texts,
    serial_number=st.integers(-(2**160), 2**160),
    not_before=moments,
    not_after=moments,
    names=st.lists(st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,10})?", fullmatch=True), max_size=5).map(
        tuple
    ),
)


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % encodebytes(der)


@given(told)
def test_what_is_written_is_read(expected: Certificate) -> None:
    der = der_certificate(expected)

    assert certificate(der) == expected
    assert certificates(pem(der) + b"junk\n" + pem(der)) == [expected, expected]


GOOD = der_certificate(Certificate("site", "authority", 7, 1.6e9, 1.8e9))


@given(st.binary(max_size=500))
@example(b"\x30\x84\xff\xff\xff\xff")
@example(b"\x30\x80\x00\x00")
@example(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----")
@example(b"-----BEGIN PRIVATE KEY-----")
def test_any_bytes_are_a_certificate_or_malformed(content: bytes) -> None:
    for read in (certificate, certificates):
        with suppress(Malformed):
            read(content)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_damaged_certificate_is_read_or_malformed(place: int, byte: int) -> None:
    with suppress(Malformed):
        certificate(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])


@given(st.integers(0, len(GOOD) - 1))
def test_a_certificate_that_ends_early_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        certificate(GOOD[:length])


def test_it_agrees_with_openssl(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "ca").signed("site", names="DNS:a.example,IP:10.0.0.1,IP:::1")
    told = subprocess.run(
        ["openssl", "x509", "-in", pair.certificate, "-noout", "-serial", "-dates"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    lines = dict(line.split("=", 1) for line in told.splitlines())

    (seen,) = certificates(pair.certificate.read_bytes())

    assert (seen.subject_cn, seen.issuer_cn) == ("site", "Test Authority")
    assert seen.serial_number == int(lines["serial"], 16)
    assert seen.not_before == openssl_time(lines["notBefore"])
    assert seen.not_after == openssl_time(lines["notAfter"])
    assert seen.names == ("a.example", "10.0.0.1", "::1")


def openssl_time(text: str) -> float:
    return calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT"))
