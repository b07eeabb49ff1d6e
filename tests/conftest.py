"""What every test shares: the embedded servers, private ones, and skips that speak up."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn, TypeVar

import psutil
import psycopg
import pytest
from django.conf import settings

from config.embedded import Postgres, Redis, ServerError
from config.embedded.installation import POSTGRES, REDIS
from config.embedded.redis import program
from config.embedded.sockets import socket_folder
from core import clock

PROGRAMS = {"chromium": ("chromium", "chromium-browser"), "nginx": ("nginx",)}
LONG = (
    "tests/soak/",
    "tests/browser/",
    "tests/config/test_up.py",
    "tests/gateway/test_nginx.py",
    "tests/properties/",
    "tests/model/",
    "tests/core/jobs/test_worker.py",
    "tests/faults/",
    "tests/concurrency/",
    "tests/scenarios/",
    "tests/pricing/rating/",
    "",
)
ORDER = tuple(enumerate(LONG))
REQUIRE_ALL = os.environ.get("TOLLGATE_REQUIRE_ALL") == "1"

Server = TypeVar("Server", Postgres, Redis)

_were_running = (POSTGRES.pid is not None, REDIS.pid is not None)


_static_root = TemporaryDirectory(prefix="tollgate-static-")


def pytest_configure(config: pytest.Config) -> None:
    """Static files under their plain names: tests need no `collectstatic`, and see nothing of what a demo in
    this folder has collected. Before any test module is imported: an application that one makes would ask."""
    backend = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    settings.STATIC_ROOT = Path(_static_root.name)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are processors: the long tests wait for other processes a third of their
    time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, so that no worker has one left when the other is done."""
    items.sort(key=lambda item: min(place for place, path in ORDER if item.nodeid.startswith(path)))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """A name of its own for bytes that are no text: packed ones hold the time of packing, and workers that
    collect at different seconds would disagree about them."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is missing, or fail it when everything has to run."""
    for marker, names in PROGRAMS.items():
        if item.get_closest_marker(marker) and not any(shutil.which(name) for name in names):
            _miss(f"{marker} is not installed; install it to run this test")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the embedded servers as they were found; not while others use them."""
    if hasattr(config, "workerinput"):
        return
    if POSTGRES.is_running():
        _drop_stale_databases()
    servers: tuple[Postgres | Redis, ...] = (POSTGRES, REDIS)
    for server, was_running in zip(servers, _were_running, strict=True):
        if not was_running and server.is_running() and not server.other_sessions():
            server.stop()


@pytest.fixture(autouse=True)
def _limits_are_remembered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is read of limits be kept, as between transactions of their own, where a test is all one.

    A transaction that begins with reading keeps what it read; in a test's own, none begins.
    """
    marker = request.node.get_closest_marker("django_db")
    if marker is not None and not marker.kwargs.get("transaction"):
        monkeypatch.setattr("billing.charging.limiting.is_beginning", lambda _: True)


@pytest.fixture(scope="module", autouse=True)
def _real_time() -> Iterator[None]:
    """No module leaves its clock to the next one, not even where its own set-up broke off."""
    yield
    clock.use(None)


@pytest.fixture(scope="session")
def redis_program() -> str:
    """The program that the embedded Redis is; a Python without its package may have none."""
    try:
        return program()
    except ServerError as error:
        _miss(str(error))


@pytest.fixture
def redis_server(redis_program: str) -> Redis:
    """The embedded Redis, running."""
    REDIS.start()
    return REDIS


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Callable[[type[Server]], Server]]:
    """`private(Postgres)` is a server of this test alone, down at first, to be stopped and killed at will."""
    made: list[Postgres | Redis] = []

    def make(kind: type[Server]) -> Server:
        server = kind(tmp_path / "var")
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
    shutil.rmtree(socket_folder(tmp_path / "var"), ignore_errors=True)


def _miss(sentence: str) -> NoReturn:
    if REQUIRE_ALL:
        pytest.fail(sentence)
    pytest.skip(sentence)


def _drop_stale_databases() -> None:
    """Test databases carry the id of the process that made them; drop those of processes that are gone."""
    with psycopg.connect(f"{POSTGRES.dsn} dbname=postgres", autocommit=True) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall():
            found = re.fullmatch(r"test_tollgate_(\d+)(_gw\d+)?", name)
            if found and not psutil.pid_exists(int(found[1])):
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
