import os
from pathlib import Path

import pytest

from demo.engine import _our_pid, stop_engine


def test_without_a_pidfile_no_engine_is_ours(tmp_path: Path) -> None:
    assert _our_pid(tmp_path) is None


@pytest.mark.parametrize("content", ["", "none", "999999999"])
def test_a_pidfile_that_leads_nowhere_means_no_engine(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    assert _our_pid(tmp_path) is None


def test_another_process_under_the_stored_number_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    assert _our_pid(tmp_path) is None


def test_stopping_where_nothing_was_started_does_nothing(tmp_path: Path) -> None:
    stop_engine(tmp_path)
    assert not list(tmp_path.iterdir())


def test_stopping_removes_what_an_engine_that_is_gone_left_behind(tmp_path: Path) -> None:
    (tmp_path / "engine" / "data").mkdir(parents=True)
    (tmp_path / "images.env").touch()
    stop_engine(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["images.env"]
