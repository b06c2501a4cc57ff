"""The folder `.ordermill/` of a checkout: secrets, ports, logs, the running state, and the lock of the one `up`."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ordermill import ours, sockets
from ordermill.accounts import unprivileged
from ordermill.errors import Exit, Failure
from ordermill.ours import locked, own_folder, read, write
from ordermill.ports import HOST, find_free, is_free, start_of
from ordermill.told import variables
from ordermill.whose import Use

Layout = Literal["packed", "split"]
SOCKET_PATH_LIMIT = 100
GATEWAY_PORT = 8000


def checkout() -> Path:
    """The folder that holds the code: of the clone, or the current one when installed elsewhere."""
    home = Path(__file__).resolve().parent.parent
    return home if (home / "pyproject.toml").exists() else Path.cwd()


def default_root() -> Path:
    """Where the state is kept, unless ORDERMILL_HOME says otherwise."""
    given = os.environ.get("ORDERMILL_HOME")
    return Path(given).absolute() if given else checkout() / ".ordermill"


def broker_names(count: int) -> list[str]:
    """What so many nodes of a broker are called."""
    return ["rabbitmq", *(f"rabbitmq{number}" for number in range(2, count + 1))]


def server_names(broker_nodes: int) -> list[str]:
    """What the servers of a shop are called."""
    return ["postgres", *broker_names(broker_nodes)]


def not_running() -> Failure:
    """What a command says that needs a running shop and finds none."""
    return Failure("No shop of this checkout is running.", "Start it with: make up", Exit.NOT_RUNNING)


class State:
    """What one checkout keeps between runs, and what its running processes are told."""

    def __init__(self, root: Path, layout: Layout = "packed") -> None:
        self.root = root
        self.layout = layout
        self._ports: dict[str, int] = {}
        self._sockets: Path | None = None
        self.moved: dict[str, int] = {}  # ports that somebody else has taken, by name

    @classmethod
    def open(cls, root: Path | None = None, layout: Layout = "packed") -> "State":
        """The state of this checkout: its folder is made, or narrowed where it is wide. Another user's is refused."""
        return cls(ours.home(root, "--home") if root else ours.home(default_root()), layout)

    @classmethod
    def attach(cls, root: Path | None = None) -> "State":
        """The state of the shop that runs now, for commands from another terminal."""
        state = cls.open(root)
        if not state.is_running():
            raise not_running()
        state._ports = {name: int(port) for name, port in read(state.root / "ports.json").items()}  # noqa: SLF001
        state.layout = read(state.root / "layout.json").get("layout", "packed")
        return state

    def keep_layout(self) -> None:
        """Let commands from other terminals know how this shop runs."""
        write(self.root / "layout.json", {"layout": self.layout})

    def log(self, name: str) -> Path:
        """The file that holds what a process writes."""
        return self.root / "log" / f"{name}.log"

    def secret(self, name: str, size: int = 24) -> str:
        """A text of so many random bytes, of this checkout, made once and kept for its owner's eyes only."""
        kept = read(self.root / "secrets.json")
        if name not in kept:
            kept[name] = secrets.token_urlsafe(size)
            write(self.root / "secrets.json", kept)
        return str(kept[name])

    def kept_secret(self, name: str) -> str | None:
        """A secret that there is already, if there is."""
        kept: str | None = read(self.root / "secrets.json").get(name)
        return kept

    def demo_password(self, role: str) -> str:
        """The password of the demo account of a role."""
        return self.secret(f"demo.{role}")

    def keep_secret(self, name: str, value: str) -> str:
        """Keep a secret that somebody else made (a private key) unless there is one already; the kept one."""
        kept = read(self.root / "secrets.json")
        if name not in kept:
            write(self.root / "secrets.json", {**kept, name: value})
        return str(kept.get(name, value))

    def take_secrets(self, values: dict[str, str]) -> None:
        """Use the secrets that data from elsewhere was made with; those that they replace stay in a file beside."""
        kept = read(self.root / "secrets.json")
        taken = {**kept, **values}
        if taken != kept:
            write(self.root / "secrets.before-restore.json", kept)
            write(self.root / "secrets.json", taken)

    def port(self, name: str, preferred: int | None = None, will_do: Callable[[int], bool] = is_free) -> int:
        """The port of a name: the same within a run, the one of the last run when it is still free."""
        if name not in self._ports:
            kept = read(self.root / "ports.json")
            wish = preferred or kept.get(name)
            # One that moves takes nobody else's place, or all behind it would move as well.
            others = {port for other, port in kept.items() if other != name and port != wish}
            self._ports[name] = find_free(wish, start_of(self.root), {*self._ports.values(), *others}, will_do)
            if wish and self._ports[name] != wish:
                self.moved[name] = wish
            write(self.root / "ports.json", {**kept, name: self._ports[name]})
        return self._ports[name]

    def url(self, name: str) -> str:
        """The HTTP address of a name."""
        return f"http://{HOST}:{self.port(name)}"

    @property
    def database_url(self) -> str:
        """Where the database is, as its owner: ours, or the one that the environment names."""
        if given := variables().get("ORDERMILL_DATABASE_URL"):
            return given
        return f"postgresql://ordermill:{self.secret('postgres')}@{sockets.place(self.sockets)}/ordermill"

    @property
    def sockets(self) -> Path:
        """The folder with the private PostgreSQL's socket, that only its user and we get into."""
        if not self._sockets:
            self._sockets = sockets.folder_for(self.root / "sockets", unprivileged())
        return self._sockets

    @property
    def broker_url(self) -> str:
        """Where the broker is, as its administrator: each node of ours, or what the environment names."""
        who = f"ordermill:{self.secret('rabbitmq')}"
        ours = ",".join(f"amqp://{who}@{HOST}:{self.port(name)}/" for name in broker_names(self.broker_nodes))
        return variables().get("ORDERMILL_BROKER_URL") or ours

    @property
    def erlang_cookie(self) -> str:
        """What whoever has it runs any code in the broker with: never less than 256 bits."""
        return self.secret("rabbitmq.cookie", 32)

    @property
    def broker_nodes(self) -> int:
        """How many nodes the private broker has, as `up` was last told."""
        return int(read(self.root / "broker.json").get("nodes", 1))

    def keep_broker_nodes(self, count: int) -> None:
        """Run so many nodes from the next start on. Kept, since their data is of that many."""
        write(self.root / "broker.json", {"nodes": count})

    @property
    def archive(self) -> Path | None:
        """Where the private PostgreSQL archives its log, when `up` was once told to."""
        kept = read(self.root / "archive.json").get("folder")
        return Path(kept) if kept else None

    def keep_archive(self, folder: Path | None) -> None:
        """Archive there from the next start on, or nowhere. Kept, since one run without leaves a gap for ever."""
        write(self.root / "archive.json", {"folder": str(folder) if folder else None})

    @property
    def control_socket(self) -> Path:
        """The supervisor's socket; in the temporary folder when this checkout's path is too long for one."""
        beside = self.root / "control.sock"
        if len(os.fsencode(beside)) <= SOCKET_PATH_LIMIT:
            return beside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        mend = "The checkout's own path is too long for a socket. Move it, or set TMPDIR to a folder of yours."
        folder = Path(tempfile.gettempdir()) / f"ordermill-{os.getuid()}"
        return own_folder(folder, Use("No socket is put into", mend, mend)) / f"{digest}.sock"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by the one `up` of this checkout; freed by the kernel however that process ends."""
        busy = Failure(
            "The shop of this checkout is already running.", "Stop it with: ordermill down", Exit.ALREADY_RUNNING
        )
        with locked(self.root / "lock", busy):
            yield

    def is_running(self) -> bool:
        """Whether an `up` holds the lock now."""
        try:
            with self.lock():
                return False
        except Failure:
            return True
