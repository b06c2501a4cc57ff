"""The Unix socket that the private PostgreSQL listens on: where it is, and how addresses name it.

At a port of the machine anybody could listen while PostgreSQL is away, and be told its passwords.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from ordermill.accounts import User, can_reach, own, still_theirs

PORT = 5432  # no port of the machine: the socket is called so
LINE_PORT = 5433
LONGEST_FOLDER = 80
_PLAIN = re.compile(r"[\w/.+-]+", re.ASCII)


def folder_for(wanted: Path, user: User | None) -> Path:
    """The wanted folder, that user's alone; a new one elsewhere, linked to, where it lies too deep or out of his reach.

    Raises Failure when what is linked to is somebody else's by now.
    """
    if wanted.is_symlink() and wanted.exists():
        return still_theirs(wanted.resolve(), user)
    if wanted.is_symlink():
        wanted.unlink()
    wanted.mkdir(mode=0o700, exist_ok=True)
    own(wanted, user)
    if len(os.fsencode(wanted)) <= LONGEST_FOLDER and _PLAIN.fullmatch(str(wanted)) and can_reach(wanted, user):
        return wanted
    elsewhere = Path(tempfile.mkdtemp(prefix="ordermill-"))
    own(elsewhere, user)
    shutil.rmtree(wanted)
    wanted.symlink_to(elsewhere)
    return elsewhere


def socket_in(folder: Path, port: int = PORT) -> Path:
    """What PostgreSQL calls its socket, and its clients look for."""
    return folder / f".s.PGSQL.{port}"


def place(folder: Path, port: int = PORT) -> str:
    """How an address names it, in the place of a host and a port."""
    return f"{quote(str(folder), safe='')}:{port}"
