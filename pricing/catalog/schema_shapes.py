"""The words in which the schema of plan files is written: decimals in quotes, keys, records, lists.

A field that may be left out may also be null, as the readers have it.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]


def decimal(integer_digits: int, decimals: int, *, positive: bool = False) -> Schema:
    """A number that is not negative, in quotes."""
    more = "(?=.*[1-9])" if positive else ""
    return {
        "type": "string",
        "pattern": rf"^{more}0*[0-9]{{1,{integer_digits}}}(\.[0-9]{{1,{decimals}}}0*)?$",
        "examples": ["12.5"],
        "description": "A decimal in quotes.",
    }


PRICE: Final = decimal(20, 18)
POSITIVE_PRICE: Final = decimal(20, 18, positive=True)
QUANTITY: Final = decimal(20, 12)
POSITIVE_QUANTITY: Final = decimal(20, 12, positive=True)
PERCENT: Final = decimal(3, 18) | {"description": "A percentage in quotes, at most 100."}
KEY: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"}
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}
NAMES: Final[Schema] = {"type": "array", "items": NAME, "uniqueItems": True}
CURRENCY: Final[Schema] = {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{2,11}$", "examples": ["USD"]}
INSTANT: Final[Schema] = {"type": "string", "format": "date-time", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}"}
DAY: Final[Schema] = {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


def choice(*options: str) -> Schema:
    """One text of a few."""
    return {"enum": list(options)}


def count(least: int, most: int | None = None) -> Schema:
    """A whole number, quoted or not."""
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return {"type": ["integer", "string"], **bounds, "pattern": "^[0-9]+$"}


def flag() -> Schema:
    """true or false."""
    return {"type": "boolean"}


def items(of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": of}


def mapping(of: Schema) -> Schema:
    """Things by the key of what they change; null takes that away."""
    return {"type": "object", "additionalProperties": or_null(of)}


def reference(name: str) -> Schema:
    """A definition of the schema, by name."""
    return {"$ref": f"#/$defs/{name}"}


def said(schema: Schema, description: str) -> Schema:
    """The schema with a description for editors to show."""
    return schema | {"description": description}


def record(fields: dict[str, Schema], *required: str) -> Schema:
    """An object with these fields and no other; those that are not required may be null."""
    return {
        "type": "object",
        "properties": {
            name: schema if name in required else or_null(schema) for name, schema in fields.items()
        },
        "required": list(required),
        "additionalProperties": False,
    }


def one_of(
    fields: dict[str, Schema], required: tuple[str, ...], *ways: tuple[tuple[str, ...], tuple[str, ...]]
) -> Schema:
    """A record in one of several ways: each has fields that must be there, and others that must not."""
    gone: Schema = {"type": "null"}
    there: Schema = {"not": gone}
    return record(fields, *required) | {
        "oneOf": [
            {
                "required": list(must),
                "properties": dict.fromkeys(must, there) | dict.fromkeys(must_not, gone),
            }
            for must, must_not in ways
        ]
    }


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    if "$ref" in schema or "oneOf" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if "const" in schema:
        return {"enum": [schema["const"], None]}
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    return schema | {"type": [*kinds, "null"]}
