"""Secrets of keys: made here, shown once, kept only as a fingerprint.

`tg_` (integration keys) or `tk_` (a customer's API keys), 32 random letters, then 6 letters of a checksum:
a mistyped or invented secret is refused without asking the database, and scanners can tell ours.
"""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from core.ids import ALPHABET

INTEGRATION: Final = "tg"
API: Final = "tk"
RANDOM_LETTERS: Final = 32  # 160 bits
CHECK_LETTERS: Final = 6
SHOWN_LETTERS: Final = 8
SECRET_MAX: Final = 512
"""Longest secret that is looked at, the operator's own kinds included."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A new secret: the text that its owner gets once, and what is kept of it."""

    text: str
    prefix: str
    fingerprint: str


def new_secret(kind: str) -> Secret:
    """A secret of `kind` (INTEGRATION or API)."""
    body = f"{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LETTERS))
    text = body + _checksum(body)
    return Secret(text, text[: len(kind) + 1 + SHOWN_LETTERS], fingerprint(text))


def fingerprint(text: str) -> str:
    """SHA-256 in hex, which is all that is stored of any secret."""
    return sha256(text.encode()).hexdigest()


def is_well_formed(text: str, kind: str) -> bool:
    """Whether `text` can be a secret of `kind` that we issued."""
    body, check = text[:-CHECK_LETTERS], text[-CHECK_LETTERS:]
    return (
        len(text) == len(kind) + 1 + RANDOM_LETTERS + CHECK_LETTERS
        and text.isascii()
        and text.startswith(f"{kind}_")
        and secrets.compare_digest(check, _checksum(body))
    )


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode()) & 0x3FFFFFFF  # 30 bits: six letters
    return "".join(ALPHABET[number >> shift & 31] for shift in range(25, -5, -5))
