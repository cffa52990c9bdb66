"""Which faults a day has, and when.

Rule: drawn before anything runs. `faults_apart` are for histories that are compared.
"""

from random import Random

from tests.simulation.site import BLOAT, DB_DOWN, DOWN, FULL, LEAK, TOPOLOGY, Fault

DAY = 86400.0


def faults_of_a_day(chance: Random) -> list[tuple[float, Fault]]:
    """When, and what; one kind after the other with a random number of each."""
    found: list[tuple[float, Fault]] = []
    for _ in range(chance.choice((1, 2, 3, 4, 6))):
        at = chance.uniform(0, DAY * 0.9)
        found += chance.choice(_KINDS)(chance, at)
    return found


def faults_apart(chance: Random) -> list[tuple[float, Fault]]:
    """So far apart that none has to do with another, and none ends on the brink of a limit."""
    found: list[tuple[float, Fault]] = []
    for slot in range(6):
        at, ends = 7000.0 + slot * 12000.0, 9000.0
        symptom, action = chance.choice(_MENDED_BY)
        mended = frozenset({action})
        match chance.choice(("mended", "mended", "second try", "useless", "leak", "storm")):
            case "mended":
                found.append((at, Fault(symptom, mended, 1, None, ends)))
            case "second try":
                found.append((at, Fault(symptom, mended, 2, None, ends)))
            case "useless":
                found.append((at, Fault(symptom, frozenset(), 1, None, ends)))
            case "leak":
                found.append((at, Fault(symptom, mended, 1, 2500.0, ends)))
            case _:
                services = ("cache", "edge", "mail", "monitor")
                heals = frozenset({"restart"})
                found += [(at, Fault((DOWN, s), heals, 1, None, ends)) for s in services]
    return found


def _plain(chance: Random, at: float) -> list[tuple[float, Fault]]:
    symptom, action = chance.choice(_MENDED_BY)
    ends = chance.choice((None, None, chance.uniform(20, 4000)))
    return [(at, Fault(symptom, frozenset({action}), chance.choice((1, 1, 2)), None, ends))]


def _stubborn(chance: Random, at: float) -> list[tuple[float, Fault]]:
    return [(at, Fault(chance.choice(_MENDED_BY)[0]))]


def _leak(chance: Random, at: float) -> list[tuple[float, Fault]]:
    back = chance.choice((900.0, 5400.0, 5400.0, 9000.0))
    symptom, action = chance.choice([((LEAK, "worker"), "recycle"), ((DOWN, "mail"), "restart")])
    return [(at, Fault(symptom, frozenset({action}), 1, back))]


def _flap(chance: Random, at: float) -> list[tuple[float, Fault]]:
    symptom, _ = chance.choice(_MENDED_BY)
    period = chance.choice((20.0, 60.0, 200.0))
    return [
        (at + n * period, Fault(symptom, frozenset(), 1, None, period * chance.uniform(0.2, 0.9)))
        for n in range(20)
    ]


def _storm(chance: Random, at: float) -> list[tuple[float, Fault]]:
    services = chance.sample(sorted(set(TOPOLOGY) - {"db"}), chance.randint(3, 7))
    ends = chance.uniform(100, 4000)
    mend = frozenset({"restart"})
    return [
        (at + chance.uniform(0, 60), Fault((DOWN, service), mend, 1, None, ends))
        for service in services
    ]


def _chain(chance: Random, at: float) -> list[tuple[float, Fault]]:
    ends = chance.choice((None, 300.0, 3000.0))
    return [(at, Fault((DB_DOWN, "db"), frozenset({"restart-db"}), 1, None, ends, spreads=True))]


_KINDS = (_plain, _plain, _plain, _stubborn, _leak, _flap, _storm, _chain)
_MENDED_BY = (
    *(((DOWN, service), "restart") for service in ("web-a", "web-b", "worker", "edge", "mail")),
    ((DOWN, "web-a"), "recreate"),
    ((DOWN, "monitor"), "restart"),
    ((DB_DOWN, "db"), "restart-db"),
    ((FULL, "cache"), "flush-keys"),
    ((FULL, "cache"), "flush-all"),
    ((LEAK, "worker"), "recycle"),
    ((LEAK, "web-b"), "recycle"),
    ((BLOAT, "db"), "vacuum"),
)
