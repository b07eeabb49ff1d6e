"""Is it alive, and is it ready? For load balancers and whoever restarts processes."""

from __future__ import annotations

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from core.jobs import pulse

_is_migrated = False


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers; asks nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and has all migrations, else 503.

    Redis, beat and workers are reported, not required: charges need none of them.
    """
    database = _database_state()
    redis = "ok" if getattr(cache, "is_reachable", lambda: True)() else "away"
    status = "ok" if database == "ok" else "not ready"
    report = {"status": status, "database": database, "redis": redis} | _pulse(database)
    return JsonResponse(report, status=200 if database == "ok" else 503)


def _pulse(database: str) -> dict[str, str]:
    """`ok`, `silent` or `never` of beat and of workers; nothing without a database that knows it."""
    if database != "ok":
        return {}
    try:
        alive = pulse()
    except DatabaseError:
        return {}
    return {"beat": alive.beat, "workers": alive.worker}


def _database_state() -> str:
    global _is_migrated  # migrations are not taken back under a running process, so yes is asked once
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        _is_migrated = _is_migrated or _has_all_migrations()
    except (DatabaseError, RuntimeError):
        connection.close()
        return "away"
    return "ok" if _is_migrated else "migrations missing"


def _has_all_migrations() -> bool:
    loader = MigrationLoader(connection)
    return set(loader.graph.nodes) <= set(loader.applied_migrations or {})
