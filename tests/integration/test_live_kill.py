"""kill -9 of the real remediator that works on real containers, at any moment.

What was done is counted by the containers themselves: each writes a line when it starts.
"""

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.edge_containers import needs_docker
from tests.integration.live_remediator import (
    RESTART,
    RESTART_DB,
    Stage,
    a_remediator,
    a_stage,
    impatient,
)

pytestmark = [pytest.mark.integration, needs_docker]

MORTAL = str(Path(__file__).with_name("mortal.py"))
AT_ONCE = 6  # remediators side by side: each mostly waits
GOES_WELL = (
    *("incident_opened", "run_claimed", "run_executing", "step_ended", "run_verifying"),
    *("run_effective", "incident_closed"),
)
"""The kinds of events of a run that goes well, in order; a test compares them."""


@dataclass(frozen=True)
class Death:
    """Where it dies: at which write, before or after its commit, about what kind of service.

    `db` has a step that is never repeated, `web` one that is if it was not done.
    """

    kind: str
    when: str
    service: str = "db"
    mendable: bool = True

    def __str__(self) -> str:
        return f"{self.service}-{self.when}-{self.kind}"


@dataclass(frozen=True)
class After:
    """What was found when all had come to rest after it."""

    restarts: int
    states: list[str]
    intents: int
    escalations: int
    paged: bool


NEVER = [Death(kind, when) for kind in GOES_WELL for when in ("before", "after")]
AGAIN = [
    Death("run_executing", "after", "web"),
    Death("step_ended", "before", "web"),
    Death("step_ended", "after", "web"),
]
IN_VAIN = [
    Death(kind, when, mendable=False)
    for kind in ("run_ineffective", "escalated")
    for when in ("before", "after")
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="module")
def after(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> dict[Death, After]:
    def die(death: Death) -> After:
        return died(stage, tmp_path_factory.mktemp(str(death)), death)

    deaths = [*NEVER, *AGAIN, *IN_VAIN]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(deaths, pool.map(die, deaths), strict=True))


def died(stage: Stage, folder: Path, death: Death) -> After:
    """Run it until it has killed itself there, then the real one on the same journal."""
    repeated = RESTART if death.service == "web" else RESTART_DB
    # What was cut off before the act is verified in vain: that need not take long.
    in_vain = not death.mendable or (death.kind, death.when) == ("run_executing", "after")
    runbook = impatient(repeated) if in_vain and death.service == "db" else repeated
    with (
        stage.world.service(death.service) as service,
        a_remediator(stage, folder, [service], runbooks=[runbook]) as remediator,
    ):
        dying = remediator.start((sys.executable, MORTAL, death.kind, death.when, service))
        if death.mendable:
            stage.world.break_(service)
        else:
            stage.world.forced[service] = False
        remediator.until(lambda: dying.poll() is not None, f"it dies: {death}")
        assert dying.returncode == -signal.SIGKILL, remediator.said()
        remediator.start()
        remediator.until(
            lambda: remediator.is_over(service) and not remediator.left_open(),
            f"all rests after {death}",
        )
        return After(
            restarts=stage.world.starts(service) - 1,
            states=remediator.runs(service),
            intents=len(remediator.rows("SELECT * FROM steps")),
            escalations=len(remediator.rows("SELECT * FROM escalations")),
            paged=remediator.is_paged(service),
        )


@pytest.mark.parametrize("death", NEVER, ids=str)
def test_a_death_at_a_write_never_repeats_a_never_step_and_loses_no_run(
    after: dict[Death, After], death: Death
) -> None:
    found = after[death]
    assert found.intents == 1
    if (death.kind, death.when) == ("run_executing", "after"):
        # Intended and not done, and it may not be done a second time.
        assert (found.restarts, found.states, found.paged) == (0, ["ineffective"], True)
    else:
        assert (found.restarts, found.states[-1], found.paged) == (1, "effective", False)
        assert set(found.states[:-1]) <= {"cancelled"}


@pytest.mark.parametrize("death", AGAIN, ids=str)
def test_a_step_that_may_be_repeated_is_done_when_it_was_not(
    after: dict[Death, After], death: Death
) -> None:
    found = after[death]
    assert (found.restarts, found.states, found.paged) == (1, ["effective"], False)


@pytest.mark.parametrize("death", IN_VAIN, ids=str)
def test_a_death_at_the_end_of_what_helped_nothing_still_calls_a_human_once(
    after: dict[Death, After], death: Death
) -> None:
    found = after[death]
    assert (found.restarts, found.states) == (1, ["ineffective"])
    assert (found.intents, found.escalations, found.paged) == (1, 1, True)


def test_the_writes_of_a_run_are_those_that_it_dies_at(stage: Stage, tmp_path: Path) -> None:
    with (
        stage.world.service() as web,
        a_remediator(stage, tmp_path, [web], runbooks=[RESTART]) as remediator,
    ):
        remediator.start()
        stage.world.break_(web)
        remediator.until(lambda: remediator.rests(web), "it is mended")
        kinds = [kind for (kind,) in remediator.rows("SELECT kind FROM events ORDER BY id")]
    # Told of by whoever comes first, and blocked until Alertmanager holds the alert.
    beside = {"alert_firing", "alert_resolved", "run_blocked"}
    assert [kind for kind in kinds if kind not in beside] == list(GOES_WELL)
