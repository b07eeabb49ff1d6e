"""Who is alive: beat and each worker write their row every few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from core import clock
from core.jobs.running import own_name
from core.models import Heartbeat
from core.sql_jobs import let_go

log = structlog.get_logger(__name__)

Kind = Heartbeat.Kind
EVERY: Final = timedelta(seconds=5)
SILENT_AFTER: Final = timedelta(seconds=60)
FORGOTTEN_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pulse:
    """When beat and the last worker were heard of; how many workers are alive."""

    beat_at: datetime | None
    worker_at: datetime | None
    workers: int
    now: datetime

    @property
    def beat(self) -> str:
        """`ok`, `silent` or `never`."""
        return self._state(self.beat_at)

    @property
    def worker(self) -> str:
        """The same of workers."""
        return self._state(self.worker_at)

    @property
    def is_well(self) -> bool:
        """Whether both are alive."""
        return self.beat == self.worker == "ok"

    def _state(self, seen_at: datetime | None) -> str:
        if seen_at is None:
            return "never"
        return "ok" if self.now - seen_at <= SILENT_AFTER else "silent"


def pulse() -> Pulse:
    """As it is now; one statement."""
    now = clock.system_now()
    seen: dict[str, list[datetime]] = {Kind.BEAT: [], Kind.WORKER: []}
    for kind, seen_at in Heartbeat.objects.values_list("kind", "seen_at"):
        seen[kind].append(seen_at)
    alive = sum(now - seen_at <= SILENT_AFTER for seen_at in seen[Kind.WORKER])
    beat_at, worker_at = (max(seen[kind], default=None) for kind in (Kind.BEAT, Kind.WORKER))
    return Pulse(beat_at, worker_at, alive, now)


def note_alive(kind: Heartbeat.Kind, started_at: datetime) -> bool:
    """This process lives; False when the database could not be told."""
    try:
        Heartbeat.objects.update_or_create(
            name=f"{kind.value} {own_name()}",
            defaults={"kind": kind, "started_at": started_at, "seen_at": clock.system_now()},
        )
    except Exception as error:  # the database is away: being alive must not hang on it
        log.warning("heartbeat_not_written", kind=kind.value, error=type(error).__name__)
        return False
    finally:
        let_go()  # children that are forked from here must not inherit it
    return True


def forget_the_dead() -> None:
    """Drop the rows of processes that were not heard of for a day."""
    Heartbeat.objects.filter(seen_at__lt=clock.system_now() - FORGOTTEN_AFTER).delete()
