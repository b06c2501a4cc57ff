"""Times at the HTTP edge: RFC 3339 in UTC with milliseconds and Z."""

from datetime import UTC, datetime
from re import compile as pattern
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer

from contracts.wanted import Wanted

_RFC_3339 = pattern(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def written(moment: datetime) -> str:
    """The moment as clients see it: ``2026-01-31T09:30:00.125Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _only_rfc_3339(value: object) -> object:
    """Pydantic alone would take any number for seconds since 1970, and ``15`` for one."""
    if value is None or isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        return value
    message = "no time of RFC 3339"
    raise ValueError(message)


def _of_our_calendar(moment: datetime) -> datetime:
    """No other can be kept: in UTC, where all of them are, the last hours of the year 9999 by other clocks are none."""
    try:
        moment.astimezone(UTC)
    except OverflowError as far:
        raise ValueError(str(far)) from None
    return moment


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_only_rfc_3339),
    AfterValidator(_of_our_calendar),
    Wanted("must be a time with its offset from UTC, such as 2026-01-31T09:30:00Z"),
]
Timestamp = Annotated[datetime, PlainSerializer(written, return_type=str, when_used="json")]
