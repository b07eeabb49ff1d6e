"""Confirming what moves money or cannot be undone: the effect and the amount are said before the button."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from core.htmx import wants_fragment


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What is asked. `facts` are (name, HTML or text); `word` must be typed if nothing can undo it.

    `hidden` travels in the form: the idempotency key of the action, made when the question was put.
    """

    title: str
    effect: str
    verb: str
    url: str
    back_url: str
    facts: Sequence[tuple[str, str]] = ()
    hidden: Mapping[str, str] = field(default_factory=dict)
    word: str = ""
    is_danger: bool = False
    error: str = ""


def ask(request: HttpRequest, confirmation: Confirmation) -> HttpResponse:
    """The question: as a dialog for htmx (`hx-target="#dialog-slot"`), as a page without script."""
    template = "components/_confirm.html" if wants_fragment(request) else "pages/confirm.html"
    status = 422 if confirmation.error else 200
    return render(request, template, {"confirmation": confirmation}, status=status)


def wrong_word(request: HttpRequest, confirmation: Confirmation) -> HttpResponse | None:
    """The question again if the word typed is not the one asked for; None lets the action go on."""
    typed = request.POST.get("confirm_word", "").strip()
    if not confirmation.word or typed == confirmation.word:
        return None
    return ask(
        request, replace(confirmation, error=f"Type {confirmation.word} to go on. Nothing has been done.")
    )
