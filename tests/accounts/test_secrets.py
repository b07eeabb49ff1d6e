"""Secrets: random, checkable without the database, kept only as a fingerprint."""

from __future__ import annotations

from hashlib import sha256

import pytest

from accounts.secrets import API, INTEGRATION, fingerprint, is_well_formed, new_secret


def test_a_secret_says_its_kind_and_is_kept_as_its_sha256() -> None:
    secret = new_secret(INTEGRATION)
    assert secret.text.startswith("tg_")
    assert secret.text.startswith(secret.prefix)
    assert len(secret.prefix) == 11
    assert secret.fingerprint == sha256(secret.text.encode()).hexdigest() == fingerprint(secret.text)


def test_no_two_secrets_are_alike() -> None:
    assert len({new_secret(API).text for _ in range(1000)}) == 1000


def test_a_well_formed_secret_is_told_from_any_other_text() -> None:
    secret = new_secret(API).text
    assert is_well_formed(secret, API)
    assert not is_well_formed(secret, INTEGRATION)
    assert not is_well_formed(secret.upper(), API)
    assert not is_well_formed(f"{secret} ", API)


@pytest.mark.parametrize(
    "text", ["", "tk_", "tk", "_", "tg_" + "0" * 38, "tk_" + "é" * 38, "\x00" * 41, "x" * 10_000]
)
def test_other_texts_are_not_well_formed(text: str) -> None:
    assert not is_well_formed(text, API)
    assert not is_well_formed(text, INTEGRATION)


def test_a_single_wrong_letter_is_noticed() -> None:
    secret = new_secret(INTEGRATION).text
    for place in range(3, len(secret)):
        other = "0" if secret[place] != "0" else "1"
        assert not is_well_formed(secret[:place] + other + secret[place + 1 :], INTEGRATION)
