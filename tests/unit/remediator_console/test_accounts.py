"""Names, roles and hashed passwords from a file that changes under the console."""

from pathlib import Path

import pytest

from remediator.web.console.accounts import Accounts, BadAccounts, Role, hashed, read_accounts

ANN = hashed("her word")  # a tenth of a second each
BOB = hashed("his word")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "accounts.yml"
    write(file, f"ann: {{role: operator, password: '{ANN}'}}\n")
    return file


def write(file: Path, text: str) -> None:
    beside = file.with_name("new")
    beside.write_text(text)
    beside.replace(file)


def test_a_password_is_right_for_its_account_only(file: Path) -> None:
    accounts = Accounts(file)
    found = accounts.check("ann", "her word")
    assert found is not None
    assert (found.name, found.role) == ("ann", Role.OPERATOR)
    assert accounts.check("ann", "his word") is None
    assert accounts.check("ann", "") is None
    assert accounts.check("bob", "her word") is None
    assert accounts.check("", "") is None


def test_whoever_is_taken_out_is_out_and_a_new_password_is_a_new_mark(file: Path) -> None:
    accounts = Accounts(file)
    before = accounts.find("ann")
    write(
        file, f"ann: {{role: viewer, password: '{BOB}'}}\nbob: {{role: viewer, password: '{BOB}'}}"
    )
    after = accounts.find("ann")
    assert before is not None
    assert after is not None
    assert (after.role, after.mark != before.mark) == (Role.VIEWER, True)
    assert accounts.find("bob") is not None
    write(file, "{}\n")
    assert accounts.find("ann") is None
    assert accounts.check("ann", "his word") is None


def test_a_file_that_cannot_be_used_changes_nothing_and_is_told(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = Accounts(file)
    write(file, "ann: {role: chief, password: secret}\n")
    assert accounts.find("ann") is not None
    assert "the accounts stay as they were" in caplog.text
    assert "secret" not in caplog.text
    file.unlink()
    assert accounts.find("ann") is not None
    assert len(caplog.records) == 2, "told once for each change"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[]", "the file"),
        ("ann: {role: chief, password: 'x'}", "ann.role"),
        ("ann: {role: viewer}", "ann.password"),
        ("ann: {role: viewer, password: secret}", "ann.password"),
        (f"ann: {{role: viewer, password: '{ANN}', admin: true}}", "ann.admin"),
        (f"ann: {{role: viewer, password: '{ANN.replace('32768', '3')}'}}", "ann.password"),
        (f"'an n': {{role: viewer, password: '{ANN}'}}", "an n"),
        ("ann: {", "is not YAML"),
    ],
)
def test_a_mistake_is_named_without_what_was_written(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "accounts.yml"
    file.write_text(text)
    with pytest.raises(BadAccounts) as caught:
        read_accounts(file)
    assert place in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadAccounts, match="cannot be read: No such file"):
        Accounts(tmp_path / "nothing")
