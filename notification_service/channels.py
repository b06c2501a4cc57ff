"""A mail, and the ways that it can leave: what fails now and may work later, what will never work, and the log."""

from dataclasses import dataclass, field
from typing import Protocol

from loguru import logger


class Undelivered(Exception):
    """It did not work now. The argument is a short reason without any address."""


class Undeliverable(Exception):
    """It will never work. The argument is a short reason without any address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail as it leaves. The address stays out of every representation."""

    message_id: str
    address: str = field(repr=False)
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    async def send(self, mail: Mail) -> None:
        """Hands the mail over.

        Raises:
            Undelivered: when it may work later.
            Undeliverable: when it never will.
        """

    async def rest(self) -> None:
        """Lets go of what is not in use."""

    async def close(self) -> None:
        """Lets go of everything."""


class NullMailer:
    """Throws mails away, for measuring."""

    async def send(self, mail: Mail) -> None:
        """Does nothing."""

    async def rest(self) -> None:
        """Holds nothing."""

    async def close(self) -> None:
        """Holds nothing."""


class LogMailer(NullMailer):
    """Writes mails to the log, without the address."""

    async def send(self, mail: Mail) -> None:
        logger.bind(message_id=mail.message_id).info("mail: {}\n{}", mail.subject, mail.text)
