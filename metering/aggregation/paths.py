"""Reading a property by its dotted path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Properties = Mapping[str, Any]
Reader = Callable[[Properties], Any]


def compile_path(path: str) -> Reader:
    """A function that finds `path` in an event's properties; None where it is missing or null.

    `a.b` is first looked for under that very name (flat names with points are common: OpenTelemetry), then as
    property `b` of object `a`. The empty path and empty steps are the caller's to refuse.
    """
    if "." not in path:
        return lambda properties: properties.get(path)
    steps = path.split(".")

    def read(properties: Properties) -> Any:
        found: Any = properties.get(path)
        if found is not None:
            return found
        found = properties
        for step in steps:
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        return found

    return read
