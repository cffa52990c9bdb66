"""Certificates for tests: real ones by openssl, and DER written byte by byte for properties."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exporter.readings import Certificate

_CA = """[ca]
default_ca = d
[d]
dir = .
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = p
unique_subject = no
copy_extensions = copy
[p]
commonName = supplied
[req]
distinguished_name = n
[n]
"""


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "ca.cnf").write_text(_CA)
        (folder / "index.txt").touch()
        (folder / "serial").write_text("0abc\n")
        self._openssl(
            *("req", "-x509", "-config", "ca.cnf", "-subj", "/CN=Test Authority"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-days", "30"),
            *_key("ca.key"),
            *("-out", "ca.pem"),
        )
        self.certificate = folder / "ca.pem"

    def signed(
        self,
        name: str,
        *,
        names: str = "IP:127.0.0.1",
        begins: timedelta = timedelta(days=-1),
        ends: timedelta = timedelta(days=10),
    ) -> Pair:
        """A certificate made out to `names`, valid from and to so long from now."""
        request = ("req", "-new", "-config", "ca.cnf", "-subj", f"/CN={name}")
        self._openssl(
            *request,
            *("-addext", f"subjectAltName={names}"),
            *_key(f"{name}.key"),
            *("-out", f"{name}.csr"),
        )
        now = datetime.now(UTC)
        times = [(now + offset).strftime("%Y%m%d%H%M%SZ") for offset in (begins, ends)]
        self._openssl(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem"),
            *("-keyfile", "ca.key", "-in", f"{name}.csr", "-out", f"{name}.pem"),
            *("-startdate", times[0], "-enddate", times[1]),
        )
        return Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def self_signed(self, name: str) -> Pair:
        self._openssl(
            *("req", "-x509", "-config", "ca.cnf", "-subj", f"/CN={name}", "-days", "10"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *_key(f"{name}.key"),
            *("-out", f"{name}.pem"),
        )
        return Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def _key(file: str) -> tuple[str, ...]:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    return (*curve, "-nodes", "-keyout", file)


def der(tag: int, *parts: bytes) -> bytes:
    """One element of DER."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(body).to_bytes(size, "big") + body


def der_name(common_name: str) -> bytes:
    value = der(0x0C, common_name.encode("utf-8"))
    return der(0x30, der(0x31, der(0x30, der(0x06, b"\x55\x04\x03"), value)))


def der_certificate(told: Certificate) -> bytes:
    """A certificate with no key and no signature worth the name, but of the right form."""
    serial = told.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
    times = [_der_time(seconds) for seconds in (told.not_before, told.not_after)]
    alternative = der(0x30, *(der(0x82, name.encode("ascii")) for name in told.names))
    extension = der(0x30, der(0x06, b"\x55\x1d\x11"), der(0x04, alternative))
    body = der(
        0x30,
        der(0xA0, der(0x02, b"\x02")),
        der(0x02, number),
        der(0x30, der(0x06, b"\x2a")),
        der_name(told.issuer_cn),
        der(0x30, *times),
        der_name(told.subject_cn),
        der(0x30),
        der(0xA3, der(0x30, extension)),
    )
    return der(0x30, body, der(0x30), der(0x03, b"\0"))


def _der_time(seconds: float) -> bytes:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return der(0x18, moment.strftime("%Y%m%d%H%M%SZ").rjust(15, "0").encode())
