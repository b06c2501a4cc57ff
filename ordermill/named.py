"""Servers that a setting names, to be used instead of this checkout's own."""

import logging
import re

from ordermill.errors import Exit, Failure
from ordermill.told import variables

DATABASE = "ORDERMILL_DATABASE_URL"
BROKER = "ORDERMILL_BROKER_URL"
SETTINGS = (DATABASE, BROKER)
_OWN = "`ordermill up` brings a server of its own."
_FORMS = {
    DATABASE: (r"postgres(ql)?://.+", "postgresql://USER:PASSWORD@HOST/DATABASE"),
    BROKER: (r"amqps?://[^/,].*", "amqp://USER:PASSWORD@HOST/"),
}


def refuse_nonsense() -> None:
    """Raises Failure when a setting names no server; what it says stays unsaid, since a password may be in it."""
    told = variables()
    for setting, (form, example) in _FORMS.items():
        if (given := told.get(setting)) and not re.fullmatch(form, given):
            cause = f"{setting} is no address of a server."
            raise Failure(cause, f"Write it like {example}, or leave it out: {_OWN}", Exit.STEP_FAILED)


def mend(setting: str) -> str | None:
    """How a step at the server that a setting names is mended; none where `up` has brought it itself."""
    return f"Correct {setting}, or leave it out: {_OWN}" if variables().get(setting) else None


def quieten_brokers(level: int) -> None:
    """The broker's libraries log from this level on: what they raise is told by whoever asked, with its mend."""
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(level)
