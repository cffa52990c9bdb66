"""The remediator's web application on a real journal, without a socket."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.test import TestResponse

from remediator.config_console import ConsoleSection
from remediator.metrics import BreakerGauges, RunGauges
from remediator.policy import Policy
from remediator.watchdog import Watchdog
from remediator.web import Parts, create_app
from remediator.web.console.opening import open_gate
from tests.builders import Loop, a_desk, a_policy
from tests.shared_file import SharedFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from remediator.oncall import Rota

TOKEN = "correct-horse"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
HOOK = "/webhook/alertmanager"
MAX_BODY = 1024 * 1024


class Site:
    """The application on a real journal; `woken` counts how often the worker was, by `on_wake`.

    `shared_as`: this one's name on a journal that others share.
    """

    def __init__(
        self,
        path: Path,
        policy: Policy | None = None,
        console: ConsoleSection | None = None,
        *,
        has_rota: bool = False,
        shared_as: str = "",
    ) -> None:
        shared: dict[str, Any] = {"name": shared_as, "connect": SharedFile} if shared_as else {}
        self.loop = Loop(path, policy=policy or a_policy(), **shared)
        self.woken = 0
        self.on_wake: Callable[[], None] = lambda: None
        self.late = False
        self.rota: Rota | None = None
        self.watchdog = Watchdog("Watchdog", timedelta(minutes=5), self.loop.clock())
        self.loop.metrics.watch(lambda: self.watchdog.seen_at)
        self.loop.metrics.registry.register(RunGauges(self.loop.records, self.loop.policy.topology))
        past = lambda: self.loop.runs.past(self.loop.clock())  # noqa: E731
        self.loop.metrics.registry.register(BreakerGauges(self.loop.policy, past))
        self.desk = a_desk(
            self.loop, wake=self.wake, late=lambda: self.late, watchdog=self.watchdog
        )
        self.client: FlaskClient = create_app(
            Parts(
                desk=self.desk,
                token=TOKEN.encode(),
                max_body_bytes=MAX_BODY,
                intake=self.loop.intake,
                external_url="http://remediator/",
                console=open_gate(console, path, "http://remediator/", self.loop.clock),
                on_call=(lambda: self.rota) if has_rota else None,
            )
        ).test_client()

    def wake(self) -> None:
        self.woken += 1
        self.on_wake()

    def hook(self, body: Any, headers: dict[str, str] = AUTH) -> TestResponse:  # noqa: ANN401 - JSON; never changed
        return self.client.post(HOOK, json=body, headers=headers)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.loop.metrics.registry.get_sample_value(name, labels)
