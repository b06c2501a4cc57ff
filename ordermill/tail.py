"""Reading the logs of the processes: the last lines, and what is written from now on."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ordermill.errors import Failure
from ordermill.output import shown
from ordermill.state import State

LOOKS_EACH = 0.2
LONGEST_LINE = 1_000


def show(state: State, service: str | None, lines: int, *, follow: bool) -> None:
    """Print the end of one log, or of all with the process's name before each line; then follow them if asked."""
    logs = chosen(state, service)
    places = {}
    for log in logs:
        places[log] = log.stat().st_size
        for line in last_lines(log, lines):
            _print(log, line, named=len(logs) > 1)
    while follow:
        time.sleep(LOOKS_EACH)
        for log in logs:
            for line in new_lines(log, places):
                _print(log, line, named=len(logs) > 1)


def chosen(state: State, service: str | None) -> list[Path]:
    """The logs to read. Raises Failure when a process of this name has none."""
    logs = sorted((state.root / "log").glob("*.log"))
    if service is None:
        return logs
    if (log := state.log(service)) in logs:
        return [log]
    names = ", ".join(log.stem for log in logs) or "none yet"
    cause = f"There is no log of {service}."
    raise Failure(cause, f"Choose one of: {names}")


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - count * LONGEST_LINE))
        return _lines(file.read().removesuffix(b"\n"))[-count:] if count else []


def new_lines(log: Path, places: dict[Path, int]) -> Iterator[str]:
    """The whole lines that were written since the last look; the place read to is kept in `places`."""
    if log.stat().st_size < places[log]:
        places[log] = 0
    with log.open("rb") as file:
        file.seek(places[log])
        whole = file.read().rpartition(b"\n")[0]
    if whole:
        places[log] += len(whole) + 1
        yield from _lines(whole)


def _lines(text: bytes) -> list[str]:
    """As they were written: what else ends a line for Python is part of a text that others may have chosen."""
    return text.decode(errors="replace").split("\n") if text else []


def _print(log: Path, line: str, *, named: bool) -> None:
    line = shown(line)
    sys.stdout.write(f"{log.stem:<28} {line}\n" if named else f"{line}\n")
    sys.stdout.flush()
