"""Who may open the console: names, roles and hashed passwords, from one file.

Rule: the file is read again when it changes, so that whoever is taken out of it is out; what
cannot be used is told in the log and changes nothing.
"""

import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from werkzeug.security import check_password_hash, generate_password_hash

from remediator.config_values import Section

METHOD = "scrypt:32768:8:1"  # 32 MB and a tenth of a second for each try
BUSY_SECONDS = 0.5

log = logging.getLogger(__name__)


class Role(StrEnum):
    VIEWER = "viewer"  # sees all of it
    OPERATOR = "operator"  # and orders


class AccountSection(Section):
    """One account of the accounts file; the key is its name."""

    role: Annotated[Role, Field(strict=False)]
    """viewer sees all of it; operator also orders."""
    password: Annotated[str, Field(pattern=rf"^{METHOD}\$[^$]+\$[0-9a-f]{{128}}$")]
    """The hash that `stackmedic-remediator console-password` prints."""


NAME = r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
_FILE = TypeAdapter(dict[Name, AccountSection])


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    role: Role
    mark: str
    """Changes with the password, so that a session ends with it."""


class Busy(Exception):
    """Another password is being checked; to check many side by side would cost the memory."""


class BadAccounts(ValueError):
    """The accounts file cannot be used. The message says where; `keys` lead to the first place."""

    def __init__(self, sentence: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.keys = keys


def hashed(password: str) -> str:
    return generate_password_hash(password, METHOD)


def read_accounts(path: Path) -> Mapping[str, AccountSection]:
    """Errors: BadAccounts."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _FILE.validate_python({} if found is None else found)
    except OSError as error:
        raise BadAccounts(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadAccounts(f"{path} is not YAML") from error  # its text may hold a password
    except ValidationError as error:
        places = {".".join(map(str, item["loc"])) or "the file" for item in error.errors()}
        raise BadAccounts(
            f"{path}: wrong at {', '.join(sorted(places))}; an account is "
            "`name: {role: viewer or operator, password: what console-password printed}`",
            tuple(map(str, error.errors()[0]["loc"])),
        ) from None


class Accounts:
    def __init__(self, path: Path) -> None:
        """Errors: BadAccounts."""
        self._path = path
        self._seen = self._stamp()
        self._known = read_accounts(path)
        self._lock = threading.Lock()
        self._nobody = hashed(secrets.token_hex())

    def find(self, name: str) -> Account | None:
        self._reread()
        section = self._known.get(name)
        if section is None:
            return None
        mark = sha256(section.password.encode()).hexdigest()[:16]
        return Account(name, section.role, mark)

    def check(self, name: str, password: str) -> Account | None:
        """None: no such account, or not its password; both take the same time. Errors: Busy."""
        account = self.find(name)
        known = self._known.get(name) if account else None
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise Busy
        try:
            right = check_password_hash(known.password if known else self._nobody, password)
        finally:
            self._lock.release()
        return account if right else None

    def _reread(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._known = read_accounts(self._path)
        except BadAccounts as error:
            log.error("the accounts stay as they were: %s", error)  # noqa: TRY400 - a sentence
        else:
            log.info("the accounts were read again: %d", len(self._known))

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
