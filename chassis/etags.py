"""Entity tags: which version of a thing a client has seen (RFC 9110, 8.8.3)."""


def etag(version: int) -> str:
    """The ETag of a version: ``"3"``."""
    return f'"{version}"'


_MOST = 100  # of those that a client names


def is_seen(tag: str, told: str) -> bool:
    """Whether who sends this If-None-Match has what has this ETag (RFC 9110, 13.1.2)."""
    return bool({each.strip().removeprefix("W/") for each in told.split(",", _MOST)} & {tag, "*"})
