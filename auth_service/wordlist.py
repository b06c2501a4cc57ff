"""The 3,000 most common passwords of 8 characters and more, which nobody may choose (OWASP ASVS 5.0, 6.2.4).

The list is that of zxcvbn 4.5.0 (MIT). It is kept as the first 48 bits of each one's SHA-256: nobody has to read it.
"""

from functools import cache
from hashlib import sha256
from importlib.resources import files

_KEPT = 12


@cache
def _digests() -> frozenset[str]:
    return frozenset(files("auth_service").joinpath("common_passwords.txt").read_text().split())


def is_common(password: str) -> bool:
    """Whether it is on the list, in whatever case."""
    return sha256(password.lower().encode()).hexdigest()[:_KEPT] in _digests()
