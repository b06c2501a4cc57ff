"""A PostgreSQL and a RabbitMQ for a test run: containers where a Docker engine answers, else private local servers.

The first test that asks starts a keeper process; every process of the run shares its server, and it ends with the run.
"""

import asyncio
import contextlib
import fcntl
import gc
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ordermill import accounts
from ordermill.control import is_alive
from ordermill.erlang import ensure_installation
from ordermill.ports import HOST
from ordermill.postgres import Postgres
from ordermill.probes import postgres_answers, rabbitmq_answers
from ordermill.process import Spec
from ordermill.rabbitmq import RabbitMQ
from ordermill.state import State
from ordermill.supervisor import Supervisor

READY_WITHIN = 90.0
IMAGES = {"postgres": "postgres:18-alpine", "rabbitmq": "rabbitmq:4-management-alpine"}


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
    start = _in_container if _docker_answers() else _private
    url, end = await start(kind, state)
    draft = folder / f"{kind}.draft"
    draft.write_text(url)
    draft.rename(folder / f"{kind}.url")
    while is_alive(run):  # noqa: ASYNC110  another process ends the run
        await asyncio.sleep(0.2)
    end()
    accounts.remove(state.root / kind)


async def _private(kind: str, state: State) -> tuple[str, Callable[[], None]]:
    supervisor = Supervisor(print)
    url, specs = _postgres(state) if kind == "postgres" else _rabbitmq(state)
    for spec in specs:
        await supervisor.start_ready(spec)
    return url, supervisor.kill


def _postgres(state: State) -> tuple[str, list[Spec]]:
    root, log = state.root / "postgres", state.log("postgres")
    server = Postgres(root, log, state.port("postgres"), state.secret("postgres"), durable=False)
    return server.url, [server.prepare()]


def _rabbitmq(state: State) -> tuple[str, list[Spec]]:
    from ordermill.setup import definitions  # noqa: PLC0415  it imports every service

    ports = [state.port(name) for name in ("rabbitmq", "rabbitmq.distribution", "epmd")]
    node = RabbitMQ(state.root / "rabbitmq", state.log("rabbitmq"), *ports, state.secret("rabbitmq"))
    return node.url, list(node.prepare(ensure_installation(print), os.environ, definitions(state)))


def _docker_answers() -> bool:
    address = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    family = socket.AF_UNIX if address.scheme == "unix" else socket.AF_INET
    with socket.socket(family) as engine, contextlib.suppress(OSError):
        engine.settimeout(2)
        engine.connect(address.path if address.scheme == "unix" else (address.hostname, address.port or 2375))
        engine.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        return b" 200 " in engine.recv(64)
    return False


async def _in_container(kind: str, state: State) -> tuple[str, Callable[[], None]]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  only where an engine answers

    from ordermill.setup import definitions  # noqa: PLC0415  it imports every service

    password, inside = state.secret(kind), 5432 if kind == "postgres" else 5672
    prefix = "POSTGRES" if kind == "postgres" else "RABBITMQ_DEFAULT"
    container = DockerContainer(IMAGES[kind]).with_exposed_ports(inside)
    container.with_env(f"{prefix}_USER", "ordermill").with_env(f"{prefix}_PASSWORD", password)
    container.with_env("POSTGRES_DB", "ordermill").with_env("RABBITMQ_DEFAULT_PASS", password).start()
    port = int(container.get_exposed_port(inside))
    answers = postgres_answers(port) if kind == "postgres" else rabbitmq_answers(port)
    while not await answers():  # noqa: ASYNC110  the server announces nothing
        await asyncio.sleep(0.1)
    if kind == "rabbitmq":
        content = shlex.quote(json.dumps(definitions(state)))
        load = f"printf %s {content} >/tmp/definitions.json && rabbitmqctl import_definitions /tmp/definitions.json"
        container.exec(["sh", "-c", load])
    scheme, path = ("postgresql", "ordermill") if kind == "postgres" else ("amqp", "")
    return f"{scheme}://ordermill:{password}@{HOST}:{port}/{path}", container.stop


if __name__ == "__main__":
    asyncio.run(keep(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
    gc.freeze()
