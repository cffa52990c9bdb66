"""A plain dump is taken apart as the server would, and nothing foreign is let through."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.database import sqldump
from remediator.actions.database.sqldump import BadDump, Dump, is_copy

END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n"


def statements(text: bytes) -> list[bytes]:
    return list(Dump(io.BytesIO(text + END)).statements())


def refusal(text: bytes, end: bytes = END) -> str:
    with pytest.raises(BadDump) as caught:
        list(Dump(io.BytesIO(text + end)).statements())
    return str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        b"CREATE TABLE t (a text DEFAULT 'x;y'::text);",
        b"CREATE TABLE t (a text DEFAULT 'it''s;');",
        b"CREATE TABLE t (a text DEFAULT E'\\';\\\\');",
        b"CREATE TABLE t (a text DEFAULT E'''\\';');",
        b'CREATE TABLE "a;""b" (a int);',
        b"CREATE TABLE t (typename'x;' int);",
        b"CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; -- $x$ ' \n $$ LANGUAGE sql;",
        b"CREATE FUNCTION f() RETURNS int AS $_1$ SELECT $$;$$; $_1$ LANGUAGE sql;",
        b"CREATE FUNCTION f() LANGUAGE sql\n BEGIN ATOMIC\n SELECT CASE WHEN a THEN 1 END;\nEND;",
        b"CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;",
        b"CREATE VIEW v AS SELECT CASE WHEN true THEN 1 ELSE 2 END AS begin_at;",
        b"CREATE RULE r AS ON UPDATE TO t DO INSTEAD (SELECT 1; SELECT 2);",
        b"CREATE TABLE t (a$b int, c int DEFAULT 1);",
        b"SET standard_conforming_strings = on;",
        b"SELECT pg_catalog.set_config('search_path', '', false);",
        b"SELECT pg_catalog.setval('public.t_id_seq', 42, true);",
        b"INSERT INTO public.t VALUES ('a;b'), (E'c\\\\;');",
        b"GRANT SELECT ON TABLE public.t TO reader;",
        b"CREATE USER MAPPING FOR app SERVER other;",
        b"ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
        b"DROP TABLE IF EXISTS public.t;",
    ],
)
def test_a_statement_of_a_dump_comes_out_whole(statement: bytes) -> None:
    around = b"CREATE TABLE first (a int);\n--\n-- Name: x; Type: TABLE -- it's\n--\n\n"
    found = statements(around + statement + b" DROP TABLE last;\n")
    assert found == [b"CREATE TABLE first (a int);", statement, b"DROP TABLE last;"]


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_whatever_stands_in_quotes_is_never_a_statement(values: list[str]) -> None:
    quoted = ["E'" + v.replace("\\", "\\\\").replace("'", "''") + "'" for v in values]
    quoted += ["'" + v.replace("'", "''") + "'" for v in values]
    quoted += [f"$q${v}$q$" for v in values if "$q$" not in v + "$"]
    statement = b"INSERT INTO t VALUES (%s);\n" % ", ".join(quoted).encode(errors="surrogatepass")
    assert statements(statement + b"DROP TABLE t;\n") == [statement.strip(), b"DROP TABLE t;"]


def test_without_standard_strings_a_backslash_escapes_everywhere() -> None:
    text = b"SET standard_conforming_strings = off;\nINSERT INTO t VALUES ('\\';');\n"
    assert len(statements(text)) == 2


def test_rows_are_given_as_they_are_up_to_their_mark() -> None:
    rows = b"1\tit's; $$ -- \\N\n2\t\\\\.\n" * 50_000
    text = b"COPY public.t (a, b) FROM stdin;\n" + rows + b"\\.\n\nDROP TABLE t;\n"
    dump, found, chunks = Dump(io.BytesIO(text + END)), [], []
    for statement in dump.statements():
        found.append(statement)
        if is_copy(statement):
            chunks = list(dump.rows())
    assert found == [b"COPY public.t (a, b) FROM stdin;", b"DROP TABLE t;"]
    assert b"".join(chunks) == rows
    assert max(map(len, chunks)) < 2 * sqldump._ROWS_BYTES
    assert statements(text) == found  # also when nobody asks for the rows


def test_a_row_longer_than_a_portion_keeps_its_dot() -> None:
    row = b"x" * (sqldump._ROWS_BYTES) + b"\\.\n"
    dump = Dump(io.BytesIO(b"COPY t (a) FROM stdin;\n" + row + b"\\.\n" + END))
    assert [b"".join(dump.rows()) for _ in dump.statements()] == [row]


@pytest.mark.parametrize(
    "text",
    [
        b"\\! id\n",
        b"  \\i /etc/passwd\n",
        b"CREATE TABLE t (a int) \\g |id\n",
        b"\\connect other\n",
        b"\\restrictx\n",
    ],
)
def test_a_command_of_psql_is_refused(text: bytes) -> None:
    assert "holds a command of psql" in refusal(text)


def test_the_two_commands_of_newer_dumps_are_passed_over() -> None:
    text = b"\\restrict aBc123\n\nDROP TABLE t;\n" + END + b"\\unrestrict aBc123\n"
    assert list(Dump(io.BytesIO(text)).statements()) == [b"DROP TABLE t;"]


@pytest.mark.parametrize(
    "statement",
    [
        *("CREATE DATABASE x;", "drop database x;", "ALTER DATABASE x RENAME TO y;"),
        *("CREATE ROLE x;", "ALTER USER x SUPERUSER;", "DROP GROUP x;", "GRANT admin TO x;"),
        *("CREATE TABLESPACE x LOCATION '/';", "ALTER SYSTEM SET x = 1;", "LOAD 'x';"),
        *("CREATE SUBSCRIPTION x CONNECTION '' PUBLICATION y;", "SET ROLE x;", "RESET ROLE;"),
        *("SET SESSION AUTHORIZATION x;", "SET LOCAL ROLE x;", 'SET "role" = x;'),
        *("SELECT pg_catalog.set_config('role', 'x', false);", "SELECT f();", "CALL p();"),
        *("DO $$ BEGIN END $$;", "COPY t FROM PROGRAM 'id';", "COPY t TO '/x';", "VACUUM;"),
        *("DELETE FROM t;", "UPDATE t SET a = 1;", "WITH x AS (SELECT 1) SELECT 1;", ";"),
        *("CREATE OR REPLACE LANGUAGE x;", "GRANT ALL ON DATABASE x TO y;", "EXECUTE x;"),
    ],
)
def test_a_statement_that_reaches_beyond_the_database_is_refused(statement: str) -> None:
    assert "holds what no dump of one database does" in refusal(statement.encode() + b"\n")


def test_a_copy_with_something_behind_it_is_no_copy() -> None:
    assert not is_copy(b"COPY t FROM stdin; DROP TABLE t; COPY t FROM stdin;")
    assert not is_copy(b"COPY t FROM PROGRAM 'id' FROM stdin")


@pytest.mark.parametrize(
    ("text", "end", "words"),
    [
        (b"DROP TABLE t;\n", b"", "before pg_dump's last line"),
        (b"", b"", "before pg_dump's last line"),
        (b"CREATE TABLE t (a", b"", "in the middle of a statement"),
        (b"INSERT INTO t VALUES ('a", b"", "in the middle of a statement"),
        (b"CREATE FUNCTION f() AS $x$ begin", b"", "in the middle of a statement"),
        (b"COPY t (a) FROM stdin;\n1\n2", b"", "in the middle of the rows"),
        (b"COPY t (a) FROM stdin;\n", END, "in the middle of the rows"),
        (b"DROP /* x */ TABLE t;\n", END, "comment, which no pg_dump writes"),
    ],
)
def test_what_was_cut_off_is_no_dump(text: bytes, end: bytes, words: str) -> None:
    assert words in refusal(text, end)


class Endless:
    """More of the same, for ever."""

    def __init__(self, line: bytes) -> None:
        self.line = line

    def readline(self, size: int, /) -> bytes:
        return self.line[:size]


@pytest.mark.parametrize("line", [b"x" * sqldump.LONGEST_LINE, b"x" * 1024 * 1024 + b"\n"])
def test_a_line_or_a_statement_without_end_is_given_up(line: bytes) -> None:
    with pytest.raises(BadDump, match="of more than"):
        list(Dump(Endless(line)).statements())
