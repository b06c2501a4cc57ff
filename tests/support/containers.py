"""PostgreSQL and RabbitMQ in containers, where a Docker engine answers: with the project's own users and rights."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from ordermill.ports import HOST
from ordermill.postgres import FAST_AND_FORGETFUL, SETTINGS
from ordermill.probes import postgres_answers, rabbitmq_answers
from ordermill.state import State

IMAGES = {"postgres": "postgres:18-alpine", "rabbitmq": "rabbitmq:4-management-alpine"}
INSIDE = {"postgres": 5432, "rabbitmq": 5672}
OF_A_LOCAL_SERVER = {"listen_addresses"}
SEEN = Path("/run/secrets")


def an_engine_answers() -> bool:
    """Whether containers can be started here."""
    address = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    family = socket.AF_UNIX if address.scheme == "unix" else socket.AF_INET
    with socket.socket(family) as engine, contextlib.suppress(OSError):
        engine.settimeout(2)
        engine.connect(address.path if address.scheme == "unix" else (address.hostname, address.port or 2375))
        engine.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        return b" 200 " in engine.recv(64)
    return False


class Contained:
    """One server in a container, at the port and with the passwords that a state keeps for it."""

    def __init__(self, kind: str, state: State, *, durable: bool = False) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415  only where an engine answers

        port, password = state.port(kind), state.secret(kind)
        self._container = DockerContainer(IMAGES[kind])
        self._container.ports[str(INSIDE[kind])] = (HOST, port)  # its own words for it listen on every address
        if kind == "postgres":
            self.url = f"postgresql://ordermill:{password}@{HOST}:{port}/ordermill"
            self._answers = postgres_answers(port)
            self._be_postgres(password, durable=durable)
        else:
            self.url = f"amqp://ordermill:{password}@{HOST}:{port}/"
            self._answers = rabbitmq_answers(port)
            self._be_rabbitmq(state)
        self._coming_back: asyncio.Task[None] | None = None

    def _be_postgres(self, password: str, *, durable: bool) -> None:
        told = {name: value for name, value in SETTINGS.items() if name not in OF_A_LOCAL_SERVER}
        told |= {"shared_preload_libraries": "pg_stat_statements"} | ({} if durable else FAST_AND_FORGETFUL)
        words = [word for name, value in told.items() for word in ("-c", f"{name}={value.strip(chr(39))}")]
        user = {"POSTGRES_USER": "ordermill", "POSTGRES_DB": "ordermill", "POSTGRES_PASSWORD": password}
        how = {"POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C --data-checksums"}
        self._container.with_envs(**user, **how).with_command(["postgres", *words])

    def _be_rabbitmq(self, state: State) -> None:
        from ordermill.shares import Servers, shares  # noqa: PLC0415  it imports every service

        folder = state.root / "rabbitmq-container"
        folder.mkdir(exist_ok=True)
        for name, content in shares(state, Servers(HOST, HOST, SEEN))["rabbitmq"].items():
            (folder / name).write_text(content)
        self._container.with_env("RABBITMQ_CONFIG_FILE", str(SEEN / "rabbitmq.conf"))
        self._container.with_volume_mapping(folder, str(SEEN))

    async def start(self) -> None:
        """Returns when it answers; it announces nothing."""
        await asyncio.to_thread(self._container.start)
        await self.answering()

    async def answering(self) -> None:
        if self._coming_back:
            await self._coming_back
        while not await self._answers():  # noqa: ASYNC110  another process ends the wait
            await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """As when a process is killed under a supervisor: it comes back by itself."""
        wrapped = self._container.get_wrapped_container()
        await asyncio.to_thread(wrapped.kill)
        self._coming_back = asyncio.create_task(asyncio.to_thread(wrapped.start))

    async def freeze(self) -> None:
        await asyncio.to_thread(self._container.get_wrapped_container().pause)

    async def thaw(self) -> None:
        await asyncio.to_thread(self._container.get_wrapped_container().unpause)

    def stop(self) -> None:
        self._container.stop()
