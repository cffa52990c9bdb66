"""Post-mortems by their golden files, and as an enemy's log line would have them."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.ports import Check, Done, Transient
from remediator.postmortem import code, fenced, render
from remediator.topology import Target
from tests.builders import DB_DOWN, DOWN, FULL, Loop
from tests.fakes import FakeAction

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "remediator"
URL = "http://remediator/api/v1/incidents/1/postmortem"
HOSTILE = """\
```
````text
# I am a heading
@everyone see https://evil.example/x and #1 and owner/name#2
<!-- --> <script>alert(1)</script> ![x](https://evil.example/y.png) [click](https://e)
\x1b[31mred\x1b[0m \u202eback to front \x00 `tick
~~~
| a | table |
</details>"""


class Evidence(FakeAction):
    """Finds a log that somebody else has written."""

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        return Done(
            f"restarted {HOSTILE}", {"log": HOSTILE, "state": {"exit": 1}, "lines": ["a", "b"]}
        )


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(tmp_path / "state.sqlite")
    yield loop
    loop.close()


def mended(loop: Loop) -> None:
    loop.told(DB_DOWN | {"severity": "P0"})
    loop.pass_seconds(1)
    loop.turn()


def failed(loop: Loop) -> None:
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(FULL | {"severity": "P1"})
    loop.turn()
    loop.alerts.firing.clear()
    loop.pass_seconds(16 * 60)
    loop.turn()


def broken(loop: Loop) -> None:
    def breaks() -> None:
        loop.clock.wait(3)
        raise Transient("the engine does not answer; see that it runs")

    loop.actions["restart"].on_run = breaks
    loop.told(DOWN)
    loop.turn()


def hostile(loop: Loop) -> None:
    loop.actions.by_name["restart"] = Evidence()
    loop.told(DOWN | {"severity": "P2"})
    loop.turn()


def waiting(loop: Loop) -> None:
    loop.told(*(DOWN | {"instance": str(number)} for number in range(600)))
    loop.alerts.data_age_seconds = 100
    loop.turn()


@pytest.mark.parametrize("story", [mended, failed, broken, hostile, waiting])
def test_a_post_mortem_is_as_agreed(
    loop: Loop, story: Callable[[Loop], None], *, golden_update: bool
) -> None:
    story(loop)
    text = render(loop.records.story(1) or {}, URL)
    expected = GOLDEN / f"postmortem-{story.__name__}.md"
    if golden_update:
        expected.write_text(text)
    assert text == expected.read_text()


def outside_of_code(text: str) -> str:
    """What a reader of Markdown takes for Markdown."""
    left, fence = [], None
    for line in text.splitlines():
        mark = re.match(r"`{3,}", line)
        if fence is None and mark and "`" not in line[mark.end() :]:
            fence = mark[0]
        elif fence is None:
            left.append(re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", line))
        elif re.fullmatch(rf"`{{{len(fence)},}}\s*", line):
            fence = None
    assert fence is None, "a fence stays open"
    return "\n".join(left)


def test_nothing_hostile_leaves_its_code(loop: Loop) -> None:
    hostile(loop)
    text = render(loop.records.story(1) or {}, URL)
    outside = outside_of_code(text)
    for word in ("@everyone", "evil.example", "<script>", "I am a heading", "click", "details"):
        assert word in text or word == "details"
        assert word not in outside
    assert not set(text) & set("\x1b\x00\u202e")


@settings(deadline=None)  # on a busy machine
@given(st.text(alphabet="`ab \n~#@<", max_size=40))
def test_code_and_fences_hold_any_text(text: str) -> None:
    for held in (f"x {code(text)} y", "\n".join(["x", *fenced(text), "y"])):
        outside = outside_of_code(held)
        assert outside.replace("\n", "").replace("-", "").split() in (["x", "y"], ["xy"])


@settings(deadline=None)  # on a busy machine
@given(st.integers(min_value=2_500, max_value=20_000))
def test_a_body_fits_into_its_place(room: int) -> None:
    story: dict[str, Any] = json.loads((GOLDEN / "postmortem-story.json").read_text())
    text = render(story, URL, room)
    assert len(text) <= room
    outside_of_code(text)
    assert "## Final status update" in text


def test_a_short_place_names_what_is_left_out(loop: Loop) -> None:
    failed(loop)
    text = render(loop.records.story(1) or {}, URL, 3_000)
    assert f"Too long for this place; it is at {URL}" in text
