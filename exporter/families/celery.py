"""celery_*: queues, tasks in flight and workers' heartbeats, with the broker as label.

Rule: what cannot be told is absent; an expected worker that is silent is 0.
"""

from exporter.families.metric import Family, counter, gauge
from exporter.readings import Celery, Unreachable
from exporter.targets import CeleryBroker

_B = ("broker",)
_QUEUE = (*_B, "queue_name")
_WORKER = (*_B, "hostname", "service")

LENGTH = gauge("celery_queue_length", "Messages waiting, of all priorities.", _QUEUE)
PRIORITY_LENGTH = gauge(
    "celery_queue_priority_length", "Messages waiting, by priority.", (*_QUEUE, "priority")
)
DRAINED = gauge(
    "celery_queue_last_drained_timestamp_seconds",
    "When the queue was last seen empty, or watched first, Unix time.",
    _QUEUE,
)
UNACKED = gauge(
    "celery_unacked_tasks",
    "Messages that workers took and have not acknowledged: late-acknowledged tasks that run, "
    "prefetched ones, and those that wait for their time.",
    _B,
)
OLDEST = gauge(
    "celery_unacked_oldest_timestamp_seconds",
    "When the oldest of those was taken, Unix time; absent when there is none.",
    _B,
)
UP = gauge(
    "celery_worker_up",
    "1 if the worker's heartbeat was heard within the timeout; absent while it cannot be told.",
    _WORKER,
)
HEARTBEAT = gauge(
    "celery_worker_last_heartbeat_timestamp_seconds",
    "When the worker was last heard, Unix time.",
    _WORKER,
)
ACTIVE = gauge("celery_worker_tasks_active", "Tasks that the worker says it runs.", _WORKER)
FOLDED = gauge("celery_queues_folded", "Queues that were found and left out, over the cap.", _B)
UNHEARD = counter(
    "celery_heartbeats_folded_total", "Heartbeats of workers left out, over the cap.", _B
)


def families(broker: CeleryBroker, reading: Celery | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    name = broker.name
    queues = reading.queues.items()
    found = [
        LENGTH.family(((name, q), sum(queue.lengths.values())) for q, queue in queues),
        PRIORITY_LENGTH.family(
            ((name, q, str(priority)), length)
            for q, queue in queues
            for priority, length in queue.lengths.items()
        ),
        DRAINED.family(((name, q), queue.drained_at) for q, queue in queues),
        UNACKED.family([((name,), reading.unacked)]),
    ]
    if reading.unacked_oldest is not None:
        found.append(OLDEST.family([((name,), reading.unacked_oldest)]))
    workers = [((name, worker.hostname, worker.service), worker) for worker in reading.workers]
    return [
        *found,
        UP.family((key, worker.up) for key, worker in workers if worker.up is not None),
        HEARTBEAT.family(
            (key, worker.last_heartbeat)
            for key, worker in workers
            if worker.last_heartbeat is not None
        ),
        ACTIVE.family((key, worker.active) for key, worker in workers if worker.active is not None),
        FOLDED.family([((name,), reading.queues_folded)]),
        UNHEARD.family([((name,), reading.heartbeats_folded)]),
    ]
