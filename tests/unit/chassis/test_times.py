"""Times at the HTTP edge."""

from datetime import UTC, datetime, timedelta, timezone

from pydantic import BaseModel

from chassis.times import Timestamp, written


class Seen(BaseModel):
    at: Timestamp


def test_a_time_is_written_in_utc_with_milliseconds_and_z():
    summer = timezone(timedelta(hours=2))

    assert written(datetime(2026, 1, 31, 11, 30, 0, 125_999, tzinfo=summer)) == "2026-01-31T09:30:00.125Z"
    assert Seen(at=datetime(2026, 1, 31, tzinfo=UTC)).model_dump_json() == '{"at":"2026-01-31T00:00:00.000Z"}'
