"""Secrets are found wherever they stand, and what is no secret is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidRequest
from core.redaction import REDACTED, Redactor, error_sentence, passwords_of, redact, redact_text

TG = "tg_" + "0123456789abcdef" * 2 + "qrstvw"
TK = "tk_" + "0123456789abcdef" * 2 + "qrstvw"
R = REDACTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"the key {TG} is unknown", f"the key {R} is unknown"),
        (f"{TK},{TG}", f"{R},{R}"),
        (f'{{"api_key": "{TK}", "n": 1}}', f'{{"api_key": {R}, "n": 1}}'),
        (f"Authorization: Bearer {TG}", f"Authorization: {R}"),
        ("authorization=Basic dXNlcjpwYXNz", f"authorization={R}"),
        ("HTTP_AUTHORIZATION: 'Bearer ab.cd.ef'", f"HTTP_AUTHORIZATION: {R}"),
        ("sent Bearer eyJhbGciOi.J9 to it", f"sent Bearer {R} to it"),
        ("X-Tollgate-Key: my-own-key", f"X-Tollgate-Key: {R}"),
        ("X-Api-Key=my-own-key&x=1", f"X-Api-Key={R}&x=1"),
        ("postgres://u:hunter2@db:5432/x failed", f"postgres://{R}@db:5432/x failed"),
        ("redis://:hunter2@cache/0", f"redis://{R}@cache/0"),
        ("https://token@host/path", f"https://{R}@host/path"),
        ("dbname=x user=u password=hunter2 host=h", f"dbname=x user=u password={R} host=h"),
        ("{'password': 'hunter 2', 'user': 'u'}", f"{{'password': {R}, 'user': 'u'}}"),
        ('{\\"secret\\": \\"hunter2\\"}', f'{{\\\\"secret\\\\": {R}}}'.replace("\\\\", "\\")),
        ("Cookie: sessionid=abc123", f"Cookie: {R}"),
        ("csrfmiddlewaretoken=abcdef", f"csrfmiddlewaretoken={R}"),
        ("client_secret: s3cr3t", f"client_secret: {R}"),
        ("access_token => s3cr3t", f"access_token => {R}"),
    ],
)
def test_a_secret_in_a_text_is_taken_out(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the charge ch_1h0123456789abcdefghjkmnpqrs of cus_0000001h cost 12.50 EUR",
        "api_key: key_0000001h",
        f"api_key={TG[:11]}",
        "tokens: 1200, input_tokens=7",
        "https://example.com/a@b",
        "a basic plan and a bearer of news",
        "cursor=abc, key=value",
        "GET /v1/charges?customer=cus_0000001h&limit=5",
        "2026-03-01T00:00:00Z",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_a_structure_is_searched_all_the_way_down() -> None:
    value: Any = {
        "request_id": "r1",
        "headers": {"Authorization": f"Bearer {TG}", "Accept": "*/*", "X-Api-Key": ""},
        "list": [f"a {TK}", ("Bearer abc.def9", 7), {"password": ["a", "b"]}],
        "body": f"secret={TG}".encode(),
        "seconds": 0.25,
        "ok": True,
        "none": None,
        "key": "key_0000001h",
        "api_key": "key_0000001h",
    }
    assert redact(value) == {
        "request_id": "r1",
        "headers": {"Authorization": R, "Accept": "*/*", "X-Api-Key": ""},
        "list": [f"a {R}", [f"Bearer {R}", 7], {"password": R}],
        "body": f"secret={R}",
        "seconds": 0.25,
        "ok": True,
        "none": None,
        "key": "key_0000001h",
        "api_key": "key_0000001h",
    }


def test_what_is_no_text_is_searched_as_it_would_be_written() -> None:
    assert redact({"error": ValueError(f"no {TG}")}) == {"error": f"no {R}"}
    deep: Any = TG
    for _ in range(20):
        deep = [deep]
    assert TG not in str(redact(deep))


def test_a_key_of_a_mapping_may_be_a_secret_itself() -> None:
    assert redact({TG: 1}) == {R: 1}


def test_an_installations_own_secrets_are_taken_out_wherever_they_stand() -> None:
    redactor = Redactor(["correct horse", "short", ""])
    line = redactor(None, "info", {"event": "it said correct horse, correct%20horse and short"})
    assert line == {"event": f"it said {R}, {R} and short"}


def test_the_passwords_of_servers_are_known() -> None:
    urls = ("postgres://u:p%40ss@db/x", "", "redis://:other@cache/0", "redis://cache/0")
    assert passwords_of(*urls) == ["p@ss", "other"]


def test_an_error_is_one_sentence_without_secrets() -> None:
    assert error_sentence(ValueError("a\nb")) == "ValueError: a"
    assert error_sentence(KeyError()) == "KeyError"
    assert error_sentence(InvalidRequest("c", f"No key {TG}.")) == f"No key {R}."
    assert len(error_sentence(ValueError("x" * 9000))) == 500
