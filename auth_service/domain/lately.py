"""What an account may do so often in a time, so that what is kept of it has a bound: sign in, refresh, make keys."""

from datetime import datetime, timedelta
from math import ceil

MOST = 100


class TooEarly(Exception):
    """It was done too often lately: the answer says after how long it may be tried again."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.headers = {"Retry-After": str(ceil(wait.total_seconds()))}


class TooOften(TooEarly):
    """It may be done 100 times in a while, and was. Try again later."""


def another(times: tuple[datetime, ...], now: datetime, within: timedelta) -> tuple[datetime, ...]:
    """The times of this kind, in order and with one that is now.

    Raises:
        TooOften: when there are too many within this time.
    """
    lately = tuple(time for time in times if now - time < within)
    if len(lately) >= MOST:
        raise TooOften(lately[-MOST] + within - now)
    return *lately, now
