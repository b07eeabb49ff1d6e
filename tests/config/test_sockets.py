"""Sockets have short paths, and nobody else can plant one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from config.embedded import ServerError
from config.embedded.account import Account
from config.embedded.sockets import make_socket_folder, socket_folder

US = Account(os.geteuid(), os.getegid())


def test_the_path_is_short_however_deep_the_folder_lies() -> None:
    assert len(str(socket_folder(Path("/" + "deep/" * 200) / ".s.PGSQL.5432"))) < 100


def test_two_folders_have_two_paths() -> None:
    assert socket_folder(Path("/a")) != socket_folder(Path("/b"))


def test_a_long_temporary_folder_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + "t" * 90)
    assert len(str(socket_folder(Path("/a")))) < 60


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    make_socket_folder(tmp_path / "s", US)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


def test_an_open_folder_of_ours_is_closed(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o777)
    make_socket_folder(tmp_path / "s", US)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ServerError, match="belongs to somebody else"):
        make_socket_folder(tmp_path / "s", US)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    os.chown(tmp_path / "s", 12345, 12345)
    with pytest.raises(ServerError, match="belongs to somebody else"):
        make_socket_folder(tmp_path / "s", US)
