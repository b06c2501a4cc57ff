"""The keys that access tokens are signed with."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from asyncpg import Record
from sqlalchemy import ARRAY, Text, any_, bindparam, delete, func, select

from auth_service.domain.keyring import Keyring
from auth_service.tables import signing_keys
from chassis.database import Transaction
from chassis.statements import Bulk, Statement
from chassis.tokens import KeyPair

# No advisory lock: those are everybody's who can connect, and whoever held this one would end all sign-ins.
_LOCK_KEYS = f"LOCK TABLE {signing_keys.fullname} IN SHARE ROW EXCLUSIVE MODE"
_KEYS = Statement(
    select(signing_keys.c.private_pem, signing_keys.c.created_at, func.now().label("now")).order_by(
        signing_keys.c.created_at.desc(), signing_keys.c.kid
    )
)
_ADD_KEYS = Bulk.insert(signing_keys, "kid", "private_pem", "public_jwk")
_FORGET = Statement(delete(signing_keys).where(signing_keys.c.kid == any_(bindparam("kids", type_=ARRAY(Text)))))


class SigningKeys(NamedTuple):
    """All keys that are published, the newest first, and the one of them that signs now."""

    published: Sequence[KeyPair]
    signer: KeyPair


async def take_signing_keys(tx: Transaction) -> SigningKeys:
    """The keys as they are now. The first one is made here, by whichever process comes first."""
    pairs, ring, now = _read(await tx.fetch(_KEYS) or await _locked(tx))
    return SigningKeys(pairs, pairs[ring.signer(now)])


async def rotate_signing_keys(tx: Transaction, *, every: timedelta, tokens_last: timedelta) -> None:
    """Makes the next key when it is time, and forgets those that are not needed any more."""
    pairs, ring, now = _read(await _locked(tx))
    if outlived := ring.outlived(now, tokens_last):
        await tx.fetch(_FORGET, kids=[pairs[place].kid for place in outlived])
    if ring.needs_another(now, every):
        await _add(tx, KeyPair.new())


async def _locked(tx: Transaction) -> list[Record]:
    await tx.sql(_LOCK_KEYS)
    if not (rows := await tx.fetch(_KEYS)):
        await _add(tx, KeyPair.new())
        rows = await tx.fetch(_KEYS)
    return rows


def _read(rows: Sequence[Record]) -> tuple[list[KeyPair], Keyring, datetime]:
    pairs = [KeyPair.load(row["private_pem"]) for row in rows]
    return pairs, Keyring([row["created_at"] for row in rows]), rows[0]["now"]


async def _add(tx: Transaction, pair: KeyPair) -> None:
    await tx.run(_ADD_KEYS, [(pair.kid, pair.private_pem, pair.public_jwk)])
