"""The keys that access tokens are signed with."""

from sqlalchemy import func, select

from auth_service.tables import signing_keys
from chassis.database import Transaction
from chassis.statements import Bulk, Statement
from chassis.tokens import KeyPair

_LOCK_KEYS = Statement(select(func.pg_advisory_xact_lock(func.hashtext("auth_service.signing_keys"))))
_KEYS = Statement(select(signing_keys.c.private_pem).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid))
_ADD_KEYS = Bulk.insert(signing_keys, "kid", "private_pem", "public_jwk")


async def take_signing_keys(tx: Transaction) -> list[KeyPair]:
    """The keys to sign with, newest first. The first one is made here, by whichever process comes first."""
    await tx.fetch(_LOCK_KEYS)
    if not (rows := await tx.fetch(_KEYS)):
        first = KeyPair.new()
        await tx.run(_ADD_KEYS, [(first.kid, first.private_pem, first.public_jwk)])
        return [first]
    return [KeyPair.load(row["private_pem"]) for row in rows]
