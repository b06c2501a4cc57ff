"""What auth_service is told from outside."""

from datetime import timedelta

from chassis.settings import ServiceSettings, named


class Settings(ServiceSettings, alias_generator=named("auth_service")):
    """Settings of auth_service.

    Attributes:
        access_for: how long an access token lasts.
        key_access_for: how long an access token lasts that an API key was exchanged for.
        keys_sign_for: how old the newest signing key becomes before the next one is made.
        refresh_for: how long a session lasts after its last refresh.
        openid_issuer: the URL of an OpenID issuer whose ID tokens are exchanged for ours; none where not set.
        openid_audience: what that issuer calls the shop (the client's id).
        sessions_kept_for: how long a session or an API key is kept after it expired.
        places_kept_for: how long it is remembered where somebody has signed in from, as a digest.
        free_registrations: how many may be tried from one place before the next ones have to wait, up to a minute each.
            Where nothing is said, 10,000 in the local profile, in which all come from one place, else 100.
        password_threads: how many passwords are hashed at once; each takes 19 MiB and a core for some 50 ms.
    """

    access_for: timedelta = timedelta(minutes=10)
    key_access_for: timedelta = timedelta(seconds=45)
    keys_sign_for: timedelta = timedelta(days=30)
    refresh_for: timedelta = timedelta(days=30)
    openid_issuer: str | None = None
    openid_audience: str = "ordermill"
    sessions_kept_for: timedelta = timedelta(days=7)
    places_kept_for: timedelta = timedelta(days=90)
    free_registrations: int | None = None
    password_threads: int = 2

    @property
    def registrations_at_once(self) -> int:
        """Those of one place that wait for nothing."""
        by_profile = 10_000 if self.profile == "local" else 100
        return by_profile if self.free_registrations is None else self.free_registrations
