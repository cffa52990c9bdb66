"""Prometheus as the remediator asks it: which alerts fire, how fresh is that, and values.

Rule: every way of not getting a good answer is Transient. The age of the data is the
server's own, so that no difference of clocks between the machines counts.
"""

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import httpx
import pydantic

from remediator.alerts import MINOR, OWN_WORDS
from remediator.ports import AlertState, FiringAlert, Transient

_TIMEOUT_SECONDS = 3.0
# What the exporter asks over the network; one or two that fail are as likely down themselves.
_LOOKS = ("nginx_up", "pg_up", "probe_success", "redis_up")
_LEAST_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


class _Alert(pydantic.BaseModel):
    labels: dict[str, str]
    state: str
    activeAt: pydantic.AwareDatetime  # noqa: N815 - Prometheus' name


class _Alerts(pydantic.BaseModel):
    alerts: list[_Alert]


class _Series(pydantic.BaseModel):
    metric: dict[str, str]
    value: tuple[float, float]  # time and value; the value comes as text, also NaN and +Inf


class _Vector(pydantic.BaseModel):
    resultType: Literal["vector"]  # noqa: N815
    result: list[_Series]


class _Scalar(pydantic.BaseModel):
    resultType: Literal["scalar"]  # noqa: N815
    result: tuple[float, float]


class _Result(pydantic.RootModel[_Vector | _Scalar]):
    root: Annotated[_Vector | _Scalar, pydantic.Field(discriminator="resultType")]


Model = TypeVar("Model", bound=pydantic.BaseModel)


class Prometheus:
    """One kept connection to Prometheus.

    `freshness_job` is the job whose `up` dates the data; an alert that ended less than
    `settle_seconds` ago still counts as `lately`; the data is `steady` when no scrape of the
    job has failed for `steady_seconds`.
    """

    def __init__(
        self,
        url: str,
        *,
        freshness_job: str,
        settle_seconds: float = 0.0,
        steady_seconds: float = 0.0,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._freshness_job = freshness_job
        self._settle_seconds = settle_seconds
        self._steady_seconds = steady_seconds
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=False)

    def now(self) -> AlertState:
        """All alerts. `data_age_seconds` None: no target of the job is up.

        A sample of a target that is down is fresh too, but its alerts' data is not: what the
        exporter no longer says looks like an alert that has cleared.
        """
        # First the age: should the data arrive between the two, the age is the worse one.
        job = f"up{{job={quoted(self._freshness_job)}}}"
        age = self.query(f"time() - max(timestamp({job}) and {job} == 1)")
        alerts = self._ask("/api/v1/alerts", {}, _Alerts).alerts
        looks = f'{{__name__=~"{"|".join(_LOOKS)}"}}'
        found = self.query(f'compose_service_state{{state="running"}} or {looks}')
        return AlertState(
            firing=_in_state(alerts, "firing"),
            data_age_seconds=age[0].value if age and math.isfinite(age[0].value) else None,
            lately=self._lately(),
            running=_well(found, "service", "compose_service_state"),
            probes=_well(found, "target", "probe_success"),
            steady=self._steady(job),
            pending=_in_state(alerts, "pending"),
            sees=_sees(found),
        )

    def _steady(self, job: str) -> bool:
        if self._steady_seconds <= 0:
            return True
        window = f"{math.ceil(self._steady_seconds * 1000)}ms"
        lowest = self.query(f"max(min_over_time({job}[{window}]))")
        return bool(lowest) and lowest[0].value == 1

    def _lately(self) -> frozenset[str]:
        if self._settle_seconds <= 0:
            return frozenset()
        window = f"{math.ceil(self._settle_seconds * 1000)}ms"
        urgent = f'severity!~"{"|".join(sorted(MINOR))}",category!~"{"|".join(sorted(OWN_WORDS))}"'
        fired = f'last_over_time(ALERTS{{alertstate="firing",{urgent}}}[{window}])'
        services = self.query(f"count by (service) ({fired})")
        return frozenset(series.labels.get("service", "") for series in services)

    def query(self, expr: str) -> tuple[Sample, ...]:
        """The instant query's series now; a scalar is one series without labels."""
        parameters = {"query": expr, "timeout": f"{math.ceil(_TIMEOUT_SECONDS)}s"}
        result = self._ask("/api/v1/query", parameters, _Result).root
        if isinstance(result, _Scalar):
            return (Sample({}, result.result[1]),)
        return tuple(Sample(series.metric, series.value[1]) for series in result.result)

    def close(self) -> None:
        self._client.close()

    def _ask(self, path: str, parameters: Mapping[str, str], model: type[Model]) -> Model:
        try:
            response = self._client.get(path, params=parameters)
            return model.model_validate(_data(response))
        except httpx.HTTPError as error:
            raise Transient(
                f"cannot ask Prometheus at {self._url}{path}: {error!r}; see that it runs"
            ) from error
        except ValueError as error:  # pydantic's ValidationError is one
            raise Transient(
                f"Prometheus at {self._url}{path} gave no good answer: {str(error)[:300]}"
            ) from error


def ask_once(
    url: str, expr: str, *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> tuple[Sample, ...]:
    """The instant query's series, on a connection of its own. Errors: Transient."""
    prometheus = Prometheus(url, freshness_job="", timeout_seconds=timeout_seconds)
    with closing(prometheus):
        return prometheus.query(expr)


def quoted(value: str) -> str:
    """A PromQL string literal: whatever `value` holds, it stays one string."""
    # JSON's escapes are a part of Go's, which PromQL's are.
    return json.dumps(value, ensure_ascii=False)


def _in_state(alerts: Iterable[_Alert], state: str) -> tuple[FiringAlert, ...]:
    return tuple(
        FiringAlert(labels=alert.labels, active_at=_utc(alert.activeAt))
        for alert in alerts
        if alert.state == state
    )


def _well(samples: Iterable[Sample], label: str, name: str) -> dict[str, bool]:
    """Label value -> whether all of its series of this name are 1."""
    well: dict[str, bool] = {}
    for sample in samples:
        if sample.labels.get("__name__") == name and label in sample.labels:
            key = sample.labels[label]
            well[key] = well.get(key, True) and sample.value == 1
    return well


def _sees(samples: Iterable[Sample]) -> bool | None:
    looks = [s.value == 1 for s in samples if s.labels.get("__name__") in _LOOKS]
    return any(looks) if len(looks) >= _LEAST_LOOKS else None


def _data(response: httpx.Response) -> Any:  # noqa: ANN401 - checked by the caller's model
    body = response.json()  # also of a 4xx: there the reason is
    if not isinstance(body, dict) or body.get("status") != "success":
        words = body.get("error") if isinstance(body, dict) else body
        raise ValueError(f"{response.status_code} {words}")
    return body["data"]


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
