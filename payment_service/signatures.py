"""Signatures of webhooks as Standard Webhooks has them: HMAC-SHA-256 over id, time and body."""

from base64 import b64encode
from hmac import compare_digest, digest
from typing import Annotated

from pydantic import BaseModel, Field

TOLERANCE = 300


class Signed(BaseModel):
    """The headers of a message; what is missing is no signature."""

    webhook_id: Annotated[str, Field(max_length=200)] = ""
    webhook_timestamp: Annotated[str, Field(max_length=20)] = ""
    webhook_signature: Annotated[str, Field(max_length=1000)] = ""


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return f"v1,{b64encode(digest(secret.encode(), signed, 'sha256')).decode()}"


def headers(secret: str, message_id: str, now: float, body: bytes) -> dict[str, str]:
    """What a message is sent with."""
    timestamp = str(int(now))
    signature = _signature(secret, message_id, timestamp, body)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def is_genuine(secret: str, signed: Signed, body: bytes, now: float) -> bool:
    """Whether one of the signatures is right, and the message so young that it cannot be an old one, sent again."""
    timestamp = signed.webhook_timestamp
    if not (timestamp.isascii() and timestamp.isdecimal()) or abs(now - int(timestamp)) > TOLERANCE:
        return False
    expected = _signature(secret, signed.webhook_id, timestamp, body).encode()
    return any(compare_digest(given.encode(), expected) for given in signed.webhook_signature.split())
