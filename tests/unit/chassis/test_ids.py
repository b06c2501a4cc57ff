"""Identifiers: UUIDv7 inside, TypeIDs outside, derived ids that a repetition derives again."""

import time
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis.strategies import uuids
from pydantic import BaseModel, ValidationError

from chassis.ids import (
    OrderRef,
    TypeId,
    derived_id,
    made_at,
    mark,
    marked_as,
    marked_id,
    new_id,
    parse_typeid,
    typeid,
)
from contracts.catalogue import TELLERS

ORDER = UUID("019a0000-0000-7000-8000-000000000001")
AS_TEXT = "ord_01k8000000e008000000000001"


class Named(BaseModel):
    order: OrderRef


def test_a_new_id_is_a_uuid_of_version_seven_that_begins_with_the_time():
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= after


def test_an_id_and_what_is_derived_from_it_say_when_it_was_made():
    made = UUID("019b7000-0000-7000-8000-000000000001")

    assert made_at(made) == made_at(derived_id(made, "order.created")) == datetime(2025, 12, 30, 16, 3, 26, 848000, UTC)


def test_two_new_ids_differ():
    assert len({new_id() for _ in range(1000)}) == 1000


@given(uuids())
def test_a_derived_id_is_the_same_for_the_same_cause_and_labels_and_sorts_with_its_cause(cause):
    derived = derived_id(cause, "order.created", 0)

    assert derived == derived_id(cause, "order.created", 0)
    assert derived.version == 7
    assert derived.int >> 80 == cause.int >> 80


def test_a_marked_id_sorts_with_its_origin_has_its_owners_mark_and_is_another_each_time():
    origin = new_id()

    made = {marked_id(origin, "order_service") for _ in range(100)}

    assert len(made) == 100
    assert {each.int >> 80 for each in made} == {origin.int >> 80}
    assert {each.version for each in made} == {7}
    assert {marked_as(each) for each in made} == {mark("order_service")}


def test_each_teller_has_a_mark_of_its_own():
    tellers = set(TELLERS.values())

    assert len({mark(teller) for teller in tellers}) == len(tellers) == 5


def test_derived_ids_of_other_causes_and_labels_differ():
    cause = new_id()

    derived = {derived_id(cause), derived_id(cause, "a", "b"), derived_id(cause, "ab"), derived_id(new_id(), "a", "b")}

    assert len(derived) == 4


@given(uuids())
def test_a_typeid_can_be_read_back(value):
    assert parse_typeid("ord", typeid("ord", value)) == value


def test_a_typeid_is_prefix_and_base32():
    assert typeid("ord", ORDER) == AS_TEXT
    assert typeid("usr", UUID(int=(1 << 128) - 1)) == "usr_7zzzzzzzzzzzzzzzzzzzzzzzzz"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ord_",
        AS_TEXT.removeprefix("ord_"),
        AS_TEXT.replace("ord", "usr"),
        AS_TEXT[:-1],
        f"{AS_TEXT}0",
        f"ord_8{AS_TEXT[5:]}",
        f"{AS_TEXT[:-1]}u",
        AS_TEXT.upper(),
        str(ORDER),
    ],
)
def test_what_is_no_typeid_of_this_prefix_is_refused(text):
    with pytest.raises(ValueError, match="must be an id of the form ord_"):
        parse_typeid("ord", text)


def test_a_model_takes_a_typeid_and_a_uuid_and_writes_a_typeid():
    by_text, by_uuid = Named(order=AS_TEXT), Named(order=ORDER)

    assert by_text.order == by_uuid.order == ORDER
    assert by_text.model_dump() == {"order": ORDER}
    assert by_text.model_dump_json() == f'{{"order":"{AS_TEXT}"}}'


def test_a_model_refuses_another_kind_of_id():
    with pytest.raises(ValidationError):
        Named(order=typeid("pay", uuid4()))


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_schema_of_a_reference_is_a_text_with_its_pattern(mode):
    schema = Named.model_json_schema(mode=mode)["properties"]["order"]

    assert schema == {"type": "string", "title": "Order", "pattern": "^ord_[0-7][0-9a-hjkmnp-tv-z]{25}$"}


def test_a_reference_can_be_declared_for_any_prefix():
    class Other(BaseModel):
        thing: Annotated[UUID, TypeId("xyz")]

    assert Other(thing=ORDER).model_dump(mode="json") == {"thing": "xyz_01k8000000e008000000000001"}
