"""The mails that a mailbox has taken: the newest ones, in memory and in a file that outlives a restart.

The file holds a JSON object a line. However many mails come, memory and file stay within bounds.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.policy import EmailPolicy
from functools import lru_cache
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any, NamedTuple, Self, cast
from uuid import uuid4

from ordermill import whose

KEEPS = 10_000
ROOM = 32 * 1024 * 1024  # bytes of all mails that are kept; the file takes twice that before it is written anew
PAGE = 100
PAGE_ROOM = 4 * 1024 * 1024

Mail = Mapping[str, Any]


@lru_cache
def _read_header(name: str, value: str) -> Any:
    return policy.default.header_fetch_parse(name, value)


class _ReadsHeadersOnce(EmailPolicy):
    """A message asks for its Content-Type again and again, and the default reads it anew each time."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return _read_header(name, value)


_POLICY = _ReadsHeadersOnce()


class Kept(NamedTuple):
    """A mail as it is kept: its line of the file, and what it is looked for by."""

    id: str
    to: tuple[str, ...]
    line: bytes

    @classmethod
    def of(cls, mail: Mail) -> Self:
        to = tuple(str(address).lower() for address in mail["to"])
        return cls(str(mail["id"]), to, json.dumps(mail, ensure_ascii=False).encode(errors="replace") + b"\n")


class Page(NamedTuple):
    """Some mails, newest first; where older ones go on, if there are any: before the mail of that id."""

    lines: list[bytes]
    older: str | None


class Mails:
    """The mails, newest last. One is on its way to the disk before its sender hears that it was taken."""

    def __init__(self, folder: Path, keeps: int = KEEPS, room: int = ROOM) -> None:
        # Mails name people, and are nobody else's to read.
        self.file = whose.made(folder, 0o700, whose.Use("No mails are kept in")) / "mails.jsonl"
        self._keeps, self._room = keeps, room
        self._kept: deque[Kept] = deque()
        self._size = 0
        for mail in _stored(self.file):
            self._keep(Kept.of(mail))
        self._rewrite()

    def add(self, mail: Mail) -> None:
        """Keep a mail; the oldest ones go when there are too many, or they take too much room."""
        kept = Kept.of(mail)
        self._keep(kept)
        self._written += len(kept.line)
        if self._written > 2 * self._room:
            return self._rewrite()
        with self.file.open("ab") as file:
            file.write(kept.line)
        return None

    def clear(self) -> None:
        """Forget all mails."""
        self._kept.clear()
        self._size = 0
        self._rewrite()

    def find(self, mail_id: str) -> bytes | None:
        """A mail by its id, as JSON."""
        return next((kept.line for kept in self._kept if kept.id == mail_id), None)

    def page(self, to: str | None = None, before: str | None = None) -> Page:
        """The newest mails, those to one address when it is given, from the one behind `before` on: as many as fit."""
        wanted = to.strip().lower() if to else None
        found = (kept for kept in self._from(before) if not wanted or wanted in kept.to)
        lines: list[bytes] = []
        last, size = None, 0
        for kept in islice(found, PAGE + 1):
            size += len(kept.line)
            if len(lines) == PAGE or (lines and size > PAGE_ROOM):
                return Page(lines, last)
            lines.append(kept.line)
            last = kept.id
        return Page(lines, None)

    def _from(self, before: str | None) -> Iterator[Kept]:
        newest_first = reversed(self._kept)
        return islice(dropwhile(lambda kept: kept.id != before, newest_first), 1, None) if before else newest_first

    def _keep(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._size += len(kept.line)
        while len(self._kept) > self._keeps or self._size > self._room:
            self._size -= len(self._kept.popleft().line)

    def _rewrite(self) -> None:
        draft = self.file.with_suffix(".draft")
        with draft.open("wb") as file:
            file.writelines(kept.line for kept in self._kept)
        draft.replace(self.file)
        self._written = self._size


def read_mail(raw: bytes, sender: str, recipients: list[str]) -> Mail:
    """A mail as GET /messages shows it."""
    message = cast("EmailMessage", message_from_bytes(raw, policy=_POLICY))
    return {
        "id": uuid4().hex,
        "from": sender,
        "to": recipients,
        "subject": str(message.get("Subject", "")),
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
        "message_id": str(message.get("Message-ID", "")),
        "received_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "headers": {name: str(value) for name, value in message.items()},
    }


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else None


def _stored(file: Path) -> Iterator[Mail]:
    """What the file holds; a last line that was torn by a kill is left out."""
    if file.exists():
        with file.open("rb") as lines:
            yield from _readable(lines)


def _readable(lines: Iterable[bytes]) -> Iterator[Mail]:
    for line in lines:
        try:
            mail = json.loads(line)
        except ValueError:
            continue
        if isinstance(mail, dict) and {"id", "to"} <= mail.keys():
            yield mail
