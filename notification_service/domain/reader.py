"""Users as people who are written to: what they do not want, and that they are erased."""

from dataclasses import dataclass, replace
from uuid import UUID

from contracts.accounts import UserErased, UserRegistered
from notification_service.domain.mails import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A user as somebody who is written to. Erased ones stay, so that late events find out."""

    user_id: UUID
    locale: str | None = None
    opted_out: frozenset[Template] = frozenset()
    erased: bool = False
    version: int = 1

    @property
    def key(self) -> UUID:
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The order to overwrite who got a user's notifications and what was in them; saving it does so, or begins to."""

    user_id: UUID

    @property
    def key(self) -> UUID:
        return self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPreferences:
    user_id: UUID
    opted_out: frozenset[Template]


def remember(reader: Reader | None, fact: UserRegistered) -> Reader:
    if reader is None:
        return Reader(user_id=fact.user_id, locale=fact.locale)
    if reader.erased or reader.locale == fact.locale:
        return reader
    return replace(reader, locale=fact.locale, version=reader.version + 1)


def forget(reader: Reader | None, fact: UserErased) -> Reader:
    known = reader or Reader(user_id=fact.user_id, version=0)
    if known.erased:
        return known
    return replace(known, locale=None, opted_out=frozenset(), erased=True, version=known.version + 1)


def prefer(reader: Reader | None, command: SetPreferences) -> Reader:
    known = reader or Reader(user_id=command.user_id, version=0)
    if reader is not None and (reader.erased or reader.opted_out == command.opted_out):
        return reader
    return replace(known, opted_out=command.opted_out, version=known.version + 1)
