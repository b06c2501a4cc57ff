"""Logs with loguru: flat JSON for machines or a line for people; every line knows service, request, trace and order."""

import logging
import sys
from traceback import format_tb
from typing import TYPE_CHECKING, Any

from loguru import logger
from pydantic_core import to_json

from chassis.context import current

if TYPE_CHECKING:
    from loguru import Message, Record

_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
_TEXT = "{time:HH:mm:ss.SSS} {level.name[0]} {extra[service]} {extra[_text]}{extra[_failure]}\n"
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {0x2028: "\\u2028", 0x2029: "\\u2029"}


def set_up(service: str, *, level: str = "INFO", form: str = "json") -> None:
    """Sends loguru, and what libraries log with ``logging``, to stderr. ``form`` is ``json`` or ``text``.

    ``diagnose`` is off: values of variables never reach a log (6-facts.md, 37).
    """
    logger.remove()
    logger.configure(extra={"service": service}, patcher=_with_context)
    if form == "json":
        logger.add(_write_json, level=level, diagnose=False, backtrace=False)
    else:
        logger.add(sys.stderr, level=level, format=lambda _: _TEXT, diagnose=False, backtrace=False)
    logging.basicConfig(handlers=[_Intercept()], level=logging.WARNING, force=True)


def _with_context(record: "Record") -> None:
    extra = record["extra"]
    if context := current.get():
        extra.setdefault("request_id", context.request_id)
        extra.setdefault("trace_id", context.trace_id)
        if context.order_id:
            extra.setdefault("order_id", context.order_id)
    told = (f"{key}={value}" for key, value in extra.items() if key not in {"service", "trace_id"})
    # Clients choose parts of it, paths for one: they must not write lines of their own, or move the cursor.
    extra["_text"] = " ".join((record["message"], *told)).translate(_CONTROLS)
    extra["_failure"] = "".join(f"\n{part}" for part in _failure(record).values())


def _write_json(message: "Message") -> None:
    record = message.record
    line: dict[str, Any] = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name.lower(),
        "message": record["message"],
        **{key: value for key, value in record["extra"].items() if key not in {"_text", "_failure"}},
        **_failure(record),
    }
    sys.stderr.buffer.write(to_json(line, fallback=str) + b"\n")
    sys.stderr.flush()


def _failure(record: "Record") -> dict[str, str]:
    """What went wrong: PostgreSQL's details of a row, which may hold an address, are in str() only, not in repr()."""
    if (failure := record["exception"]) is None:
        return {}
    return {"exception": repr(failure.value), "stack": "".join(format_tb(failure.traceback))[-4000:]}


class _Intercept(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname if record.levelname in _LEVELS else record.levelno
        logger.opt(exception=record.exc_info).bind(logger=record.name).log(level, record.getMessage())
