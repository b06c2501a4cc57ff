"""What the auditor is told from outside: environment variables with the prefix ORDERMILL_AUDITOR_, read once."""

from datetime import UTC, time, timedelta

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from chassis.settings import Told


class Settings(Told):
    """Settings of the auditor. They have no second name: the owner's URL is nothing for it.

    Attributes:
        database_url: the shop's database, as the role that reads everything and writes nothing.
        every: how often each promise is looked at, of what changed lately, at most; more rarely when looks take long.
        recent: how lately.
        most: at how many orders, parcels and events of those at most, the newest.
        whole_at: the time of the day, UTC, of the look at everything.
        rest: what changed in this time before that look may still be under way.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="ORDERMILL_AUDITOR_")

    database_url: SecretStr
    every: timedelta = timedelta(seconds=15)
    recent: timedelta = timedelta(minutes=5)
    most: int = Field(default=1_000, ge=1)
    whole_at: time = time(3, tzinfo=UTC)
    rest: timedelta = timedelta(hours=1)
