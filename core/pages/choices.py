"""Filters of a list by choices: the number of a row, or one of a few words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from core.ids import row_id

ANY: Final = ("", "Any")


@dataclass(frozen=True)
class Choice:
    """A filter by a column that holds the number of a row: `options` are (public id, label)."""

    name: str
    column: str
    prefix: str
    options: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Words:
    """A filter by a column that holds one of a few words: `options` are (word, label).

    `stored`: what the column holds for a word, where that is not the word itself.
    """

    name: str
    column: str
    options: Sequence[tuple[str, str]]
    stored: Mapping[str, str] = field(default_factory=dict)


def as_badges(options: Sequence[tuple[Any, Any]]) -> list[tuple[str, str]]:
    """The options as badges show them: `late_capture` is "Late capture" unless somebody gave it a name."""
    shown = []
    for word, label in options:
        plain = str(word).replace("_", " ")
        shown.append((str(word), plain.capitalize() if label == plain.title() else str(label)))
    return shown


class RowFilters:
    """The rows that fit a form of choices, in the shape that a `Listing` asks for."""

    def __init__(
        self, choices: Sequence[Choice | Words], data: Mapping[str, Any], rows: QuerySet[Any]
    ) -> None:
        self._choices = choices
        self._rows = rows
        self.form = forms.Form(data, use_required_attribute=False)
        for choice in choices:
            label = choice.name.rpartition("-")[2].replace("_", " ").capitalize()
            options = as_badges(choice.options) if isinstance(choice, Words) else choice.options
            field = forms.ChoiceField(required=False, choices=[ANY, *options], label=label)
            self.form.fields[choice.name] = field

    @property
    def qs(self) -> QuerySet[Any]:
        """The rows that fit; a choice that is not offered narrows nothing."""
        self.form.is_valid()
        rows = self._rows
        for choice in self._choices:
            chosen = self.form.cleaned_data.get(choice.name)
            if chosen:
                rows = rows.filter(**{choice.column: _stored(choice, chosen)})
        return rows


def filter_by(*choices: Choice | Words) -> Callable[..., RowFilters]:
    """The filters of a listing; a choice among fewer than two is no choice and is left out."""
    offered = [choice for choice in choices if len(choice.options) > 1]

    def make(data: Mapping[str, Any], queryset: QuerySet[Any], request: HttpRequest) -> RowFilters:
        return RowFilters(offered, data, queryset)

    return make


def _stored(choice: Choice | Words, chosen: str) -> int | str:
    return row_id(choice.prefix, chosen) if isinstance(choice, Choice) else choice.stored.get(chosen, chosen)
