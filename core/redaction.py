"""Takes secrets out of what is logged, stored as an error or shown: keys, passwords, tokens, DSNs.

Nothing of ours logs a secret on purpose. This is for what comes along: the message of a library, the text of
an exception, a traceback's last line, the body of a message that nobody could read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from core.errors import TollgateError

REDACTED: Final = "[redacted]"
DEPTH_MAX: Final = 6
"""Deeper structures are turned into text first."""
LITERAL_MIN: Final = 8
"""A configured secret shorter than this is not searched for: it would hit words."""

_NAMES: Final = (
    r"authorization|proxy[-_]authorization|x[-_]tollgate[-_]key|x[-_]api[-_]key|api[-_]?key"
    r"|(?:[a-z0-9]+[-_])*(?:password|passwd|secret|token|private[-_]key|credentials?|dsn)"
    r"|secret[-_]key|client[-_]secret|set[-_]cookie|cookie|session[-_]?id|csrf[a-z_-]*token"
    r"|database[-_]url|redis[-_]url|broker[-_]url"
)
_IS_NAME: Final = re.compile(rf"(?:http_)?(?:{_NAMES})", re.IGNORECASE).fullmatch
_PUBLIC: Final = re.compile(r"(?:tg|tk|key|ik)_[0-9a-z]{8}", re.IGNORECASE).fullmatch
"""A public id of a key, or the first letters of a secret as staff sees them: they find a key, no more."""

_KEYS: Final = re.compile(r"(?<![A-Za-z0-9])t[gk]_[0-9A-Za-z]{9,}")
_SCHEMES: Final = re.compile(
    r"\b(bearer|basic|digest)(\s+|%20|\+)(?=\S*[\d=.\-_])[^\s\"',;}\]]{6,}", re.IGNORECASE
)
_USERINFO: Final = re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@\"'<>]*@", re.IGNORECASE)
_PAIRS: Final = re.compile(
    rf"(?<![A-Za-z0-9])([\"']?(?:http_)?(?:{_NAMES})\\?[\"']?\s*(?:=>|[:=])\s*)"
    r"(?!\[redacted\])(?:(?:bearer|basic|digest)\s+)?(\\?\"[^\"\\]*\\?\"|'[^']*'|[^\s,;&}\])\"']+)",
    re.IGNORECASE,
)


def redact_text(text: str, literals: Iterable[str] = ()) -> str:
    """`text` without secrets. `literals`: secrets of this installation, taken out wherever they stand."""
    for literal in literals:
        if len(literal) >= LITERAL_MIN:
            text = text.replace(literal, REDACTED)
    text = _USERINFO.sub(rf"\1{REDACTED}@", text)
    text = _PAIRS.sub(_without_value, text)
    text = _SCHEMES.sub(rf"\1 {REDACTED}", text)
    return _KEYS.sub(REDACTED, text)


def redact(value: Any, literals: Iterable[str] = (), depth: int = 0) -> Any:
    """The same for a structure: what stands under a secret's name goes, and secrets inside of any text."""
    if isinstance(value, str):
        return redact_text(value, literals)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= DEPTH_MAX:
        return redact_text(str(value), literals)
    if isinstance(value, Mapping):
        return {
            redact(key, literals, DEPTH_MAX): _of_name(key, each, literals, depth)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(each, literals, depth + 1) for each in value]
    if isinstance(value, bytes | bytearray):
        return redact_text(bytes(value).decode(errors="replace"), literals)
    return redact_text(str(value), literals)


def error_sentence(error: BaseException, length: int = 500) -> str:
    """What a person reads of an error: its kind and the first line of what it says, without secrets.

    An error of ours is a sentence already.
    """
    said = str(error).strip().split("\n", 1)[0]
    if isinstance(error, TollgateError):
        return redact_text(said)[:length]
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return redact_text(text)[:length]


class Redactor:
    """A processor of structlog's, the last before a line is drawn: nothing leaves with a secret in it.

    `literals`: this installation's own, as they are and as URLs write them.
    """

    def __init__(self, literals: Iterable[str] = ()) -> None:
        self._literals = sorted({text for each in literals for text in (each, quote(each, ""))}, reverse=True)

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """The same event without secrets."""
        found: dict[str, Any] = redact(event, self._literals)
        return found


def passwords_of(*urls: str) -> list[str]:
    """The passwords in URLs of servers."""
    return [unquote(password) for url in urls if url and (password := urlsplit(url).password)]


def _of_name(name: Any, value: Any, literals: Iterable[str], depth: int) -> Any:
    if isinstance(name, str) and value not in (None, "") and _IS_NAME(name):
        return value if isinstance(value, str) and _PUBLIC(value) else REDACTED
    return redact(value, literals, depth + 1)


def _without_value(found: re.Match[str]) -> str:
    value = found[2].strip("\\\"'")
    return found[0] if _PUBLIC(value) else f"{found[1]}{REDACTED}"
