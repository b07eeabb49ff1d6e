"""One key, one piece of work: also when two requests come at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from threading import Barrier, Event, Timer
from typing import Any

import pytest

from core.api.idempotency import answer_once, by_value
from core.errors import Conflict, InvalidRequest
from core.models import ConfigVersion, IdempotentRequest
from tests.concurrency.crowd import tried_at_once

Work = Callable[[], tuple[int, Any]]


def once(work: Work, payload: dict[str, Any] | None = None, key: str | None = "k", **options: Any) -> Any:
    return answer_once(operation="tests.make", key=key, payload=payload or {}, work=work, **options)


def body_of(response: Any) -> Any:
    return response.data if hasattr(response, "data") else response.content.decode()


class Counted:
    """Work that counts how often it was done."""

    def __init__(self, fails: int = 0) -> None:
        self.done = 0
        self.fails = fails

    def __call__(self) -> tuple[int, Any]:
        self.done += 1
        if self.done <= self.fails:
            raise InvalidRequest("bad", "Bad.")
        return 201, {"amount": Decimal("1.50"), "number": self.done}


@pytest.mark.django_db
def test_without_a_key_every_request_works() -> None:
    work = Counted()
    once(work, key=None)
    once(work, key=None)
    assert work.done == 2
    assert not IdempotentRequest.objects.exists()


@pytest.mark.django_db
def test_a_replay_has_the_first_body_in_its_first_order() -> None:
    work = Counted()
    once(work)
    replay = once(work)
    assert work.done == 1
    assert (replay.status_code, replay.content) == (201, b'{"amount":"1.5","number":1}')
    assert replay["Idempotent-Replayed"] == "true"
    assert replay["Content-Type"] == "application/json"


@pytest.mark.django_db
def test_an_error_rolls_back_the_key_with_the_work() -> None:
    work = Counted(fails=1)
    with pytest.raises(InvalidRequest):
        once(work)
    assert not IdempotentRequest.objects.exists()
    assert once(work).status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        ({"a": 1}, {"a": Decimal("1.0")}, None),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}, "a.b[0]"),
        ({"a": "x"}, {"a": "y"}, "a"),
        ({"a": True}, {"a": False}, "a"),
        ({"a": Decimal("1e999999")}, {"a": Decimal("1e999998")}, "a"),
        ({"a": 10**400}, {"a": 10**400}, None),
    ],
)
def test_payloads_are_compared_by_value(first: Any, second: Any, differs: str | None) -> None:
    work = Counted()
    once(work, first)
    if differs is None:
        assert once(work, second).status_code == 201
    else:
        with pytest.raises(Conflict) as raised:
            once(work, second)
        assert raised.value.param == differs
    assert work.done == 1


def test_amounts_written_as_texts_have_one_notation() -> None:
    payload = {"amount": "10.00", "name": "10.00", "rate": "x", "none": None}
    assert by_value(payload, {"amount", "rate", "none"}) == {
        "amount": "10",
        "name": "10.00",
        "rate": "x",
        "none": None,
    }
    assert by_value({"amount": "1e999999999"}, {"amount"}) == {"amount": "1E+999999999"}


@pytest.mark.django_db
def test_secrets_are_in_the_first_answer_only() -> None:
    def work() -> tuple[int, Any]:
        return 201, {"id": "x", "secret": "s3cret"}

    assert once(work, secrets=["secret"]).data["secret"] == "s3cret"
    replay = once(work, secrets=["secret"])
    assert replay.content == b'{"id":"x","secret":null}'
    assert "s3cret" not in str(IdempotentRequest.objects.values())


# Two at once, on two connections.


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_works_and_the_other_waits_for_its_answer() -> None:
    is_working, may_finish, work = Event(), Event(), Counted()

    def slow() -> tuple[int, Any]:
        is_working.set()
        may_finish.wait(10)
        return work()

    def second() -> Any:
        is_working.wait(10)
        Timer(0.3, may_finish.set).start()
        return once(work)

    first, replay = tried_at_once(lambda: once(slow), second)
    assert (first.status_code, replay.status_code) == (201, 201)
    assert replay["Idempotent-Replayed"] == "true"
    assert work.done == 1


@pytest.mark.django_db(transaction=True)
def test_when_the_first_of_two_fails_the_second_does_the_work() -> None:
    is_working, may_fail, work = Event(), Event(), Counted()

    def failing() -> tuple[int, Any]:
        is_working.set()
        may_fail.wait(10)
        raise InvalidRequest("bad", "Bad.")

    def second() -> Any:
        is_working.wait(10)
        Timer(0.3, may_fail.set).start()
        return once(work)

    first, answer = tried_at_once(lambda: once(failing), second)
    assert isinstance(first, InvalidRequest)
    assert answer.status_code == 201
    assert work.done == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_exactly_one_works() -> None:
    barrier = Barrier(8)

    def work() -> tuple[int, Any]:
        version = ConfigVersion.objects.get()
        ConfigVersion.objects.update(version=version.version + 1)
        return 201, {"version": version.version}

    ConfigVersion.objects.update_or_create(id=1, defaults={"version": 100})

    def one() -> Any:
        barrier.wait(10)
        return once(work)

    answers = tried_at_once(*[one] * 8)
    assert [answer.status_code for answer in answers] == [201] * 8
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert ConfigVersion.objects.get().version == 101
