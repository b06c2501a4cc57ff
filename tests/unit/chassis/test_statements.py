"""Statements that are compiled once, and statements over many rows at once."""

from typing import NamedTuple

import pytest
from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text, Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import CreateTable

from chassis.statements import Bulk, Statement

things = Table(
    "things",
    MetaData(schema="ledger_service"),
    Column("id", Uuid, primary_key=True),
    Column("lines", JSONB),
    Column("at", DateTime(timezone=True)),
    Column("version", Integer),
)
pairs = Table(
    "pairs",
    MetaData(schema="ledger_service"),
    Column("a", Text, primary_key=True),
    Column("b", Text, primary_key=True),
    Column("n", Integer),
)


def test_a_statement_gives_its_parameters_in_their_order():
    statement = Statement(
        select(things.c.id).where(
            things.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))), things.c.version > bindparam("seen"),
        )
    )  # fmt: skip

    assert "= ANY ($1::UUID[])" in statement.sql
    assert statement.arguments({"seen": 3, "ids": ["a"]}) == [["a"], 3]


def test_a_literal_in_a_statement_is_a_parameter_with_a_value():
    statement = Statement(select(things.c.id).where(things.c.version == 7))

    assert statement.arguments({}) == [7]


def test_a_statement_without_parameters_has_no_arguments():
    assert Statement(select(things.c.id)).arguments({}) == []


def test_a_parameter_that_is_missing_is_an_error():
    statement = Statement(select(things.c.id).where(things.c.version == bindparam("seen")))

    with pytest.raises(KeyError):
        statement.arguments({})


def test_what_cannot_be_compiled_once_is_refused():
    with pytest.raises(TypeError, match="any_"):
        Statement(select(things.c.id).where(things.c.version.in_([1, 2])))
    with pytest.raises(TypeError, match="any_"):
        Statement(CreateTable(things))


def test_rows_become_one_array_a_column_and_jsonb_travels_as_text():
    bulk = Bulk.insert(things, "id", "lines")

    assert bulk.sql.rstrip() == (
        "INSERT INTO ledger_service.things (id, lines) SELECT v.id, v.lines::jsonb"
        " FROM unnest($1::UUID[], $2::text[]) AS v(id, lines)"
    )
    assert bulk.arguments([(1, {"n": 1}), (2, None)]) == [[1, 2], ['{"n":1}', None]]


def test_without_columns_a_row_is_the_whole_table_and_conflicts_are_as_told():
    bulk = Bulk.insert(pairs, conflict="ON CONFLICT DO NOTHING")

    assert bulk.columns == ("a", "b", "n")
    assert bulk.sql.endswith("ON CONFLICT DO NOTHING")


def test_an_upsert_replaces_what_is_no_key():
    assert Bulk.upsert(pairs).sql.endswith("ON CONFLICT (a, b) DO UPDATE SET n = excluded.n")


def test_an_update_finds_its_rows_by_the_whole_key():
    assert Bulk.update(pairs, "a", "b", "n").sql == (
        "UPDATE ledger_service.pairs t SET n = v.n"
        " FROM unnest($1::TEXT[], $2::TEXT[], $3::INTEGER[]) AS v(a, b, n) WHERE t.a = v.a AND t.b = v.b"
    )
    assert "lines = v.lines::jsonb" in Bulk.update(things, "id", "lines").sql


class Thing(NamedTuple):
    id: str
    version: int
    lines: tuple[int, ...] = ()


@pytest.mark.parametrize(("lines", "columns"), [((), ("id", "version")), ((1,), ("id", "version", "lines"))])
def test_an_update_leaves_out_what_changes_rarely_unless_one_thing_has_changed_it(lines, columns):
    update = Bulk.update(things, "id", "version", rarely=("lines",))

    fitting = update.fitting([(Thing("a", 1), Thing("a", 2)), (Thing("b", 1), Thing("b", 2, lines))])

    assert fitting.columns == columns
    assert fitting.row(Thing("b", 2, lines)) == ("b", 2, lines)[: len(columns)]


def test_an_update_of_what_always_changes_fits_always():
    update = Bulk.update(things, "id", "version")

    assert update.fitting([(Thing("a", 1), Thing("a", 1, (1,)))]) is update
