"""Frees disk space by deleting images without a name, which every deployment leaves behind.

Rule: the engine decides what is in use; only what it calls dangling and no container uses
goes. A colour that is stopped keeps its image: its container uses it.
"""

from dataclasses import dataclass
from datetime import datetime

from remediator.actions import engine
from remediator.actions.clients import Clients, Deadline, Params
from remediator.ports import Done, Effect, Ready, Refused, RemediationError
from remediator.topology import Target

_LOOK_SECONDS = 10.0
_SHOWN = 20


class PruneImagesParams(Params):
    """The step needs nothing: which images may go is the engine's to say."""


@dataclass(frozen=True, slots=True)
class PruneImages:
    """Delete the dangling images of the engine."""

    params: PruneImagesParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        images = self._dangling(_LOOK_SECONDS)
        if not images:
            return Refused(f"{target.key}: there is no image without a name to delete")
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:  # noqa: ARG002
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        images = self._dangling(deadline.at_most(_LOOK_SECONDS))
        with engine.connect(
            self.clients.docker_url, timeout_seconds=deadline.at_most(_LOOK_SECONDS)
        ) as docker:
            deleted, freed = docker.prune_dangling_images(
                timeout_seconds=deadline.at_most(timeout_seconds)
            )
        largest = sorted(images, key=lambda image: image.size_bytes, reverse=True)[:_SHOWN]
        return Done(
            f"deleted {deleted} layers of images without a name, {freed / 1e6:.0f} MB",
            {
                "dangling_before": len(images),
                "largest": [{"id": i.id[:19], "bytes": i.size_bytes} for i in largest],
                "deleted_layers": deleted,
                "freed_bytes": freed,
            },
        )

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        try:
            return Effect.NOT_DONE if self._dangling(_LOOK_SECONDS) else Effect.DONE
        except RemediationError:
            return Effect.UNKNOWN

    def _dangling(self, seconds: float) -> tuple[engine.Image, ...]:
        with engine.connect(self.clients.docker_url, timeout_seconds=seconds) as docker:
            return docker.dangling_images()
