"""The sections for what lies on the host's disks: certificates, disks, backups, textfiles.

Rule: as `exporter/config_schema.py`; each section also says which target it makes.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from exporter.config_schema import Name, Seconds, Section, Text
from exporter.targets import BackupFolder, CertificateFile, Disk, TextfileFolder

_MOST_WILDCARDS = 2


def _absolute(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("must be an absolute path such as /host/backups")
    return str(path)


def _pattern(value: str) -> str:
    path = PurePosixPath(value)
    wild = [part for part in path.parts if set(part) & set("*?[")]
    if path.is_absolute() or ".." in path.parts or "**" in value:
        raise ValueError("must be a pattern below the directory, without '..' and '**'")
    if len(wild) > _MOST_WILDCARDS:
        raise ValueError(f"must have wildcards in {_MOST_WILDCARDS} folders at most")
    return value


def _name_below(value: str) -> str:
    if _pattern(value) != value or set(value) & set("*?["):
        raise ValueError("must be the name of a file below the directory")
    return value


Path = Annotated[Text, AfterValidator(_absolute)]


class CertificateSection(Section):
    file: Path
    """The PEM file."""
    service: Name
    """The service that uses it."""

    def target(self) -> CertificateFile:
        return CertificateFile(self.service, self.file)


class DiskSection(Section):
    path: Path
    """Any path on the file system, as the exporter sees it."""
    mountpoint: Path | None = None
    """What the label mountpoint says, where the host's path is another."""

    def target(self) -> Disk:
        return Disk(self.path, self.mountpoint or self.path)


class BackupSection(Section):
    service: Name
    """The service whose backups they are."""
    directory: Path
    """Where the files are."""
    pattern: Annotated[Text, AfterValidator(_pattern)]
    """Which file names are backups, such as *.sql.gz."""
    max_age: Seconds
    """The newest may be this old; a rule compares it."""
    min_bytes: Annotated[int, Field(ge=0)] = 1
    """A smaller file is no backup."""
    format: (
        Literal["gzip", "zstd", "xz", "bzip2", "lz4", "zip", "tar", "pg_dump", "rdb", "age"] | None
    ) = None
    """The magic bytes that a file must begin with."""
    verification: Annotated[Text, AfterValidator(_name_below)] | None = None
    """A file beside them that is touched after each successful test restore."""
    verification_max_age: Seconds = 35 * 86400.0
    """The last test restore may be this long ago."""
    settle: Seconds = 60.0
    """A file that changed within this time is still being written."""
    check_every: Seconds = 60.0
    """The folder is read this often."""

    def target(self, name: str) -> BackupFolder:
        return BackupFolder(name, **dict(self))


class TextfilesSection(Section):
    directory: Path
    """Where the files are."""

    def target(self) -> TextfileFolder:
        return TextfileFolder(self.directory)
