"""What a service author writes: decisions, registered by the type of the item that their signature names."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest

from chassis.decisions import Cause, Decision, Decisions, State
from contracts.orders import OrderCreated, OrderRejected


@dataclass(frozen=True)
class Cancel:
    order: int


def nothing(_item):
    return ()


def test_a_decision_is_registered_for_every_type_that_its_signature_names():
    decisions = Decisions("order_service")

    @decisions.on(names=nothing)
    def note(state: State, fact: OrderCreated | OrderRejected, cause: Cause) -> Decision:
        return Decision()

    @decisions.on(names=nothing)
    def cancel(state: State, command: Cancel, cause: Cause) -> Decision:
        return Decision()

    assert {kind: rule.decide for kind, rule in decisions.rules.items()} == {
        OrderCreated: note,
        OrderRejected: note,
        Cancel: cancel,
    }
    assert decisions.rules[Cancel].names is nothing


def test_the_topics_of_a_service_are_the_facts_that_it_decides_upon_sorted():
    decisions = Decisions("order_service")

    @decisions.on(names=nothing)
    def note(state: State, fact: OrderRejected | OrderCreated | Cancel, cause: Cause) -> Decision:
        return Decision()

    assert decisions.topics == ("order.created", "order.rejected")


def test_two_decisions_for_one_type_are_refused_at_once():
    decisions = Decisions("order_service")

    @decisions.on(names=nothing)
    def cancel(state: State, command: Cancel, cause: Cause) -> Decision:
        return Decision()

    def cancel_again(state: State, command: Cancel, cause: Cause) -> Decision:
        return Decision()

    with pytest.raises(TypeError, match="two decisions of order_service name Cancel"):
        decisions.on(names=nothing)(cancel_again)


def test_a_state_knows_what_was_loaded_and_nothing_else():
    state = State({(str, 1): "one", (str, 2): None})

    assert state.find(str, 1) == "one"
    assert state.find(str, 2) is None
    with pytest.raises(KeyError):
        state.find(str, 3)


def test_a_cause_derives_the_same_id_for_the_same_step():
    cause = Cause(UUID(int=1 << 80), datetime(2026, 1, 1, tzinfo=UTC), "system", "req_1")

    assert cause.derive("refund", 1) == cause.derive("refund", 1)
    assert cause.derive("refund", 1) != cause.derive("refund", 2)
    assert cause.derive("refund", 1).version == 7
