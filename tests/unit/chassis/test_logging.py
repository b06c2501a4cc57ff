"""Logs: flat JSON for machines, a line for people; no values of variables, no details of rows."""

import json
import logging
import sys
from datetime import datetime

import asyncpg
import pytest
from loguru import logger

from chassis import context
from chassis.logging import set_up


class Stderr:
    """What was written to the stream that logs go to."""

    def __init__(self, capsys):
        self._capsys = capsys

    @property
    def lines(self):
        return self._capsys.readouterr().err.splitlines()


@pytest.fixture
def stderr(capsys):
    """Afterwards logging is as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield Stderr(capsys)
    root.handlers[:] = before
    root.setLevel(level)
    logger.remove()
    logger.configure(extra={}, patcher=lambda _: None)
    logger.add(sys.__stderr__)


def a_violation():
    failure = asyncpg.UniqueViolationError('duplicate key value violates unique constraint "users_email"')
    failure.detail = "Key (email)=(ada@example.org) already exists."
    return failure


def test_a_line_is_flat_json_with_service_request_trace_and_order(stderr):
    set_up("order_service")
    token = context.current.set(context.Context("req-1", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
    context.about_order("ord_1")

    logger.bind(status=201).info("request")

    context.current.reset(token)
    [line] = map(json.loads, stderr.lines)
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "level": "info",
        "message": "request",
        "service": "order_service",
        "status": 201,
        "request_id": "req-1",
        "trace_id": "a" * 32,
        "order_id": "ord_1",
    }


def test_outside_a_request_a_line_knows_its_service(stderr):
    set_up("order_service")

    logger.info("started {}", "{braces}")

    [line] = map(json.loads, stderr.lines)
    assert (line["message"], line["service"]) == ("started {braces}", "order_service")
    assert "request_id" not in line


def test_a_context_without_an_order_names_none(stderr):
    set_up("order_service")
    token = context.current.set(context.start("req-1"))

    logger.info("x")

    context.current.reset(token)
    assert "order_id" not in json.loads(stderr.lines[0])


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_failure_is_told_with_its_stack_and_without_values_or_details(stderr, form):
    set_up("order_service", form=form)
    password = "hunter" + "2"

    def fail(_secret):
        raise a_violation()

    try:
        fail(password)
    except asyncpg.UniqueViolationError:
        logger.exception("a request failed")

    text = "\n".join(stderr.lines)
    assert "UniqueViolationError" in text
    assert "in fail" in text
    assert "ada@example.org" not in text
    assert "hunter2" not in text


def test_lines_for_people_say_the_rest_after_the_message(stderr):
    set_up("order_service", form="text")

    logger.bind(path="/orders", status=201).info("request")

    [line] = stderr.lines
    assert line.endswith(" I order_service request path=/orders status=201")


def test_what_is_below_the_level_is_not_told(stderr):
    set_up("order_service", level="WARNING")

    logger.info("quiet")
    logger.warning("loud")

    assert [json.loads(line)["message"] for line in stderr.lines] == ["loud"]


def test_what_libraries_log_is_told_too_from_warnings_on(stderr):
    set_up("order_service")
    library = logging.getLogger("aiormq.connection")

    library.info("quiet")
    library.warning("lost %s", "it")
    library.log(35, "odd")

    lines = [json.loads(line) for line in stderr.lines]
    assert [(line["level"], line["message"], line["logger"]) for line in lines] == [
        ("warning", "lost it", "aiormq.connection"),
        ("level 35", "odd", "aiormq.connection"),
    ]


def test_what_a_library_also_raises_is_told_once(stderr):
    set_up("order_service")

    logging.getLogger("aiormq.connection").error("error when creating transport: %r", OSError())
    logging.getLogger("aiormq.connection").error("Unexpected frame %r", "x")

    assert [json.loads(line)["message"] for line in stderr.lines] == ["Unexpected frame 'x'"]


def test_whatever_is_bound_can_be_written(stderr):
    set_up("order_service")

    logger.bind(thing=object()).info("x")

    assert "object object" in json.loads(stderr.lines[0])["thing"]


def test_what_a_client_chose_cannot_write_a_line_of_its_own(stderr):
    set_up("order_service", form="text")

    logger.bind(path="/orders\n12:00:00.000 I order_service paid\x1b[2J\x85\u2028").info("request\r")

    [line] = "".join(stderr.lines).split("\n")
    assert line.endswith(r" request\x0d path=/orders\x0a12:00:00.000 I order_service paid\x1b[2J\x85\u2028")


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_no_control_character_is_written_as_it_is(stderr, code):
    set_up("order_service")

    logger.bind(path=f"é{chr(code)}ü").info("request")

    [line] = stderr.lines
    assert chr(code) not in line
    assert json.loads(line)["path"] == f"é{chr(code)}ü"
