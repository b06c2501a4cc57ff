"""What is kept of a secret that is too long to be guessed: its SHA-256."""

from hashlib import sha256


def digest_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
