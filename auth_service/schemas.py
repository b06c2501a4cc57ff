"""What clients of auth_service send and see."""

from typing import Annotated, Any, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from auth_service.domain.security_event import What
from auth_service.wordlist import is_common
from chassis.http import Body, View
from chassis.ids import KeyRef, SecurityEventRef, SessionRef, UserRef
from chassis.scopes import Scope
from chassis.times import Timestamp
from contracts.text import ONE_LINE
from contracts.types import Locale, Role
from contracts.wanted import Wanted


def canonical(email: str) -> str:
    """The one way to write an address: lower case, its domain in ASCII.

    Domains under ``.test`` are taken (``test_environment``): a laptop's mailbox receives them too.

    Raises:
        ValueError: when it is no address.
    """
    try:
        checked = validate_email(email, allow_smtputf8=False, check_deliverability=False, test_environment=True)
    except EmailNotValidError as wrong:
        raise ValueError(str(wrong)) from None
    return str(checked.ascii_email).lower()


def _uncommon(password: SecretStr) -> SecretStr:
    if is_common(password.get_secret_value()):
        message = "is one of the 3,000 most common passwords; choose another"
        raise ValueError(message)
    return password


Email = Annotated[
    str,
    StringConstraints(max_length=254, strip_whitespace=True),
    AfterValidator(canonical),
    Wanted("must be an e-mail address, such as ann@example.com"),
    Field(examples=["ann@example.com"], json_schema_extra={"format": "email"}),
]


NewPassword = Annotated[
    SecretStr, Field(min_length=8, max_length=128), Wanted("must have 8 to 128 characters"), AfterValidator(_uncommon)
]
Password = Annotated[SecretStr, Field(min_length=1, max_length=128), Wanted("must have 1 to 128 characters")]
FullName = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), ONE_LINE]
PhoneNumber = Annotated[
    str,
    Field(pattern=r"^\+?[0-9]{10,15}$", examples=["+4930901820123"]),
    Wanted("must be 10 to 15 digits, with or without a plus before them"),
]


class Registration(Body):
    email: Email
    password: NewPassword
    full_name: FullName | None = None
    phone_number: PhoneNumber | None = None
    locale: Locale = "en"


class Credentials(Body):
    email: Email
    password: Password


class RefreshBody(Body):
    refresh_token: Annotated[str, Field(min_length=1, max_length=256)]


class ExchangeBody(Body):
    """``token`` is an ID token of the OpenID issuer that the shop trusts."""

    token: Annotated[str, Field(min_length=1, max_length=4096)]


class Profile(Body):
    """What is not sent stays as it is; null empties a field that may be empty."""

    full_name: FullName | None = None
    phone_number: PhoneNumber | None = None
    locale: Locale = "en"


class UserUpdate(Profile):
    role: Role = Role.CUSTOMER
    disabled: bool = False


class PasswordChange(Body):
    """All other sessions end, and so do the API keys, unless ``keep_api_keys`` says otherwise."""

    current_password: Password
    new_password: NewPassword
    keep_api_keys: bool = False


class UserView(View):
    id: UserRef
    email: str
    full_name: str | None
    phone_number: str | None
    locale: str
    role: Role
    disabled: bool
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class TokensView(View):
    """``expires_in`` is in seconds and about the access token."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    refresh_token: str


class SessionView(View):
    """``current`` is the session that asks."""

    id: SessionRef
    client: str | None
    current: bool
    created_at: Timestamp
    refreshed_at: Timestamp
    expires_at: Timestamp


class ApiKeyCreate(Body):
    """``scopes`` is what the key may do; more than its owner it never may."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True), ONE_LINE]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_in_days: Annotated[int, Field(ge=1, le=366)] = 90


class ApiKeyShown(Body):
    api_key: Annotated[SecretStr, Field(min_length=1, max_length=256), Wanted("must have 1 to 256 characters")]


class ApiKeyView(View):
    """``hint`` is how the key begins."""

    id: KeyRef
    name: str
    hint: str
    scopes: list[Scope]
    created_at: Timestamp
    expires_at: Timestamp
    last_used_at: Timestamp | None


class ApiKeyCreated(ApiKeyView):
    """``api_key`` is shown here and never again."""

    api_key: str


class KeyTokenView(View):
    """``expires_in`` is in seconds, ``scope`` a list with spaces between (RFC 6749)."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    scope: str


class OwnView(View):
    """Of an export, all but the long lists."""

    exported_at: Timestamp
    user: UserView
    api_keys: list[ApiKeyView]
    notification_preferences: dict[str, Any]


class ExportView(OwnView):
    """Everything that is kept of a user; orders, payments and notifications as the other services show them."""

    sessions: list[SessionView]
    orders: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    notifications: list[dict[str, Any]]


class SecurityEventView(View):
    """Something that happened to an account; ``actor`` did it, ``place`` is the same word for the same place.

    ``user_id`` is null for an address that has no account.
    """

    id: SecurityEventRef
    what: What
    user_id: UserRef | None
    actor: str
    place: Annotated[str | None, BeforeValidator(lambda place: place and place[:6].hex())]
    note: str
    request_id: str
    created_at: Timestamp


class KeyView(View):
    kty: str
    crv: str
    x: str
    y: str
    kid: str
    use: str
    alg: str


class KeysView(View):
    keys: list[KeyView]


class EndedView(View):
    """The ids of sessions that have ended, of which an access token may still look good."""

    ended: list[UUID]


class ContactView(View):
    email: str
    full_name: str | None
    locale: str
