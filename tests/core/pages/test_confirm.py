"""Questions before money moves."""

from __future__ import annotations

from dataclasses import replace

from django.test import RequestFactory

from core.pages.confirm import Confirmation, ask, wrong_word

QUESTION = Confirmation(
    title="Void?",
    effect="The document is void <for good>.",
    facts=[("Amount", "USD 5.00")],
    verb="Void USD 5.00",
    url="/void",
    back_url="/document",
    hidden={"idempotency_key": "k1"},
)


def test_htmx_gets_a_dialog_that_says_effect_and_amount() -> None:
    text = ask(RequestFactory().get("/void", headers={"hx-request": "true"}), QUESTION).content.decode()
    assert text.lstrip().startswith("<dialog")
    assert "The document is void &lt;for good&gt;." in text
    assert "Void USD 5.00" in text
    assert 'name="idempotency_key" value="k1"' in text


def test_everyone_else_gets_a_page_with_a_way_back() -> None:
    text = ask(RequestFactory().get("/void"), QUESTION).content.decode()
    assert "<!doctype html>" in text
    assert 'href="/document"' in text


def test_without_a_word_the_action_goes_on() -> None:
    assert wrong_word(RequestFactory().post("/void"), QUESTION) is None


def test_the_right_word_lets_the_action_go_on() -> None:
    question = replace(QUESTION, word="acme")
    assert wrong_word(RequestFactory().post("/void", {"confirm_word": " acme "}), question) is None


def test_a_wrong_word_is_asked_again_and_nothing_is_done() -> None:
    question = replace(QUESTION, word="acme")
    for typed in ({}, {"confirm_word": "ACME"}):
        response = wrong_word(RequestFactory().post("/void", typed), question)
        assert response is not None
        assert response.status_code == 422
        assert "Nothing has been done" in response.content.decode()
