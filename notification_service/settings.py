"""What notification_service is told from outside."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings, named
from notification_service.domain.mails import MAX_AGES, Template


class Settings(ServiceSettings, alias_generator=named("notification_service")):
    """Settings of notification_service.

    Attributes:
        mail_channel: how a mail leaves: ``smtp``; ``log``: it is logged; ``null``: it is only rendered.
        smtp_url: ``smtp://[user:password@]host[:port]``, or ``smtps://`` for TLS from the start.
        smtp_connections: how many connections to the mail server are in use at once.
        mail_from: who the mails are from; the name in it is the shop's.
        staff_mailbox: where mails to staff go.
        max_ages: for how long a mail is tried, by template, where it differs from the domain's ``MAX_AGES``.
        addresses_kept_for: for how long the address stays in the notification's row after sending.
    """

    mail_channel: Literal["smtp", "log", "null"] = "smtp"
    smtp_url: SecretStr = SecretStr("smtp://127.0.0.1:25")
    smtp_connections: int = 4
    mail_from: str = "Ordermill <orders@ordermill.example>"
    staff_mailbox: str = "staff@ordermill.example"
    max_ages: dict[Template, timedelta] = Field(default={})
    addresses_kept_for: timedelta = timedelta(days=30)

    def max_age(self, template: Template) -> timedelta:
        return self.max_ages.get(template, MAX_AGES[template])
