"""What a command ends with when it cannot do its work: the cause, the line that mends it, and the exit code."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `ordermill`; 2 is the wrong usage of a command, 130 is Ctrl+C."""

    FAILED = 1
    NOT_RUNNING = 3
    ALREADY_RUNNING = 4
    MISSING = 5
    STEP_FAILED = 6
    TIMED_OUT = 7
    UNHEALTHY = 8
    AUDIT_BROKEN = 9


class ReaderLeft(Exception):
    """Whoever read our output has all that they wanted, as `head` has."""


class Failure(Exception):
    """A cause in one sentence and the line that mends it."""

    def __init__(self, message: str, mend: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.code = code
