"""`/v1/customers`, and with it what every resource does the same way."""

from __future__ import annotations

import pytest

from accounts.models import Customer
from core.models import IdempotentRequest
from tests.accounts.caller import Caller, caller_with
from tests.accounts.conftest import Clock, Tenant

PATH = "/v1/customers"


def test_a_customer_is_created_and_read_by_either_id(admin: Caller, at: Clock) -> None:
    made = admin.made(PATH, {"name": "Acme", "external_id": "crm-17"})
    assert made == {
        "id": made["id"],
        "name": "Acme",
        "external_id": "crm-17",
        "created_at": "2026-03-10T12:00:00Z",
    }
    assert made["id"].startswith("cus_")
    assert admin.get(f"{PATH}/{made['id']}").json == made
    assert admin.get(f"{PATH}/crm-17").json == made


def test_a_customer_without_a_name_is_called_by_its_external_id(admin: Caller) -> None:
    assert admin.made(PATH, {"external_id": "crm-17"})["name"] == "crm-17"
    assert admin.post(PATH, {}).error["param"] == "name"


def test_a_customer_changes_its_name_and_external_id(admin: Caller, acme: Tenant) -> None:
    answer = admin.patch(f"{PATH}/acme", {"name": "Acme AG", "external_id": "acme-ag"})
    assert (answer.status, answer.json["name"], answer.json["external_id"]) == (200, "Acme AG", "acme-ag")
    assert admin.get(f"{PATH}/acme").status == 404
    assert admin.patch(f"{PATH}/acme-ag", {"external_id": None}).json["external_id"] is None


def test_operators_names_that_look_like_ids_are_not_taken_for_ids(admin: Caller, acme: Tenant) -> None:
    for name in ("cus_1", "cus_acme", "ws_1", acme.customer.public_id[:-1]):
        made = admin.made(PATH, {"external_id": name})
        assert admin.get(f"{PATH}/{name}").json["id"] == made["id"]
    answer = admin.post(PATH, {"external_id": acme.customer.public_id})
    assert (answer.status, answer.error["code"]) == (400, "reserved_id")


def test_an_external_id_is_taken_once(admin: Caller, acme: Tenant) -> None:
    answer = admin.post(PATH, {"name": "Other", "external_id": "acme"})
    assert answer.status == 409
    assert (answer.error["type"], answer.error["code"], answer.error["param"]) == (
        "conflict",
        "already_exists",
        "external_id",
    )
    other = admin.made(PATH, {"name": "Other"})
    assert admin.patch(f"{PATH}/{other['id']}", {"external_id": "acme"}).status == 409
    assert admin.patch(f"{PATH}/acme", {"external_id": "acme"}).status == 200


# Access.


def test_without_a_key_nothing_is_answered(acme: Tenant) -> None:
    nobody = Caller()
    for answer in (nobody.get(PATH), nobody.get(f"{PATH}/acme"), nobody.post(PATH, {"name": "x"})):
        assert (answer.status, answer.error["type"]) == (401, "authentication")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_reader_reads_and_does_not_write(reader: Caller, acme: Tenant) -> None:
    assert reader.get(f"{PATH}/acme").status == 200
    for answer in (reader.post(PATH, {"name": "x"}), reader.patch(f"{PATH}/acme", {"name": "x"})):
        assert (answer.status, answer.error["type"], answer.error["code"]) == (
            403,
            "permission",
            "missing_scope",
        )
    assert list(Customer.objects.values_list("name", flat=True)) == ["acme"]


def test_a_key_that_may_only_charge_reads_nothing(acme: Tenant) -> None:
    gateway = caller_with("events:write", "charges:write")
    assert gateway.get(PATH).status == 403
    assert gateway.post(PATH, {"name": "x"}).status == 403


# Edges.


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        ({"name": 5}, "name"),
        ({"name": True}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": {"x": 1}}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x" * 10_000}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x7fb"}, "name"),
        ({"name": "x", "external_id": 7}, "external_id"),
        ({"name": "x", "external_id": "x" * 10_000}, "external_id"),
        ({"name": "x", "external_id": ""}, "external_id"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "x", "id": "cus_1"}, "id"),
    ],
)
def test_a_wrong_value_is_named(admin: Caller, payload: object, param: str) -> None:
    answer = admin.post(PATH, payload)
    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request", param)
    assert not Customer.objects.exists()


@pytest.mark.parametrize("body", [b"[]", b"5", b'"x"', b"null", b"[{}]"])
def test_a_body_that_is_no_object_is_refused(admin: Caller, body: bytes) -> None:
    for key in ({}, {"Idempotency-Key": "k"}):
        assert admin.request("POST", PATH, body, key).status == 400


def test_names_are_texts_of_any_language(admin: Caller) -> None:
    name = "Ökonomie 株式会社 🚀 ﷽"
    made = admin.made(PATH, {"name": name, "external_id": "株"})
    assert made["name"] == name
    assert admin.get(f"{PATH}/%E6%A0%AA").json["id"] == made["id"]


def test_nul_characters_are_refused_wherever_they_come_in(admin: Caller) -> None:
    assert admin.post(PATH, {"name": "a\x00b"}).error["code"] == "invalid_text"
    assert admin.get(f"{PATH}/a%00b").status == 404
    assert admin.get(PATH, name="a\x00b").status == 400
    assert admin.get(PATH, cursor="a\x00b").status == 400


def test_an_id_that_names_nothing_is_not_found(admin: Caller, acme: Tenant) -> None:
    ids = ("cus_zzzzzzzzzzzz", "nobody", "cus_", "%20", "ws_00000001", "x" * 5000, "%F0%9F%9A%80")
    for reference in ids:
        answer = admin.get(f"{PATH}/{reference}")
        assert (answer.status, answer.error["type"]) == (404, "not_found")


def test_a_method_that_is_not_there_is_405_and_a_format_406(admin: Caller, acme: Tenant) -> None:
    answer = admin.request("DELETE", f"{PATH}/acme")
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    answer = admin.request("GET", PATH, headers={"Accept": "text/csv"})
    assert (answer.status, answer.error["code"]) == (406, "not_acceptable")
    answer = admin.request("POST", PATH, b"name=x", {"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")


# Lists.


def test_lists_are_paged_by_cursor_the_newest_first(admin: Caller) -> None:
    for number in range(5):
        admin.made(PATH, {"name": f"Customer {number}"})
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = admin.get(PATH, limit="2", **({"cursor": cursor} if cursor else {})).json
        names += [row["name"] for row in page["data"]]
        cursor = page["next_cursor"]
        assert page["has_more"] == (cursor is not None)
        if cursor is None:
            break
    assert names == [f"Customer {number}" for number in (4, 3, 2, 1, 0)]


def test_a_new_row_does_not_shift_the_next_page(admin: Caller) -> None:
    for number in range(4):
        admin.made(PATH, {"name": f"Customer {number}"})
    first = admin.get(PATH, limit="2").json
    admin.made(PATH, {"name": "Late"})
    second = admin.get(PATH, limit="2", cursor=first["next_cursor"]).json
    assert [row["name"] for row in second["data"]] == ["Customer 1", "Customer 0"]


def test_a_cursor_is_taken_only_as_given_and_only_by_its_list(admin: Caller) -> None:
    for number in range(3):
        admin.made(PATH, {"name": f"Customer {number}"})
    cursor = admin.get(PATH, limit="1").json["next_cursor"]
    forged = [cursor[:-1], cursor + "x", "x" + cursor, "{}", "W10:abc:def", "x" * 10_000, "💣"]
    for text in forged:
        answer = admin.get(PATH, cursor=text)
        assert (answer.status, answer.error["code"], answer.error["param"]) == (
            400,
            "invalid_cursor",
            "cursor",
        )
    assert admin.get("/v1/workspaces", cursor=cursor).error["code"] == "invalid_cursor"


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "", "1.5", "1e2", "\uff19", "99999999999999999999"])
def test_a_limit_is_a_number_from_1_to_500(admin: Caller, limit: str) -> None:
    assert admin.get(PATH, limit=limit).error["param"] == "limit"


def test_lists_are_filtered_and_unknown_filters_refused(
    admin: Caller, acme: Tenant, stranger: Tenant
) -> None:
    assert [row["name"] for row in admin.get(PATH, external_id="acme").json["data"]] == ["acme"]
    assert [row["name"] for row in admin.get(PATH, name="STRANG").json["data"]] == ["stranger"]
    assert admin.get(PATH, name="%").json["data"] == []
    answer = admin.get(PATH, extrenal_id="acme")
    assert (answer.status, answer.error["code"], answer.error["param"]) == (
        400,
        "unknown_parameter",
        "extrenal_id",
    )
    assert admin.get(f"{PATH}?name=a&name=b").error["code"] == "repeated_parameter"
    assert admin.get(PATH, external_id="").error["code"] == "blank"


def test_a_list_costs_two_queries_however_long(admin: Caller, django_assert_num_queries: object) -> None:
    for number in range(20):
        admin.made(PATH, {"name": f"Customer {number}"})
    admin.get(PATH)
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert len(admin.get(PATH).json["data"]) == 20


# Idempotency-Key.


def test_a_repeated_request_gets_the_first_answer_byte_by_byte(admin: Caller) -> None:
    first = admin.post(PATH, {"name": "Acme", "external_id": "acme"}, key="k-1")
    again = admin.post(PATH, {"external_id": "acme", "name": "Acme"}, key="k-1")
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert Customer.objects.count() == 1


def test_another_payload_under_the_same_key_is_a_conflict_that_names_the_fields(admin: Caller) -> None:
    admin.made(PATH, {"name": "Acme", "external_id": "acme"}, key="k-1")
    answer = admin.post(PATH, {"name": "Other", "external_id": "acme"}, key="k-1")
    assert (answer.status, answer.error["code"], answer.error["param"]) == (
        409,
        "idempotency_key_reused",
        "name",
    )
    assert "name" in answer.error["message"]
    assert "external_id" not in answer.error["message"]


def test_a_field_that_one_side_leaves_out_does_not_differ(admin: Caller) -> None:
    first = admin.post(PATH, {"name": "Acme", "external_id": "acme"}, key="k-1")
    assert admin.post(PATH, {"name": "Acme"}, key="k-1").body == first.body


def test_an_error_uses_no_key_up(admin: Caller, acme: Tenant) -> None:
    assert admin.post(PATH, {"external_id": "acme"}, key="k-1").status == 409
    assert admin.post(PATH, {"name": 5}, key="k-1").status == 400
    assert not IdempotentRequest.objects.exists()
    assert admin.post(PATH, {"external_id": "acme-2"}, key="k-1").status == 201


def test_keys_of_different_operations_and_objects_are_apart(admin: Caller, acme: Tenant) -> None:
    assert admin.post(PATH, {"name": "Beta"}, key="k-1").status == 201
    assert admin.patch(f"{PATH}/acme", {"name": "Acme AG"}, key="k-1").status == 200
    assert admin.patch(f"{PATH}/acme", {"name": "Acme AG"}, key="k-1").headers["Idempotent-Replayed"]
    answer = admin.patch(f"{PATH}/other", {"name": "Acme AG"}, key="k-1")
    assert answer.error["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a\tb"])
def test_a_key_is_1_to_255_printable_characters(admin: Caller, key: str) -> None:
    answer = admin.request("POST", PATH, b'{"name": "x"}', {"Idempotency-Key": key})
    assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")
    assert admin.post(PATH, {"name": "x"}, key="x" * 255).status == 201
