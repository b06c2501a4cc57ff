"""A PostgreSQL and a RabbitMQ for a test run: containers where a Docker engine answers, else private local servers.

The first test that asks starts a keeper process; every process of the run shares its server, and it ends with the run.
"""

import asyncio
import fcntl
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ordermill import accounts
from ordermill.control import is_alive
from ordermill.erlang import ensure_installation
from ordermill.postgres import Postgres
from ordermill.process import Spec
from ordermill.rabbitmq import RabbitMQ
from ordermill.state import State
from ordermill.supervisor import Supervisor
from tests.support.containers import Contained, an_engine_answers

READY_WITHIN = 90.0


def server_url(kind: str, folder: Path) -> str:
    """The address of this run's `postgres` or `rabbitmq`, as its owner; started now if nobody has asked before.

    `folder` is shared by all processes of the run. Databases, queues and users are the tests' own business.
    """
    given = os.environ.get(f"ORDERMILL_TEST_{kind.upper()}")
    if given:
        return given
    with (folder / f"{kind}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        file = folder / f"{kind}.url"
        return file.read_text() if file.exists() else _start_keeper(kind, folder, file)


def broker_secret(folder: Path, service: str) -> str:
    """The password of a service's user at this run's broker."""
    return State.open(folder / "rabbitmq-server").secret(f"{service}.broker")


def _start_keeper(kind: str, folder: Path, file: Path) -> str:
    run = os.getppid() if os.environ.get("PYTEST_XDIST_WORKER") else os.getpid()
    log = folder / f"{kind}.keeper.log"
    with log.open("ab") as output:
        argv = [sys.executable, "-m", "tests.support.servers", kind, str(folder), str(run)]
        keeper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + READY_WITHIN
    while not file.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            message = f"no {kind} for this run: {log.read_text()}"
            raise RuntimeError(message)
        time.sleep(0.05)
    keeper.returncode = 0  # It ends with the run, by itself: nobody waits for it, and nobody is warned about it.
    return file.read_text()


async def keep(kind: str, folder: Path, run: int) -> None:
    """Be the keeper: start the server, write its address, end it when the run is over."""
    state = State.open(folder / f"{kind}-server")
    start = _in_container if an_engine_answers() else _private
    url, end = await start(kind, state)
    draft = folder / f"{kind}.draft"
    draft.write_text(url)
    draft.rename(folder / f"{kind}.url")
    while is_alive(run):  # noqa: ASYNC110  another process ends the run
        await asyncio.sleep(0.2)
    end()
    for name in (kind, "sockets"):
        accounts.remove(state.root / name)


async def _private(kind: str, state: State) -> tuple[str, Callable[[], None]]:
    supervisor = Supervisor(print)
    url, specs = _postgres(state) if kind == "postgres" else _rabbitmq(state)
    for spec in specs:
        await supervisor.start_ready(spec)
    return url, supervisor.kill


def _postgres(state: State) -> tuple[str, list[Spec]]:
    root, log = state.root / "postgres", state.log("postgres")
    server = Postgres(root, log, state.sockets, state.secret("postgres"), durable=False)
    return server.url, [server.prepare()]


def _rabbitmq(state: State) -> tuple[str, list[Spec]]:
    from ordermill.setup import definitions  # noqa: PLC0415  it imports every service

    ports = [state.port(name) for name in ("rabbitmq", "rabbitmq.distribution", "epmd")]
    told = (state.secret("rabbitmq"), state.erlang_cookie)
    node = RabbitMQ(state.root / "rabbitmq", state.log("rabbitmq"), *ports, *told)
    return node.url, list(node.prepare(ensure_installation(print), os.environ, definitions(state)))


async def _in_container(kind: str, state: State) -> tuple[str, Callable[[], None]]:
    server = Contained(kind, state)
    await server.start()
    return server.url, server.stop


if __name__ == "__main__":
    asyncio.run(keep(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
    gc.freeze()
