"""docs/states.md shows what the domains do, and nothing that the tables say is missing from it."""

from pathlib import Path

import pytest

from ordermill import diagrams
from ordermill.diagrams import DRIVEN
from tests.model.explore import Found

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


@pytest.fixture(scope="module")
def drawn() -> dict[str, set[diagrams.Edge]]:
    return {name: diagrams.edges(driven()) for name, driven in DRIVEN.items()}


def test_the_committed_page_is_what_the_domains_do():
    assert PAGE.read_text() == diagrams.states_page()


@pytest.mark.parametrize("name", DRIVEN)
def test_every_change_of_status_in_the_table_is_drawn(name, drawn, whole_shop: Found):
    # given
    steps = whole_shop.shop.machines[name].steps
    changes = {
        diagrams.Edge(state.status, diagrams.name_of(trigger), step.state.status)
        for state, by in steps.items()
        for trigger, step in by.items()
        if state.status != step.state.status
    }

    # then
    assert changes == drawn[name]


def test_triggers_that_lead_the_same_way_share_an_arrow():
    # given
    edges = {
        diagrams.Edge("none", "create", "open"),
        diagrams.Edge("open", "cancel", "ended"),
        diagrams.Edge("open", "expire", "ended"),
    }

    # when
    lines = diagrams.diagram(edges).splitlines()

    # then
    assert lines == [
        "stateDiagram-v2",
        "    [*] --> open: create",
        "    open --> ended: cancel, expire",
        "    ended --> [*]",
    ]
