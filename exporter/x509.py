"""DER -> Certificate: the eight fields that are exported, and nothing else.

Rule: pure. It reads, it does not verify: whatever is not a certificate is Malformed, and no
input makes it raise anything else (docs/decisions/0005).
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from exporter.readings import Certificate

_SEQUENCE, _SET, _INTEGER, _OID, _OCTETS = 0x30, 0x31, 0x02, 0x06, 0x04
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_COMMON_NAME = bytes((0x55, 0x04, 0x03))
_SUBJECT_ALT_NAME = bytes((0x55, 0x1D, 0x11))
# How a directory string is encoded, by its tag; anything else is read as UTF-8.
_ENCODINGS = {0x14: "latin-1", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
_MOST_NAMES, _LONGEST_SERIAL, _LONGEST_LENGTH = 50, 64, 4
_TIME = re.compile(rb"(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z")
_PEM = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)"
    rb"-----END (?:TRUSTED |X509 )?CERTIFICATE-----"
)


class Malformed(Exception):
    """These bytes are not a certificate."""


@dataclass(frozen=True, slots=True)
class _Item:
    tag: int
    body: bytes


def certificate(der: bytes) -> Certificate:
    """Read one certificate. Bytes after it are ignored. Errors: Malformed only."""
    outer = _first(der, _SEQUENCE)
    fields = _items(_first(outer, _SEQUENCE))
    item = _next(fields)
    serial = _next(fields) if item.tag == _VERSION else item
    if serial.tag != _INTEGER or not 0 < len(serial.body) <= _LONGEST_SERIAL:
        raise Malformed("no serial number")
    _next(fields)  # the signature's algorithm
    issuer, validity, subject = (_expected(_next(fields), _SEQUENCE) for _ in range(3))
    times = _items(validity)
    not_before, not_after = _time(_next(times)), _time(_next(times))
    return Certificate(
        subject_cn=_common_name(subject),
        issuer_cn=_common_name(issuer),
        serial_number=int.from_bytes(serial.body, "big", signed=True),
        not_before=not_before,
        not_after=not_after,
        names=tuple(_alternative_names(fields))[:_MOST_NAMES],
    )


def certificates(content: bytes) -> list[Certificate]:
    """Every certificate of a PEM file, or the one of a DER file. Errors: Malformed."""
    try:
        blocks = [b64decode(match[1]) for match in _PEM.finditer(content)]
    except ValueError as error:
        raise Malformed(f"a PEM block is no base64: {error}") from error
    if not blocks and b"-----BEGIN" in content:
        raise Malformed("no certificate among its PEM blocks")
    return [certificate(block) for block in blocks or [content]]


def _items(data: bytes) -> Iterator[_Item]:
    at = 0
    while at < len(data):
        item, at = _item(data, at)
        yield item


def _item(data: bytes, at: int) -> tuple[_Item, int]:
    """The element at `at`, and where the next one begins."""
    if at + 2 > len(data):
        raise Malformed("ends in the middle of an element")
    tag, length = data[at], data[at + 1]
    at += 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= _LONGEST_LENGTH or at + count > len(data):
            raise Malformed("an element of no definite length")
        length = int.from_bytes(data[at : at + count], "big")
        at += count
    if at + length > len(data):
        raise Malformed("an element is longer than what holds it")
    return _Item(tag, data[at : at + length]), at + length


def _next(items: Iterator[_Item]) -> _Item:
    item = next(items, None)
    if item is None:
        raise Malformed("a field is missing")
    return item


def _first(data: bytes, tag: int) -> bytes:
    return _expected(_item(data, 0)[0], tag)


def _expected(item: _Item, tag: int) -> bytes:
    if item.tag != tag:
        raise Malformed(f"element {item.tag:#04x} where {tag:#04x} is due")
    return item.body


def _time(item: _Item) -> float:
    match = _TIME.fullmatch(item.body)
    digits = {_UTC_TIME: 2, _GENERALIZED_TIME: 4}.get(item.tag, 0)
    if match is None or len(match[1]) != digits:
        raise Malformed("a date in no known form")
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    if item.tag == _UTC_TIME:
        year += 1900 if year >= 50 else 2000  # noqa: PLR2004  RFC 5280, 4.1.2.5.1
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError as error:
        raise Malformed(f"a date that does not exist: {error}") from error


def _common_name(name: bytes) -> str:
    """The last CN, as OpenSSL shows it; empty without one."""
    found = ""
    for group in _items(name):
        for attribute in _items(_expected(group, _SET)):
            parts = _items(_expected(attribute, _SEQUENCE))
            kind, value = _next(parts), _next(parts)
            if kind.tag == _OID and kind.body == _COMMON_NAME:
                found = value.body.decode(_ENCODINGS.get(value.tag, "utf-8"), "replace")
    return found


def _alternative_names(fields: Iterator[_Item]) -> Iterator[str]:
    for field in fields:
        if field.tag != _EXTENSIONS:
            continue
        for extension in _items(_first(field.body, _SEQUENCE)):
            parts = list(_items(_expected(extension, _SEQUENCE)))
            if parts and parts[0].body == _SUBJECT_ALT_NAME and parts[-1].tag == _OCTETS:
                yield from _general_names(parts[-1].body)


def _general_names(data: bytes) -> Iterator[str]:
    for name in _items(_first(data, _SEQUENCE)):
        if name.tag == _DNS_NAME:
            yield name.body.decode("ascii", "replace")
        elif name.tag == _IP_ADDRESS and len(name.body) in {4, 16}:
            yield str(ip_address(name.body))
