"""Logs with loguru: flat JSON for machines or a line for people; every line knows service, request, trace and order."""

import logging
import re
import sys
from collections.abc import Callable, Iterable
from traceback import format_tb
from typing import TYPE_CHECKING, Any

from loguru import logger
from pydantic_core import to_json

from chassis.context import current

if TYPE_CHECKING:
    from loguru import Message, Record

_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {0x2028: "\\u2028", 0x2029: "\\u2029"}
_CONTROLS_IN_JSON = re.compile(rb"\x7f|\xc2[\x80-\x9f]")  # those that JSON lets stand, in UTF-8
_UNTOLD = {"service", "trace_id"}

Line = tuple[str, dict[str, Any]]


def set_up(service: str, *, level: str = "INFO", form: str = "json") -> None:
    """Sends loguru, and what libraries log with ``logging``, to stderr. ``form`` is ``json`` or ``text``.

    ``diagnose`` is off: loguru's default would write the values of variables, secrets too, beside each traceback.
    """
    logger.remove()
    logger.configure(extra={"service": service}, patcher=_with_context)
    write = _write_json if form == "json" else _write_text
    logger.add(write, level=level, format=lambda _: "", diagnose=False, backtrace=False)
    logging.basicConfig(handlers=[_Intercept()], level=logging.WARNING, force=True)
    logging.getLogger("aiormq.connection").addFilter(_is_news)


def info_each(service: str, each: Callable[[], Iterable[Line]]) -> None:
    """Logs many lines, each a message and its fields, in one go: loguru costs as much for one as for all of them.

    ``each`` is called when something listens to the level.
    """
    logger.bind(service=service, each=each).info("")


def _is_news(record: logging.LogRecord) -> bool:
    """What aiormq also raises is told by whoever tried, who knows whether it matters."""
    return not str(record.msg).startswith("error when creating transport")


def _with_context(record: "Record") -> None:
    extra = record["extra"]
    if (context := current.get()) and "each" not in extra:
        for name, value in context.told().items():
            extra.setdefault(name, value)


def lines(record: "Record") -> Iterable[Line]:
    """The lines that a record stands for, each a message and its fields."""
    extra = dict(record["extra"])
    if (each := extra.pop("each", None)) is None:
        return [(record["message"], extra)]
    return ((message, {**extra, **fields}) for message, fields in each())


def _write_json(message: "Message") -> None:
    record = message.record
    head = {"time": record["time"].isoformat(timespec="milliseconds"), "level": record["level"].name.lower()}
    head |= _failure(record)
    if told := [{**head, "message": text, **fields} for text, fields in lines(record)]:
        # All at once; the quotes show where a line begins, since within a text they would be escaped.
        text = to_json(told, fallback=str)[1:-1].replace(b'},{"time":', b'}\n{"time":') + b"\n"
        _write(_CONTROLS_IN_JSON.sub(_escaped, text) if b"\xc2" in text or b"\x7f" in text else text)


def _escaped(control: re.Match[bytes]) -> bytes:
    return b"\\u00%02x" % control[0][-1]


def _write_text(message: "Message") -> None:
    record = message.record
    head = f"{record['time']:%H:%M:%S}.{record['time'].microsecond // 1000:03} {record['level'].name[0]}"
    tail = "".join(f"\n{part}" for part in _failure(record).values())
    told = (f"{head} {fields['service']} {_text(text, fields)}{tail}\n" for text, fields in lines(record))
    _write("".join(told).encode())


def _text(text: str, fields: dict[str, Any]) -> str:
    """Clients choose parts of it, paths for one: they must not write lines of their own, or move the cursor."""
    told = (f"{key}={value}" for key, value in fields.items() if key not in _UNTOLD)
    return visible(" ".join((text, *told)))


def visible(text: str) -> str:
    """The text with its control characters spelled out: a terminal that shows it does nothing else."""
    return text.translate(_CONTROLS)


def _write(text: bytes) -> None:
    sys.stderr.buffer.write(text)
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
