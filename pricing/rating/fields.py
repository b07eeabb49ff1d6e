"""Reading a mapping field by field: each error names the path of the value and says what would be valid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from core.errors import InvalidRequest
from core.numbers import ZERO, parse_price, parse_quantity

NAME_LENGTH_MAX: Final = 200
COUNT_DIGITS_MAX: Final = 18

Parse = Callable[[object, str], Decimal]


class Fields:
    """A mapping that came from a caller, and its path. A null value counts as absent.

    Readers raise InvalidRequest; `finish` refuses the keys that no reader asked for.
    """

    __slots__ = ("_asked", "_raw", "path")

    def __init__(self, raw: object, path: str) -> None:
        if not isinstance(raw, Mapping):
            raise InvalidRequest("invalid_type", f"{path or 'Each item'} must be an object.", path or None)
        self._raw: Mapping[Any, Any] = raw
        self._asked: set[str] = set()
        self.path = path

    def path_to(self, name: str) -> str:
        """The path of a field, for errors."""
        return f"{self.path}.{name}" if self.path else name

    def value(self, name: str) -> Any:
        """The raw value; None when absent."""
        self._asked.add(name)
        return self._raw.get(name)

    def required(self, name: str) -> Any:
        """The raw value of a field that must be there."""
        value = self.value(name)
        if value is None:
            raise InvalidRequest("required", f"{self.path_to(name)} is missing.", self.path_to(name))
        return value

    def has(self, name: str) -> bool:
        """Whether the key stands there, be it with null."""
        self._asked.add(name)
        return name in self._raw

    def name(self, name: str) -> str:
        """A required name: 1 to 200 characters, none of them a control character."""
        return read_name(self.required(name), self.path_to(name))

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """A required text out of a few."""
        value = self.required(name)
        if not isinstance(value, str) or value not in options:
            raise self.error(name, "invalid_value", f"must be one of: {', '.join(options)}")
        return value

    def flag(self, name: str) -> bool:
        """true or false; false when absent."""
        value = self.value(name)
        if value is not None and not isinstance(value, bool):
            raise self.error(name, "invalid_type", "must be true or false")
        return bool(value)

    def price(self, name: str) -> Decimal:
        """A required price, rate or amount, not negative."""
        self.required(name)
        return self.optional_price(name) or ZERO

    def optional_price(self, name: str) -> Decimal | None:
        """A price, rate or amount, not negative; None when absent."""
        return self._not_negative(name, parse_price)

    def quantity(self, name: str) -> Decimal:
        """A required quantity, not negative."""
        self.required(name)
        return self.optional_quantity(name) or ZERO

    def optional_quantity(self, name: str) -> Decimal | None:
        """A quantity, not negative; None when absent."""
        return self._not_negative(name, parse_quantity)

    def positive_quantity(self, name: str) -> Decimal:
        """A required quantity above 0."""
        quantity = self.quantity(name)
        if not quantity:
            raise self.error(name, "invalid_value", "must be more than 0")
        return quantity

    def optional_count(self, name: str) -> int | None:
        """A whole number, quoted or not, not negative; None when absent."""
        value = self.value(name)
        if value is None:
            return None
        text = str(value) if type(value) is int or isinstance(value, str) else ""
        if not (text.isascii() and text.isdigit()):
            raise self.error(name, "invalid_type", "must be a whole number that is not negative")
        if len(text.lstrip("0")) > COUNT_DIGITS_MAX:
            raise self.error(name, "number_out_of_range", f"may have at most {COUNT_DIGITS_MAX} digits")
        return int(text)

    def items(self, name: str) -> list[Any]:
        """A required list."""
        return self.optional_items(name, self.required(name))

    def optional_items(self, name: str, default: Any = ()) -> list[Any]:
        """A list; the default when absent."""
        value = self.value(name)
        value = default if value is None else value
        if not isinstance(value, (list, tuple)):
            raise self.error(name, "invalid_type", "must be a list")
        return list(value)

    def objects(self, name: str) -> Iterator[Fields]:
        """The objects of a required list, each with its path."""
        for index, item in enumerate(self.items(name)):
            yield Fields(item, f"{self.path_to(name)}[{index}]")

    def names(self, name: str) -> tuple[str, ...]:
        """A list of different names; empty when absent."""
        names: list[str] = []
        for index, item in enumerate(self.optional_items(name)):
            path = f"{self.path_to(name)}[{index}]"
            text = read_name(item, path)
            if text in names:
                raise InvalidRequest("duplicate", f"{path}: {text!r} stands in the list already.", path)
            names.append(text)
        return tuple(names)

    def keys(self) -> list[str]:
        """The keys of a mapping whose keys are the caller's own (usage, dimensions), as texts."""
        self._asked.update(self._raw)
        return [str(key) for key in self._raw]

    def error(self, name: str, code: str, message: str) -> InvalidRequest:
        """An error about a field; the message goes on after the field's path."""
        path = self.path_to(name)
        return InvalidRequest(code, f"{path} {message}.", path)

    def finish(self) -> None:
        """Refuse keys that nobody asked for: a misspelt modifier must not be ignored."""
        for key in self._raw:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise self.error(str(key), "unknown_key", f"is not known here; known are: {known}")

    def _not_negative(self, name: str, parse: Parse) -> Decimal | None:
        value = self.value(name)
        if value is None:
            return None
        number = parse(value, self.path_to(name))
        if number < 0:
            raise self.error(name, "negative_number", "must not be negative")
        return number


def read_name(value: object, path: str) -> str:
    """A text of 1 to 200 printable characters, or InvalidRequest."""
    if not isinstance(value, str):
        raise InvalidRequest("invalid_type", f"{path} must be a text.", path)
    if not 0 < len(value) <= NAME_LENGTH_MAX or not value.isprintable():
        message = f"{path} must be a text of 1 to {NAME_LENGTH_MAX} printable characters."
        raise InvalidRequest("invalid_value", message, path)
    return value
