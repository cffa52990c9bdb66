"""A journal in a file as if others could open it too: what several share, without a server."""

from typing_extensions import override

from remediator.journal import JournalUnavailable, SqliteDatabase


class SharedFile(SqliteDatabase):
    is_shared = True
    is_broken = False

    @override
    def do(self, name: str, /, **values: object) -> int | None:
        if self.is_broken:
            raise JournalUnavailable("no server")
        return super().do(name, **values)
