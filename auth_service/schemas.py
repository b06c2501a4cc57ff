"""What clients of auth_service send and see."""

from datetime import datetime
from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from chassis.http import Body, View
from chassis.ids import SessionRef, UserRef
from contracts.types import Role


def canonical(email: str) -> str:
    """The one way to write an address: lower case, its domain in ASCII.

    Names such as ``shop.test`` are taken, as a laptop's mailbox receives them too.

    Raises:
        ValueError: when it is no address.
    """
    try:
        checked = validate_email(email, allow_smtputf8=False, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as wrong:
        raise ValueError(str(wrong)) from None
    if checked.ascii_email is None or "." not in checked.ascii_email.partition("@")[2]:
        message = "The part after the @-sign is not a full domain name."
        raise ValueError(message)
    return checked.ascii_email.lower()


Email = Annotated[
    str,
    StringConstraints(max_length=254, strip_whitespace=True),
    AfterValidator(canonical),
    Field(examples=["ann@example.com"], json_schema_extra={"format": "email"}),
]
NewPassword = Annotated[SecretStr, Field(min_length=8, max_length=128)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=128)]
FullName = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
PhoneNumber = Annotated[str, Field(pattern=r"^\+?[0-9]{10,15}$", examples=["+4930901820123"])]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$", examples=["en", "de-DE"])]


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


class Profile(Body):
    """What is not sent stays as it is; null empties a field that may be empty."""

    full_name: FullName | None = None
    phone_number: PhoneNumber | None = None
    locale: Locale = "en"


class UserUpdate(Profile):
    role: Role = Role.CUSTOMER
    disabled: bool = False


class PasswordChange(Body):
    current_password: Password
    new_password: NewPassword


class UserView(View):
    id: UserRef
    email: str
    full_name: str | None
    phone_number: str | None
    locale: str
    role: Role
    disabled: bool
    version: int
    created_at: datetime
    updated_at: datetime


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
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


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


class ContactView(View):
    email: str
    full_name: str | None
    locale: str
