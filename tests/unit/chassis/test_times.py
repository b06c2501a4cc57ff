"""Times at the HTTP edge."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import BaseModel, ValidationError

from chassis.times import Moment, Timestamp, written


class Seen(BaseModel):
    at: Timestamp


def test_a_time_is_written_in_utc_with_milliseconds_and_z():
    summer = timezone(timedelta(hours=2))

    assert written(datetime(2026, 1, 31, 11, 30, 0, 125_999, tzinfo=summer)) == "2026-01-31T09:30:00.125Z"
    assert Seen(at=datetime(2026, 1, 31, tzinfo=UTC)).model_dump_json() == '{"at":"2026-01-31T00:00:00.000Z"}'


class Given(BaseModel):
    at: Moment | None


@pytest.mark.parametrize("told", ["2026-01-31T09:30:00Z", "2026-01-31t09:30:00.5z", "2026-01-31T11:30:00+02:00"])
def test_a_time_is_taken_as_rfc_3339_has_it(told):
    assert Given.model_validate({"at": told}).at.utcoffset() is not None
    assert Given.model_validate_json(f'{{"at": "{told}"}}') == Given.model_validate({"at": told})


@pytest.mark.parametrize(
    "told", ["15", 15, 1.5, True, "-33485", "", "2026-01-31", "2026-01-31T09:30:00", "2026-01-31 09:30Z", "now", []]
)
def test_nothing_else_is_a_time(told):
    with pytest.raises(ValidationError):
        Given.model_validate({"at": told})


@pytest.mark.parametrize(
    "told", ["9999-12-31T23:59:59-00:01", "9999-12-31T12:00:00-14:00", "0001-01-01T00:00:00+00:01"]
)
def test_a_time_that_has_no_date_in_utc_is_none(told):
    with pytest.raises(ValidationError, match="must be a time with its offset from UTC"):
        Given.model_validate({"at": told})
    assert written(Given.model_validate({"at": "9999-12-31T23:59:59+00:01"}).at) == "9999-12-31T23:58:59.000Z"


def test_a_time_need_not_be_given():
    assert Given.model_validate({"at": None}).at is None
