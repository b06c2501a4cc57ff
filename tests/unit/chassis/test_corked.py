"""An answer's head leaves together with its body, and by itself where nothing follows at once."""

import asyncio

import pytest

from chassis.corked import Corked


class Wire:
    """A transport that keeps what is written, piece by piece."""

    def __init__(self):
        self.written = []
        self.is_closed = False

    def write(self, data):
        assert not self.is_closed
        self.written.append(data)

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
async def answer(wire):
    return Corked(wire, asyncio.get_running_loop(), wire.close)


async def test_a_head_and_what_follows_at_once_are_one_piece(wire, answer):
    answer.write(b"head ")
    answer.write(b"body")
    answer.write(b" and more")
    await asyncio.sleep(0)

    assert wire.written == [b"head body", b" and more"]


async def test_a_head_that_nothing_follows_leaves_on_the_next_turn(wire, answer):
    answer.write(b"head ")
    assert wire.written == []
    await asyncio.sleep(0)

    answer.write(b"an event, later")

    assert wire.written == [b"head ", b"an event, later"]


async def test_what_is_held_leaves_before_the_connection_closes(wire, answer):
    answer.write(b"head")

    answer.close()
    await asyncio.sleep(0)

    assert wire.written == [b"head"]
    assert answer.is_closing()


async def test_a_connection_that_was_cut_is_written_to_no_more(wire, answer):
    answer.write(b"head")
    wire.is_closed = True

    await asyncio.sleep(0)

    assert wire.written == []
