"""The checks of a soak see what they are for: each finds its fault in a small journal and its books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.ids import public_id
from tests.soak.books import Books, Charged, Held, Moved, Refused
from tests.soak.check_answers import check_answers
from tests.soak.check_funds import check_funds, lowest
from tests.soak.check_holds import check_holds
from tests.soak.check_limits import Setting, Watched, check_limits, spent_before
from tests.soak.check_limits import Spent as Spending
from tests.soak.check_states import check_states
from tests.soak.journal import Act, Journal
from tests.soak.members import Bound, Customer, Payer, Place, World

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BALANCE = {"settled": "9", "held": "0", "available": "9"}
PAYER = public_id("be", 1)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


@pytest.fixture
def world() -> World:
    payer = Payer(PAYER, 1, [5], "prepaid", None, "sub_1")
    bound = Bound("lim_1", "billing_entity", 1, "day", "moved", Decimal(3), Decimal(3))
    place = Place("ws", 1, "tk_1", 1, [5])
    return World("tg_1", [Customer(1, "acme", "USD", Decimal(1), True, [], [payer], [place], [bound])])


def at(seconds: float) -> float:
    return (NOW + timedelta(seconds=seconds)).timestamp()


def note(journal: Journal, kind: str, answer: dict[str, Any], status: int = 201, **fields: Any) -> Act:
    about = {"customer": "acme"} | fields.pop("about", {})
    times = {"sent_at": at(0), "answered_at": at(1)} | fields.pop("times", {})
    act = Act(kind, "c", "POST", "/", fields.pop("body", {}), about=about, **times, **fields)
    journal.begin(act)
    act.status, act.answer = status, answer
    journal.end(act)
    return act


def charge(journal: Journal, key: str = "k", amount: str = "1", **fields: Any) -> Act:
    answer = {"id": f"ch_{key}", "billing_entity": PAYER, "amount": amount, "balance": BALANCE}
    return note(journal, "charge", answer, body={"idempotency_key": key}, **fields)


def charged(key: str = "k", amount: str = "1", seq: int = 2, **fields: Any) -> Charged:
    row = Charged(
        *(1, f"ch_{key}", key, True, 1, 1, None, seq, Decimal(amount), Decimal(0), NOW),
        *(NOW + timedelta(seconds=0.5), Decimal(9), Decimal(0), Decimal(9)),
    )
    return row._replace(**fields)


def books_of(*charges: Charged, paid_in: str = "10") -> Books:
    moves = [Moved(1, 1, "grant", "cash", "wallet", Decimal(paid_in), 7, False)]
    moves += [Moved(1, one.seq, "usage", "wallet", "revenue", one.amount, 7, False) for one in charges]
    books = Books(list(charges), {one.key: (1, "api") for one in charges}, len(charges), {}, {1: moves})
    day = NOW.replace(hour=0)
    books.counters = {"lim_1": {day: sum((one.amount for one in charges), Decimal(0))}}
    books.money = {kind: {} for kind in ("top_up", "grant", "adjust", "reverse")}
    return books


def everything(journal: Journal, books: Books, world: World) -> list[str]:
    return [
        *check_answers(journal, books),
        *check_funds(journal, books, world),
        *check_holds(journal, books),
        *check_limits(journal, books, world),
        *check_states(journal, books, world),
    ]


def test_books_that_agree_with_the_journal_are_right(journal: Journal, world: World) -> None:
    charge(journal)
    charge(journal, status=200)
    assert everything(journal, books_of(charged()), world) == []


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ([], "lost: charge k was acknowledged"),
        ([charged(amount="1.0000001")], "charge k was answered"),
        ([charged(available=Decimal(8))], "charge k was answered"),
        ([charged(payer=2)], "charge k was answered"),
        ([charged(), charged("other", seq=3)], "the event other is stored, and nobody was told"),
    ],
)
def test_a_charge_that_is_lost_changed_or_strange_is_seen(
    journal: Journal, stored: list[Charged], said: str
) -> None:
    charge(journal)
    assert any(said in line for line in check_answers(journal, books_of(*stored)))


def test_a_call_that_was_refused_again_while_it_was_under_way_may_have_gone_through(journal: Journal) -> None:
    denial = {"reason": "insufficient_funds", "level": "billing_entity", "id": PAYER}
    books = books_of(charged())
    books.denials = {
        "k": [
            Refused(1, "k", "insufficient_funds", "billing_entity", PAYER, Decimal(1), Decimal(0), None, None)
        ]
    }
    act = note(journal, "charge", {"denial": denial}, 402, body={"idempotency_key": "k"})
    assert any("the event k is stored" in line for line in check_answers(journal, books))
    act.failures.append("TimeoutError()")
    assert list(check_answers(journal, books)) == []


def test_two_answers_to_one_key_are_seen(journal: Journal) -> None:
    charge(journal)
    charge(journal, amount="2", status=200)
    assert any(
        "was answered" in line and "and then" in line for line in check_answers(journal, books_of(charged()))
    )


def test_an_event_of_a_batch_that_is_lost_or_rejected_is_seen(journal: Journal) -> None:
    counts = {"accepted": 1, "duplicates": 0, "quarantined": 0, "rejected": 0}
    note(journal, "report", counts, 200, about={"keys": ["e1"], "late": []})
    note(journal, "report", counts | {"accepted": 0, "rejected": 1}, 200, about={"keys": ["e2"], "late": []})
    found = list(check_answers(journal, books_of()))
    assert "lost: the event e1 was acknowledged" in found
    assert any("a batch was not taken" in line for line in found)


def test_a_top_up_that_is_lost_or_doubled_is_seen(journal: Journal) -> None:
    note(journal, "top_up", {"id": "top_1", "billing_entity": PAYER, "amount": "5"})
    books = books_of()
    books.money["top_up"] = {"top_2": (1, Decimal(5))}
    found = list(check_answers(journal, books))
    assert any(line.startswith("lost: top_up") for line in found)
    assert any("top_up top_2 is stored, and nobody was told" in line for line in found)


def test_a_refusal_that_is_not_written_down_or_has_no_ground_is_seen(journal: Journal) -> None:
    denial = {"reason": "insufficient_funds", "level": "billing_entity", "id": PAYER}
    note(journal, "charge", {"denial": denial}, 402, body={"idempotency_key": "r"})
    books = books_of()
    limited = Refused(
        1, "s", "spend_limit", "workspace", "ws_1", Decimal(1), Decimal(0), Decimal(3), Decimal(2)
    )
    books.denials = {"s": [limited]}
    found = list(check_answers(journal, books))
    assert any("a refusal was told and is not written down" in line for line in found)
    assert any("a limit refused what it had room for" in line for line in found)


def test_an_answer_that_something_went_wrong_is_seen(journal: Journal) -> None:
    charge(journal, failures=["500 {'error': ...}"])
    assert any("was answered by 500 1 times" in line for line in check_answers(journal, books_of(charged())))


def test_an_ask_below_the_floor_and_overspend_that_is_not_stated_are_seen(
    journal: Journal, world: World
) -> None:
    charge(journal, amount="11")
    books = books_of(charged(amount="11"))
    books.transfers[1][1:] = [
        Moved(1, 2, "usage", "wallet", "revenue", Decimal(10), 7, False),
        Moved(1, 2, "usage", "wallet", "revenue", Decimal(1), None, False),
    ]
    assert lowest(books.transfers[1]) == Decimal(-1)
    found = list(check_funds(journal, books, world))
    assert any("below its floor at 2, and 0 is stated" in line for line in found)
    assert any("an ask took" in line for line in found)
    books.overspend = {(1, 2): (Decimal(1), "overdraft")}
    found = list(check_funds(journal, books, world))
    assert ["an ask of payer 1 overspent at 2" in line for line in found] == [True]


def test_reported_usage_may_overspend_what_is_stated_and_a_grant_covers_it(
    journal: Journal, world: World
) -> None:
    books = books_of(charged("e", amount="11"), charged("f", amount="4", seq=4))
    books.transfers[1][1:] = [
        Moved(1, 2, "usage", "wallet", "revenue", Decimal(10), 7, False),
        Moved(1, 2, "usage", "wallet", "revenue", Decimal(1), None, False),
        Moved(1, 3, "top_up", "cash", "wallet", Decimal(3), 8, False),
        Moved(1, 4, "usage", "wallet", "revenue", Decimal(2), 8, False),
        Moved(1, 4, "usage", "wallet", "revenue", Decimal(2), None, False),
    ]
    books.overspend = {(1, 2): (Decimal(1), "reported"), (1, 4): (Decimal(2), "reported")}
    assert list(check_funds(journal, books, world)) == []
    books.overspend[1, 4] = (Decimal(3), "reported")
    assert len(list(check_funds(journal, books, world))) == 1


def test_what_was_owed_before_a_credit_limit_rose_is_measured_by_the_first(
    journal: Journal, world: World
) -> None:
    (payer,) = world.customers[0].payers
    payer.settlement, payer.credit_limit, payer.first = "invoice_only", Decimal(9), Decimal(1)
    note(journal, "credit", {}, 200, body={"credit_limit": "9"}, about={"payer": PAYER})
    books = books_of(charged(amount="3"))
    books.transfers[1][1:] = [Moved(1, 2, "usage", "receivable", "revenue", Decimal(3), None, False)]
    books.overspend = {(1, 2): (Decimal(2), "reported")}
    assert list(check_funds(journal, books, world)) == []
    books.overspend[1, 2] = (Decimal(1), "reported")
    assert len(list(check_funds(journal, books, world))) == 1


def test_money_that_was_promised_twice_is_seen(journal: Journal, world: World) -> None:
    act = charge(journal)
    act.answer["balance"] = BALANCE | {"available": "-0.01"}
    assert any(
        "more was promised than there is" in line for line in check_funds(journal, books_of(charged()), world)
    )


def test_an_ask_beyond_a_limit_is_seen(journal: Journal, world: World) -> None:
    charge(journal, "a", "2")
    charge(journal, "b", "1.5")
    found = list(check_limits(journal, books_of(charged("a", "2", 2), charged("b", "1.5", 3)), world))
    assert ["stood at 3 at most; b took 1.5 when 2 was spent already" in line for line in found] == [True]


def test_an_ask_while_the_limit_was_being_raised_is_given_the_benefit(journal: Journal, world: World) -> None:
    charge(journal, "a", "2")
    charge(journal, "b", "1.5")
    note(journal, "limit", {"used": "2"}, 200, body={"amount": "4"}, about={"limit": "lim_1"})
    assert list(check_limits(journal, books_of(charged("a", "2", 2), charged("b", "1.5", 3)), world)) == []


@pytest.mark.parametrize(("set_at", "seen"), [(0.2, 1), (0.8, 0)])
def test_what_an_earlier_day_had_spent_before_a_limit_was_set_counts_for_nobody(
    journal: Journal, world: World, set_at: float, seen: int
) -> None:
    times, about = {"sent_at": at(0), "answered_at": at(set_at)}, {"customer": "acme", "workspace": 1}
    note(journal, "new_limit", {"id": "lim_2"}, body={"amount": "3"}, times=times, about=about)
    charge(journal, "a", "2")
    charge(journal, "b", "1.5")
    world.customers[0].limits.clear()
    before = NOW - timedelta(days=20)
    one, other = charged("a", "2", 2, occurred_at=before), charged("b", "1.5", 3, occurred_at=before)
    later = other._replace(recorded_at=NOW + timedelta(seconds=0.9))
    found = list(check_limits(journal, books_of(one, later), world))
    assert ["b took 1.5 when 2 was spent already" in line for line in found] == [True] * seen


def test_a_limit_that_counts_otherwise_is_seen(journal: Journal, world: World) -> None:
    books = books_of(charged())
    books.counters["lim_1"][NOW.replace(hour=0)] = Decimal("1.5")
    assert any("counts 1.5" in line for line in check_limits(journal, books, world))


def test_what_of_another_payer_may_have_come_later_is_not_held_against_a_charge() -> None:
    one = Spending(1, 5, Decimal(1), 100, 101)
    others = [
        Spending(1, 4, Decimal(2), 99, 103),  # the same payer, before
        Spending(1, 6, Decimal(4), 90, 91),  # the same payer, after
        Spending(2, 1, Decimal(8), 98, 99.5),  # answered before it began
        Spending(2, 2, Decimal(16), 99, 100.5),  # may be either
        Spending(2, 3, Decimal(-1), 99, 102),  # may have given back before
    ]
    assert spent_before(one, others) == Decimal(9)


def test_the_amounts_that_may_have_been_in_force_are_those_between_two_answers() -> None:
    bound = Bound("lim_1", "workspace", 1, "day", "moved", Decimal(0))
    settings = [
        Setting(0, 0, Decimal(10)),
        Setting(10, 11, Decimal(20)),
        Setting(20, 21, Decimal(5)),
        Setting(30, 31, None),
    ]
    watched = Watched(bound, settings)
    assert watched.most(5, 6) == 10
    assert watched.most(10.2, 10.4) == 20
    assert watched.most(22, 23) == 5
    assert watched.most(20.5, 20.6) == 20
    assert watched.most(29, 30.5) is None
    assert Watched(bound, settings[1:]).most(5, 6) is None


def test_a_hold_that_is_left_over_or_ended_otherwise_is_seen(journal: Journal) -> None:
    made = {"amount": "2", "balance": BALANCE}
    for hold in ("auth_1", "auth_2", "auth_3"):
        note(journal, "authorize", made | {"id": hold})
    note(journal, "void", {}, 200, about={"hold": "auth_2"})
    capture = {"id": "ch_3", "amount": "1", "absorbed": "0.5", "balance": BALANCE}
    note(journal, "capture", capture, about={"hold": "auth_3"})
    books = Books(left=(1, 0, Decimal(2)))
    rows = [("auth_1", "authorized", None), ("auth_2", "expired", None), ("auth_3", "captured", Decimal(1))]
    for hold, status, amount in rows:
        books.holds[hold] = Held(1, hold, "authorization", status, Decimal(0), Decimal(2), amount, hold, 1)
    found = list(check_holds(journal, books))
    assert any("left over: 1 holds" in line for line in found)
    assert [line.partition(" is ")[0] for line in found if " is " in line] == ["auth_1", "auth_2"]
    assert any("auth_3 was captured for 1.5; stored: 1" in line for line in found)


def test_a_charge_while_its_payer_was_suspended_is_seen(journal: Journal, world: World) -> None:
    times = {"sent_at": at(-2), "answered_at": at(-1)}
    note(journal, "state", {}, 200, body={"status": "suspended"}, about={"payer": PAYER}, times=times)
    charge(journal)
    assert len(list(check_states(journal, books_of(charged()), world))) == 1
    times = {"sent_at": at(-0.5), "answered_at": at(2)}
    note(journal, "state", {}, 200, body={"status": "active"}, about={"payer": PAYER}, times=times)
    assert list(check_states(journal, books_of(charged()), world)) == []
