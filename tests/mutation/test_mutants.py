"""Changed rules are noticed: every mutant that survives is one that nobody could tell apart.

A sample by default; `make mutants` plays them all.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import promql_parser as promql
import pytest

from tests.mutation.mutants import Mutant, Suite, mutants_of, name_of, read, rules_of

ALERT_RULES = Path(__file__).resolve().parents[2] / "alert_rules"
FILES = sorted(path.stem for path in (ALERT_RULES / "rules").glob("*.yml"))
KILLED_AT_LEAST = 0.95
THREADS = 2

pytestmark = pytest.mark.timeout(7200)


class Stage:
    """The rules and tests of one file, and promtool."""

    def __init__(self, promtool: str, file: str) -> None:
        self._promtool = promtool
        self.rules = read(ALERT_RULES / "rules" / f"{file}.yml")
        self._tests = read(ALERT_RULES / "tests" / f"{file}.yml")
        self.mutants = list(mutants_of(file, self.rules))

    def notices(self, mutant: Mutant) -> bool:
        with TemporaryDirectory() as folder:
            tests = Suite(self._promtool, Path(folder), self.rules, self._tests)
            return tests.notice(mutant)


@pytest.fixture(scope="session")
def stages(tool: object) -> dict[str, Stage]:
    assert callable(tool)
    return {file: Stage(tool("promtool"), file) for file in FILES}


def test_what_is_not_changed_is_not_noticed(stages: dict[str, Stage]) -> None:
    """Otherwise a mutant would be killed for nothing."""
    for file, stage in stages.items():
        for rule in list(rules_of(stage.rules))[::5]:
            assert not stage.notices(Mutant(file, name_of(rule), "nothing", stage.rules))


def test_a_changed_rule_is_a_rule(stages: dict[str, Stage]) -> None:
    """A mutant that cannot be read would be killed for nothing, too."""
    for stage in stages.values():
        for mutant in stage.mutants:
            for rule in rules_of(mutant.whole):
                if name_of(rule) == mutant.rule:
                    promql.parse(rule["expr"])


def test_a_changed_rule_is_noticed(stages: dict[str, Stage], one_mutant_in: int) -> None:
    chosen = [
        (stage, mutant) for stage in stages.values() for mutant in stage.mutants[::one_mutant_in]
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        noticed = list(pool.map(lambda pair: pair[0].notices(pair[1]), chosen))
    survivors = [str(mutant) for (_, mutant), seen in zip(chosen, noticed, strict=True) if not seen]

    said = f"{len(chosen) - len(survivors)} of {len(chosen)} mutants are killed"
    print("\n".join([said, *survivors]))  # noqa: T201 - `make mutants` shows it
    assert len(survivors) <= (1 - KILLED_AT_LEAST) * len(chosen), survivors
