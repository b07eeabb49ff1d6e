"""YAML in: plain values, and the line on which each of them stands.

A careful subset of YAML 1.2: no number with a point (prices are quoted, so that no float comes near
them), no octal, hexadecimal or underscored numbers, no tags, no merge keys, no key twice. Aliases are
allowed and bounded, so that a small file cannot grow into a large one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from core.errors import InvalidRequest
from core.jsonio import check_json
from pricing.catalog.problems import CatalogError, Problem

BYTES_MAX: Final = 1_000_000
VALUES_MAX: Final = 100_000
DEPTH_MAX: Final = 32
_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,29}")
_BOOLEANS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: its value, and the line of each path in it ("" is the document)."""

    value: Any
    file: str | None = None
    lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, path: str | None) -> int | None:
        """The line of `path`, or of the nearest value around it that the document has."""
        path = path or ""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path)


def read_documents(raw: bytes, file: str) -> list[Document]:
    """The documents of a YAML file, in order; empty ones are left out. Raises CatalogError."""
    text = _decode(raw, file)
    try:
        nodes = list(YAML(typ="safe", pure=True).compose_all(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise _refused(file, mark.line + 1 if mark else None, "invalid_yaml", f"Not YAML: {what}.") from error
    except YAMLError as error:
        first_line = str(error).splitlines()[0]
        raise _refused(file, None, "invalid_yaml", f"Not YAML: {first_line}.") from error
    except RecursionError as error:
        raise _refused(file, None, "too_deep", _too_deep()) from error
    except (
        ValueError,
        OverflowError,
        KeyError,
        IndexError,
    ) as error:  # the parser's own slips on bad escapes
        raise _refused(
            file, None, "invalid_yaml", "Not YAML: an escape or a directive is malformed."
        ) from error
    documents = [_Reader(file).document(node) for node in nodes]
    return [document for document in documents if document.value is not None]


def _decode(raw: bytes, file: str) -> str:
    if len(raw) > BYTES_MAX:
        raise _refused(file, None, "too_large", f"A plan file has at most {BYTES_MAX:,} bytes.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _refused(file, line, "invalid_utf8", f"Not UTF-8 at byte {error.start}.") from error


class _Reader:
    """Turns one document's nodes into values and notes their lines."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: dict[str, int] = {}

    def document(self, node: Node) -> Document:
        """The whole document."""
        value = self._value(node, "", 0)
        document = Document(value, self._file, self._lines)
        try:
            check_json(value)
        except InvalidRequest as error:
            raise _refused(
                self._file, document.line_of(error.param), error.code, error.message, error.param
            ) from None
        return document

    def _value(self, node: Node, path: str, depth: int) -> Any:
        self._lines[path] = node.start_mark.line + 1
        if len(self._lines) > VALUES_MAX:
            raise self._error(node, path, "too_large", f"A document holds at most {VALUES_MAX:,} values.")
        if depth > DEPTH_MAX:
            raise self._error(node, path, "too_deep", _too_deep())
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._value(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(node.value)]
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path, depth)
        raise self._error(node, path, "invalid_yaml", f"Tags such as {node.tag} are not allowed.")

    def _mapping(self, node: MappingNode, path: str, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            below = f"{path}.{key}" if path else key
            if key in mapping:
                raise self._error(key_node, below, "duplicate", "stands twice in the same mapping.")
            mapping[key] = self._value(value_node, below, depth + 1)
        return mapping

    def _key(self, node: Node, path: str) -> str:
        if node.tag == f"{_TAG}merge":
            raise self._error(
                node, path, "invalid_yaml", "Merge keys (<<) are not allowed: write the fields out."
            )
        if not isinstance(node, ScalarNode) or node.tag not in (f"{_TAG}str", f"{_TAG}timestamp"):
            raise self._error(node, path, "invalid_yaml", "Keys are texts; put other keys in quotes.")
        return str(node.value)

    def _scalar(self, node: ScalarNode, path: str) -> str | int | bool | None:
        kind, text = str(node.tag).removeprefix(_TAG), str(node.value)
        if kind in ("str", "timestamp"):
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if kind == "int" and _INTEGER.fullmatch(text):
            return int(text)
        if kind in ("float", "int"):
            raise self._error(
                node, path, "invalid_type", f'must be a decimal number in quotes: "{text}", not {text}.'
            )
        raise self._error(
            node, path, "invalid_yaml", f"{text[:40]!r} as {kind} is not allowed; put texts in quotes."
        )

    def _error(self, node: Node, path: str, code: str, message: str) -> CatalogError:
        said = f"{path} {message}" if path and message[0].islower() else message
        return _refused(self._file, node.start_mark.line + 1, code, said, path or None)


def _too_deep() -> str:
    return f"A document may be nested {DEPTH_MAX} levels deep."


def _refused(file: str, line: int | None, code: str, message: str, path: str | None = None) -> CatalogError:
    return CatalogError([Problem(code, message, path, file, line)])
