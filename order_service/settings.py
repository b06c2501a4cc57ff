"""What order_service is told from outside."""

from datetime import timedelta

from chassis.settings import ServiceSettings, named


class Settings(ServiceSettings, alias_generator=named("order_service")):
    """The deadlines of an order, ISO 8601 durations or ``HH:MM:SS``; an order keeps those that it was placed under.

    Attributes:
        pay_by: how long an order waits for its customer.
        settle_by: after how long whatever is still open ends.
    """

    pay_by: timedelta = timedelta(minutes=30)
    settle_by: timedelta = timedelta(hours=24)
