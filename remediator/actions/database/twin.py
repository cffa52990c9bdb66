"""A new database that is like another in everything that a dump does not carry.

Rule: only names of our own form are dropped: `<database>_restore_<8 hex digits>`.
"""

import re

from psycopg import sql

from remediator.actions.database.session import Connection, Login, connected
from remediator.topology import PostgresAddress

_LIKE = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba), datconnlimit
FROM pg_database WHERE datname = %s
"""
_PROVIDER = """
SELECT datlocprovider FROM pg_database
WHERE datname = %s AND current_setting('server_version_num')::int >= 150000
"""
_SETTINGS = """
SELECT r.rolname, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL unnest(s.setconfig) AS c
WHERE d.datname = %s
"""
_GRANTS = """
SELECT r.rolname, a.privilege_type, a.is_grantable
FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) AS a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.datname = %s
"""
_PRIVILEGES = frozenset({"CONNECT", "CREATE", "TEMPORARY"})


def name_of(database: str, token: str) -> str:
    return f"{database}_restore_{token}"


def against(control: Connection, database: str) -> str | None:
    """Why no twin of it can be made, for a human."""
    if _version(control) < 15:  # noqa: PLR2004 - the first with a provider of its own
        return None
    row = control.execute(_PROVIDER, [database]).fetchone()
    if row is None or row[0] == "c":
        return None
    return "its collation is not the C library's; restore it by hand into a database like it"


def make(control: Connection, address: PostgresAddress, name: str) -> None:
    row = control.execute(_LIKE, [address.database]).fetchone()
    if row is None:
        raise LookupError(address.database)  # the pre-check has seen it a moment ago
    encoding, collate, ctype, owner, limit = row
    control.execute(
        sql.SQL(
            "CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {} "
            "CONNECTION LIMIT {}"
        ).format(
            sql.Identifier(name),
            sql.Identifier(owner),
            *(sql.Literal(value) for value in (encoding, collate, ctype, limit)),
        )
    )


def copy_settings(address: PostgresAddress, name: str) -> None:
    """ALTER DATABASE ... SET and the grants of the old one, for the new one.

    FROM CURRENT, because a list such as search_path cannot be written as one literal.
    """
    with connected(address, login=Login(name)) as connection:
        for role, setting, value in connection.execute(_SETTINGS, [address.database]).fetchall():
            connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
            whose = sql.SQL("ALTER DATABASE {}").format(sql.Identifier(name))
            if role is not None:
                whose = sql.SQL("ALTER ROLE {} IN DATABASE {}").format(
                    sql.Identifier(role), sql.Identifier(name)
                )
            setting_name = sql.Identifier(*setting.split("."))
            connection.execute(sql.SQL("{} SET {} FROM CURRENT").format(whose, setting_name))
        _copy_grants(connection, address.database, name)


def _copy_grants(connection: Connection, database: str, name: str) -> None:
    grants = connection.execute(_GRANTS, [database]).fetchall()
    if not grants:
        return  # the defaults, as the new one has them
    connection.execute(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
    )
    for role, privilege, is_grantable in grants:
        if privilege not in _PRIVILEGES:
            continue
        connection.execute(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(privilege),
                sql.Identifier(name),
                sql.SQL("PUBLIC") if role is None else sql.Identifier(role),
                sql.SQL(" WITH GRANT OPTION" if is_grantable and role else ""),
            )
        )


def drop_leftovers(control: Connection, database: str) -> None:
    form = f"^{re.escape(database)}_restore_[0-9a-f]{{8}}$"
    for (name,) in control.execute(
        "SELECT datname FROM pg_database WHERE datname ~ %s", [form]
    ).fetchall():
        control.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def _version(control: Connection) -> int:
    return control.info.server_version // 10000
