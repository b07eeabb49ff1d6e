"""PostgreSQL never runs as root, and gets no more rights than it needs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from config.embedded import ServerError
from config.embedded.account import Account, account_for

SOMEBODY = Account(os.geteuid() + 4321, 4321)


def test_an_ordinary_user_runs_it_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account_for(tmp_path / "new").command(["postgres"], tmp_path) == ["postgres"]


def test_root_runs_it_under_another_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = account_for(tmp_path / "new")
    assert found.uid != 0
    assert found.command(["postgres"], tmp_path)[-2:] == ["--", "postgres"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_takes_the_account_that_owns_the_data_already(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, 4321)
    assert account_for(tmp_path) == Account(4321, 4321)


def test_no_capability_is_handed_over_where_everybody_may_enter() -> None:
    assert not [word for word in SOMEBODY.command(["postgres"], Path("/usr/bin/env")) if "caps" in word]


def test_only_the_capability_to_enter_is_handed_over_below_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    words = SOMEBODY.command(["postgres"], closed / "postgres")
    handed = {word.partition("=")[2] for word in words if "caps" in word}
    assert handed == {"+dac_override"}


def test_root_without_setpriv_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ServerError, match="setpriv"):
        SOMEBODY.command(["postgres"])
