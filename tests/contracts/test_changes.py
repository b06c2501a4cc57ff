"""The next version of a frozen thing: as `dataclasses.replace` makes it, and as strict."""

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from contracts.types import with_changes


@dataclass(frozen=True, kw_only=True)
class Thing:
    name: str
    version: int = 1


def test_a_changed_thing_is_what_replace_makes():
    thing = Thing(name="a")

    changed = with_changes(thing, version=2)

    assert changed == replace(thing, version=2)
    assert thing == Thing(name="a")
    with pytest.raises(FrozenInstanceError):
        changed.version = 3


def test_a_field_that_it_does_not_have_is_refused():
    with pytest.raises(TypeError, match="Thing has no nmae"):
        with_changes(Thing(name="a"), nmae="b")
