"""auth_service, put together."""

from auth_service import erasing, exporting, forgetting, handlers, own, passwords, rotating, routes, store, tables
from auth_service.domain import api_key, attempt, identity, lately, session, user
from auth_service.settings import Settings
from chassis.app import Loop, Service

service = Service(
    name="auth_service",
    settings=Settings,
    metadata=tables.metadata,
    decisions=handlers.decisions,
    store=store.STORE,
    router=routes.router,
    internal=routes.internal,
    unversioned=routes.unversioned,
    refusals={
        passwords.TooManySignIn: "unavailable",
        exporting.ExportUnavailable: "unavailable",
        attempt.TooManyTries: "rate_limited",
        lately.TooOften: "rate_limited",
        user.EmailTaken: "email_taken",
        user.CredentialsWrong: "credentials_wrong",
        user.AccountDisabled: "account_disabled",
        user.UserUnknown: "not_found",
        user.NotAnAdministrator: "forbidden",
        user.NotToOneself: "forbidden",
        user.VersionMismatch: "version_mismatch",
        api_key.ApiKeyInvalid: "token_invalid",
        api_key.ApiKeyUnknown: "not_found",
        api_key.TooManyApiKeys: "too_many_api_keys",
        identity.TokenUsed: "token_invalid",
        identity.AddressNotVerified: "token_invalid",
        identity.NoIssuer: "not_found",
        session.SessionUnknown: "not_found",
        session.SessionOver: "token_invalid",
        session.RefreshInvalid: "token_invalid",
        session.RefreshExpired: "token_expired",
        session.RefreshReused: "refresh_reused",
    },
    loops=(
        Loop("forgetting", forgetting.step, every=3600.0, woken=False),
        Loop("rotating", rotating.step, every=60.0, woken=False),
        Loop("erasing", erasing.step, every=15.0, woken=False),
    ),
    own=own.open_own,
)
