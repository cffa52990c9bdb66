"""The command that prints a line of the accounts file."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from remediator.main import main
from remediator.web.console.accounts import Accounts, Role


def run(name: str, password: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["console-password", name, *options], input=f"{password}\n")


def test_what_it_prints_is_an_account(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yml"
    printed = [
        run("ann", "a long enough word", "--role", "operator"),
        run("null", "a long enough word"),  # a name that YAML takes for something else
        run("ann", "another long word", "--role", "operator"),
    ]
    file.write_text("".join(result.stdout for result in printed))
    accounts = Accounts(file)
    found = accounts.check("ann", "another long word")
    assert found is not None, "the last line of a name counts"
    assert found.role is Role.OPERATOR
    assert accounts.check("ann", "a long enough word") is None
    assert accounts.check("null", "a long enough word") is not None


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("ann", "short", "at least 12 characters"),
        ("ann: {", "a long enough word", "a name is of letters"),
        ("", "a long enough word", "a name is of letters"),
    ],
)
def test_what_would_be_no_account_is_refused(name: str, password: str, said: str) -> None:
    result = run(name, password)
    assert result.exit_code == 1
    assert said in result.output
    assert not result.stdout
