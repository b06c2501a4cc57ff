"""Identities at OpenID issuers."""

from collections.abc import Sequence
from typing import Any

from auth_service.domain.identity import Identity
from auth_service.domain.session import SignIns
from auth_service.domain.user import User
from auth_service.tables import identities
from chassis.database import Transaction
from chassis.statements import Bulk
from chassis.store import Change, Rows

_FIND = f"""
    SELECT t.* FROM {identities.fullname} t JOIN unnest($1::text[], $2::text[]) AS v(issuer, subject)
    USING (issuer, subject)
"""  # noqa: S608 -- the table is ours
_ADD = Bulk.insert(identities)


async def find_identities(tx: Transaction, keys: Sequence[tuple[str, str]]) -> list[Identity]:
    return [Identity(**row) for row in await tx.sql(_FIND, *zip(*keys, strict=True))]


async def add_identities(tx: Transaction, changes: Sequence[Change]) -> None:
    await tx.run(_ADD, [_ADD.row(change.after) for change in changes])


IDENTITIES: Rows[Any] = Rows(
    Identity,
    save=add_identities,
    load=find_identities,
    names=lambda identity: ((User, identity.user_id), (SignIns, identity.user_id)),
)
