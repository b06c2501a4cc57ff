"""What payment_service and the simulated provider are told from outside."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings, Told, named


class ProviderSettings(
    Told, alias_generator=named("payment_service"), frozen=True, extra="ignore", populate_by_name=True
):
    """Settings of the simulated provider, which knows no secret of ours but what it shares with us.

    Attributes:
        provider_key: what shows the provider's own process that it is we who ask; inside of ours nobody else can.
        provider_database_url: the simulated provider's books, as their own role.
        webhook_secret: what the provider signs its webhooks with.
        webhook_url: where the provider's own process tells to; inside of ours it is told directly.
        simulator_tells: webhooks for ``all`` that happens, or only for ``asked``: tokens that are about webhooks.
        simulator_scale: what the simulator's times are multiplied with.
    """

    provider_key: SecretStr = Field(min_length=1)
    provider_database_url: SecretStr
    webhook_secret: SecretStr = Field(min_length=1)
    webhook_url: str | None = None
    simulator_tells: Literal["all", "asked"] = "asked"
    simulator_scale: float = 1.0


class Settings(ServiceSettings, ProviderSettings, alias_generator=named("payment_service")):
    """Settings of payment_service, which hosts the provider where that has no process of its own.

    Attributes:
        provider_url: the simulated provider's own process; None runs it inside of this one.
        provider_timeout: how long one call may take.
        lease: how long a claimed call is nobody else's.
        calls_in_flight: how many calls are out at once; of one customer half as many (``domain/room.py``).
    """

    provider_url: str | None = None
    provider_timeout: timedelta = timedelta(seconds=10)
    lease: timedelta = timedelta(seconds=30)
    calls_in_flight: int = 400
    provider_database_url: SecretStr | None = None  # type: ignore[assignment]

    @property
    def books(self) -> str:
        """The provider's, where it has no process of its own. Raises ValueError where nobody said where they are."""
        if self.provider_database_url is None:
            message = "set ORDERMILL_PROVIDER_URL, or ORDERMILL_PROVIDER_DATABASE_URL"
            raise ValueError(message)
        return self.provider_database_url.get_secret_value()
