"""The key that an installation makes for itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.secret import kept_secret


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    first = kept_secret(tmp_path / "var" / "key")
    assert len(first) >= 50
    assert kept_secret(tmp_path / "var" / "key") == first


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    kept_secret(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_two_installations_have_two(tmp_path: Path) -> None:
    assert kept_secret(tmp_path / "a") != kept_secret(tmp_path / "b")


def test_many_first_callers_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: kept_secret(tmp_path / "key"), range(8)))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_where_it_cannot_be_kept_a_command_gets_one_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="No SECRET_KEY"):
        key = kept_secret(tmp_path / "file" / "key")
    assert len(key) >= 50
