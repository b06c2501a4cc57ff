"""What people write and others read: it is asked of what comes in, never of events, nor of what is stored already."""

from re import compile as pattern

from pydantic import AfterValidator, SecretStr

# Controls (Cc) but tabs and ends of lines; the separators of lines and paragraphs (Zl, Zp); what turns the direction of
# the text behind it (Unicode TR36, 3.2); halves of surrogate pairs. Joiners are letters' own, in Persian and in emoji.
_UNREADABLE = pattern("[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_UNSTORABLE = pattern("[\\0\\ud800-\\udfff]")  # by PostgreSQL
_BETWEEN_LINES = pattern("[\\t\\n\\r]")


def is_readable(text: str) -> bool:
    """Whether every character is there to be read. Tabs and ends of lines are."""
    return text.isprintable() or _UNREADABLE.search(text) is None


def is_unwanted(value: object) -> bool:
    """Whether a text somewhere in this cannot be read, or a secret not be stored."""
    if isinstance(value, str):
        return not is_readable(value)
    if isinstance(value, SecretStr):
        return _UNSTORABLE.search(value.get_secret_value()) is not None
    if isinstance(value, dict):
        return any(is_unwanted(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(map(is_unwanted, value))


def _one_line(text: str) -> str:
    if not text.isprintable() and (_BETWEEN_LINES.search(text) or not is_readable(text)):
        message = "must be one line, without control characters"
        raise ValueError(message)
    return text


ONE_LINE = AfterValidator(_one_line)
"""A pydantic annotation of names, lines of addresses, titles: what stands in one line of a page, a mail or a list."""
