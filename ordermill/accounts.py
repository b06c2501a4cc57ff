"""Running a server as another user: PostgreSQL refuses to run as root."""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ordermill.errors import Exit, Failure

User = tuple[int, int]
UNPRIVILEGED = ("postgres", "nobody")
ELSEWHERE = Path("/var/tmp")  # noqa: S108  it must outlive a restart of the machine


def unprivileged() -> User | None:
    """User and group for a server that refuses root; None when we are not root anyway."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    mend = "Run it as another user than root."
    cause = "PostgreSQL refuses root, and there is no user postgres or nobody."
    raise Failure(cause, mend, Exit.MISSING)


def can_reach(folder: Path, user: User | None) -> bool:
    """Whether that user gets into a folder; a clone under /root keeps everybody else out."""
    if not user:
        return True
    probe = ["/bin/sh", "-c", 'cd "$1" && test -r . && test -x .', "sh", str(folder)]
    done = subprocess.run(  # noqa: S603  the program and its words are ours
        probe, cwd="/", check=False, capture_output=True, user=user[0], group=user[1], extra_groups=[]
    )
    return done.returncode == 0


def reachable_folder(wanted: Path, user: User | None) -> Path:
    """The wanted folder, owned by the user; when he cannot get there, one in /var/tmp that the wanted path links to.

    Without that link the one in /var/tmp is what a deleted checkout has left at the same place: nobody has its secrets.
    """
    if wanted.is_symlink() and wanted.exists():
        return still_theirs(wanted.resolve(), user)
    if wanted.is_symlink():
        wanted.unlink()
    wanted.mkdir(parents=True, exist_ok=True)
    own(wanted, user)
    if can_reach(wanted, user):
        return wanted
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    elsewhere = _anew(ELSEWHERE / f"ordermill-{digest}")
    own(elsewhere, user)
    wanted.rmdir()
    wanted.symlink_to(elsewhere)
    return elsewhere


def _anew(folder: Path) -> Path:
    """An empty folder of ours, where everybody may put something: where somebody else was first, under another name.

    A link is not followed, and not removed: what it leads to is not ours.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    return folder


def still_theirs(folder: Path, user: User | None) -> Path:
    """The folder that is linked to. What was cleaned away where all may write, anybody may have put there again."""
    if not is_of(folder.stat(), os.geteuid(), user[0] if user else os.geteuid()):
        cause = f"{folder} is not the server's user's alone: somebody else may have put it there."
        raise Failure(cause, "See whose it is and what is in it; remove it, and the shop begins with an empty one.")
    own(folder, user)
    return folder


def remove(folder: Path) -> None:
    """Remove a folder of a shop's, also where it is only a link to one elsewhere."""
    if folder.is_symlink():
        shutil.rmtree(folder.resolve(), ignore_errors=True)
    clear(folder)


def clear(place: Path) -> None:
    """Remove what is there. Of a link, which somebody else may have put there, only the link."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    shutil.rmtree(place, ignore_errors=True)


def is_of(folder: os.stat_result, *owners: int) -> bool:
    """Whether that is a folder of one of these users, and nobody else may write to it."""
    return stat.S_ISDIR(folder.st_mode) and folder.st_uid in owners and not folder.st_mode & 0o022


def is_open(folder: os.stat_result) -> bool:
    """Whether others may exchange what we put there; where all may write, a sticky folder keeps them from it."""
    return bool(folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX)


@contextmanager
def held(folder: Path | str, within: int | None = None) -> Iterator[int]:
    """A folder's descriptor, which stays this folder's whatever is put in its place.

    Raises OSError where a link is in its place already, or anything else.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        yield handle
    finally:
        os.close(handle)


def own(folder: Path, user: User | None) -> None:
    """Make a folder that user's alone; ours when there is none. What a link leads to is not touched: OSError."""
    with held(folder) as handle:
        give(handle, user)


@contextmanager
def closed(folder: Path, user: User | None) -> Iterator[None]:
    """Take a folder of the server's user away from him while we work in it, so that he puts no link in our way.

    Whoever reaches for the folder gives it back, when we were killed before we could.
    """
    with held(folder) as handle:
        os.fchown(handle, os.geteuid(), os.getegid())
        try:
            yield
        finally:
            give(handle, user)


def give(handle: int, user: User | None) -> None:
    """Make a folder that is held that user's alone; ours when there is none."""
    os.fchmod(handle, 0o700)
    if user:
        os.fchown(handle, *user)


def hand_over(path: Path, user: User | None) -> None:
    """Make that user the owner of a file, or of a folder and all that is in it."""
    if not user:
        return
    for each in (path, *path.rglob("*")):
        os.chown(each, *user, follow_symlinks=False)
