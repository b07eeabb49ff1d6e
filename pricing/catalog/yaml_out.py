"""Published content as YAML that the reader takes unchanged: decimals in quotes, short items on one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

WIDTH: Final = 110
FIRST: Final = ("plan", "key", "feature", "family", "name", "currency", "meter", "model", "type", "event")
"""What stands first in a mapping; the rest comes in the order of the content."""

# A text that a reader of YAML 1.1 or 1.2 could take for something else, or that begins like syntax.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def write_documents(documents: Iterable[Mapping[str, Any]]) -> str:
    """A YAML file of these documents, divided by `---`."""
    yaml = YAML()
    yaml.width = WIDTH
    yaml.explicit_start = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    texts = []
    for document in documents:
        stream = StringIO()
        yaml.dump(_mapping(document), stream)
        texts.append(stream.getvalue())
    return "---\n".join(texts)


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list | tuple):
        return _sequence(value)
    return _text(value) if isinstance(value, str) else value


def _mapping(raw: Mapping[str, Any]) -> CommentedMap:
    names = [name for name in FIRST if name in raw] + [name for name in raw if name not in FIRST]
    return CommentedMap((_text(name), _value(raw[name])) for name in names)


def _sequence(raw: list[Any] | tuple[Any, ...]) -> CommentedSeq:
    """A list; items without parts of their own stand on one line each, bare values all on one."""
    sequence = CommentedSeq(_value(item) for item in raw)
    if all(not isinstance(item, Mapping | list | tuple) for item in raw):
        sequence.fa.set_flow_style()
    for item in sequence:
        if isinstance(item, CommentedMap) and all(_is_short(part) for part in item.values()):
            item.fa.set_flow_style()
    return sequence


def _is_short(value: Any) -> bool:
    if isinstance(value, CommentedMap):
        return all(not isinstance(part, CommentedMap | CommentedSeq) for part in value.values())
    return not isinstance(value, CommentedSeq)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted: str = DoubleQuotedScalarString(text)
    return quoted
