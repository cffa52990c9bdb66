"""nginx_* in the names of the nginx-prometheus-exporter."""

from exporter.families.metric import Family, counter, gauge
from exporter.readings import Nginx, Unreachable
from exporter.targets import NginxServer

LABELS = ("service",)
UP = gauge("nginx_up", "1 if the stub_status page could be read.", LABELS)
ACTIVE = gauge("nginx_connections_active", "Client connections, idle ones included.", LABELS)
ACCEPTED = counter("nginx_connections_accepted", "Accepted client connections.", LABELS)
HANDLED = counter("nginx_connections_handled", "Client connections that were not refused.", LABELS)
READING = gauge("nginx_connections_reading", "Connections whose request is being read.", LABELS)
WRITING = gauge("nginx_connections_writing", "Connections being answered.", LABELS)
WAITING = gauge("nginx_connections_waiting", "Idle connections.", LABELS)
REQUESTS = counter("nginx_http_requests_total", "Requests of clients.", LABELS)


def families(server: NginxServer, reading: Nginx | Unreachable) -> list[Family]:
    labels = (server.service,)
    if isinstance(reading, Unreachable):
        return [UP.family([(labels, 0)])]
    told = (
        (UP, 1),
        (ACTIVE, reading.active),
        (ACCEPTED, reading.accepted),
        (HANDLED, reading.handled),
        (READING, reading.reading),
        (WRITING, reading.writing),
        (WAITING, reading.waiting),
        (REQUESTS, reading.requests),
    )
    return [metric.family([(labels, number)]) for metric, number in told]
