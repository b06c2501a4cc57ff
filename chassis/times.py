"""Times at the HTTP edge: RFC 3339 in UTC with milliseconds and Z."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainSerializer


def written(moment: datetime) -> str:
    """The moment as clients see it: ``2026-01-31T09:30:00.125Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[datetime, PlainSerializer(written, return_type=str, when_used="json")]
