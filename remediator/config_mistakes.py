"""Every mistake that a config can hold, each with its path in the file and a sentence.

Rule: a mistake in one part never hides the mistakes of another; whatever is well formed by
itself is cross-checked.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from typing_extensions import override

from remediator.actions import ActionType
from remediator.config_guards import GroupSection
from remediator.config_journal import unfit_journal
from remediator.config_schema import RunbookSection, TargetSection
from remediator.config_stack import unfit_step, unknown_nginx


class Mistake(NamedTuple):
    """`path` as in `runbooks[0].steps[1].action`; empty for the file as a whole."""

    path: str
    problem: str

    @override
    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class ConfigError(Exception):
    """The file cannot be used. `mistakes` holds all that are wrong with it."""

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        lines = [f"{source}: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"]
        super().__init__("\n".join([*lines, *(f"  {mistake}" for mistake in mistakes)]))


def from_pydantic(error: ValidationError, prefix: str = "") -> Iterator[Mistake]:
    for item in error.errors(include_url=False):
        if item["type"] == "extra_forbidden":
            problem = "unknown key"
        elif item["type"] == "missing":
            problem = "is missing"
        elif item["type"] == "string_pattern_mismatch":
            problem = f"{item['input']!r} must look like {item['ctx']['pattern']}"
        else:
            problem = item["msg"].removeprefix("Value error, ")
        yield Mistake(_path(item["loc"], prefix), problem)


def _path(place: tuple[int | str, ...], path: str) -> str:
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":  # pydantic's mark for a mistake in a mapping's key
            path += f".{part}" if path else part
    return path


def broken_names(raw: Mapping[str, object], actions: Mapping[str, ActionType]) -> Iterator[Mistake]:
    """What one value cannot say alone: names that lead nowhere, or to two places."""
    topology = raw.get("topology")
    listed = raw.get("runbooks")
    topology = topology if isinstance(topology, dict) else {}
    listed = listed if isinstance(listed, list) else []
    ids = {entry["id"] for entry in listed if isinstance(entry, dict) and _named(entry)}
    targets = _well_formed(TargetSection, topology)
    entries = _well_formed(RunbookSection, dict(enumerate(listed)))
    yield from _topology_names(targets, set(topology))
    yield from (Mistake(*found) for found in unknown_nginx(targets, set(topology)))
    yield from _never_touched(raw, targets)
    yield from _journal(raw, targets)
    yield from _counted_users(raw, targets)
    yield from _group_names(raw, set(topology))
    yield from _window_names(raw, entries)
    for index, entry in entries.items():
        where = f"runbooks[{index}]"
        yield from _runbook_names(entry, where, set(topology), ids)
        yield from _steps(entry, where, actions)
        yield from _own_probes(entry, where, targets)
        for number, step in enumerate(entry.steps):
            path = f"{where}.steps[{number}]"
            found = unfit_step(step, path, entry.target.key, targets, set(topology))
            yield from (Mistake(*mistake) for mistake in found)
    yield from _repeated(entries)
    if len(entries) == len(listed):  # else the ladder that leads there may be unreadable
        yield from _never_started(entries)
    yield from _cycles(entries)


def _named(entry: Mapping[str, object]) -> bool:
    return isinstance(entry.get("id"), str)


Key = TypeVar("Key")
Part = TypeVar("Part", bound=BaseModel)


def _well_formed(model: type[Part], values: Mapping[Key, object]) -> dict[Key, Part]:
    """The values that are right by themselves; the others' mistakes are listed already."""
    found = {}
    for key, value in values.items():
        try:
            found[key] = model.model_validate(value)
        except ValidationError:
            continue
    return found


def _topology_names(targets: Mapping[str, TargetSection], keys: set[str]) -> Iterator[Mistake]:
    for key, target in targets.items():
        for index, name in enumerate(target.depends_on):
            yield from _known(name, keys, f"topology.{key}.depends_on[{index}]")
        if key in target.depends_on:
            yield Mistake(f"topology.{key}.depends_on", "a target cannot depend on itself")
        if target.switch:
            yield from _known(target.switch.nginx, keys, f"topology.{key}.switch.nginx")
            for colour, name in target.switch.colours.items():
                yield from _known(name, keys, f"topology.{key}.switch.colours.{colour}")
            for colour, names in target.switch.along.items():
                for index, name in enumerate(names):
                    yield from _known(name, keys, f"topology.{key}.switch.along.{colour}[{index}]")


def _known(name: str, keys: set[str], path: str) -> Iterator[Mistake]:
    if name not in keys:
        yield Mistake(path, f"{name!r} is not a key of the topology")


def _never_touched(
    raw: Mapping[str, object], targets: Mapping[str, TargetSection]
) -> Iterator[Mistake]:
    named = raw.get("never_touch")
    for key, target in targets.items():
        if isinstance(named, list) and target.container in named:
            yield Mistake(
                f"topology.{key}.container", f"{target.container!r} stands in never_touch"
            )


def _journal(raw: Mapping[str, object], targets: Mapping[str, TargetSection]) -> Iterator[Mistake]:
    addresses = {key: target.address for key, target in targets.items()}
    servers = {key: (place.host, place.port) for key, place in addresses.items() if place}
    return (Mistake(*found) for found in unfit_journal(raw, servers))


def _counted_users(
    raw: Mapping[str, object], targets: Mapping[str, TargetSection]
) -> Iterator[Mistake]:
    section = raw.get("active_users")
    name = section.get("target") if isinstance(section, dict) else None
    if isinstance(name, str) and (name not in targets or targets[name].address is None):
        yield Mistake("active_users.target", f"{name!r} is no target with an address")


def _group_names(raw: Mapping[str, object], keys: set[str]) -> Iterator[Mistake]:
    listed = raw.get("groups")
    groups = _well_formed(GroupSection, listed if isinstance(listed, dict) else {})
    for name, group in groups.items():
        for index, member in enumerate(group.members):
            yield from _known(member, keys, f"groups.{name}.members[{index}]")
        if group.min_healthy >= len(group.members):
            needed = "must be below the number of members, or none could ever be restarted"
            yield Mistake(f"groups.{name}.min_healthy", needed)


def _window_names(
    raw: Mapping[str, object], entries: Mapping[int, RunbookSection]
) -> Iterator[Mistake]:
    windows, quiet = raw.get("windows"), raw.get("quiet_windows")
    known = set(windows) if isinstance(windows, dict) else set()
    used = {f"runbooks[{index}].window": entry.window for index, entry in entries.items()}
    if isinstance(quiet, list):
        used |= {f"quiet_windows[{index}]": name for index, name in enumerate(quiet)}
    for path, name in used.items():
        if name is not None and name not in known:
            yield Mistake(path, f"{name!r} is not one of the windows")


def _runbook_names(
    entry: RunbookSection, where: str, keys: set[str], ids: set[str]
) -> Iterator[Mistake]:
    if entry.target.key is not None:
        yield from _known(entry.target.key, keys, f"{where}.target")
    for index, rung in enumerate(entry.ladder):
        if rung not in ids:
            yield Mistake(f"{where}.ladder[{index}]", f"{rung!r} is not the id of a runbook")
    for name, count in Counter(step.id for step in entry.steps).items():
        if count > 1:
            yield Mistake(f"{where}.steps", f"the step id {name!r} is used {count} times")


def _steps(
    entry: RunbookSection, where: str, actions: Mapping[str, ActionType]
) -> Iterator[Mistake]:
    for index, step in enumerate(entry.steps):
        path = f"{where}.steps[{index}]"
        if step.action not in actions:
            known = ", ".join(sorted(actions))
            yield Mistake(f"{path}.action", f"{step.action!r} is not an action; there are {known}")
            continue
        try:
            actions[step.action].params.model_validate(step.with_)
        except ValidationError as error:
            yield from from_pydantic(error, f"{path}.with")


def _own_probes(
    entry: RunbookSection, where: str, targets: Mapping[str, TargetSection]
) -> Iterator[Mistake]:
    target = targets.get(entry.target.key or "")
    if target is None or target.probes:
        return
    for place, checks in (("verify.all", entry.verify.all), ("confirm", entry.confirm)):
        for index, check in enumerate(checks):
            if check.probes == []:
                path = f"{where}.{place}[{index}].probes"
                yield Mistake(path, f"{entry.target.key!r} has no probes")


def _repeated(entries: Mapping[int, RunbookSection]) -> Iterator[Mistake]:
    for name, count in Counter(entry.id for entry in entries.values()).items():
        if count > 1:
            yield Mistake("runbooks", f"the id {name!r} is used {count} times")
    alerts = Counter(alert for entry in entries.values() for alert in entry.alerts)
    for name, count in alerts.items():
        if count > 1:
            yield Mistake("runbooks", f"the alert {name!r} is listed {count} times; once only")


def _never_started(entries: Mapping[int, RunbookSection]) -> Iterator[Mistake]:
    climbed = {rung for entry in entries.values() for rung in entry.ladder}
    for index, entry in entries.items():
        if not entry.alerts and entry.id not in climbed:
            yield Mistake(f"runbooks[{index}].alerts", "no alert and no ladder ever starts it")


def _cycles(entries: Mapping[int, RunbookSection]) -> Iterator[Mistake]:
    ladders = {entry.id: entry.ladder for entry in entries.values()}
    for index, entry in entries.items():
        above, waiting = set[str](), list(entry.ladder)
        while waiting:
            rung = waiting.pop()
            if rung not in above:
                above.add(rung)
                waiting += ladders.get(rung, [])
        if entry.id in above:
            yield Mistake(f"runbooks[{index}].ladder", f"leads back to {entry.id!r} itself")
