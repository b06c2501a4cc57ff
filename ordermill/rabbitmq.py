"""A private RabbitMQ node from the installed binaries: its own name, ports, data, log, cookie and epmd.

Users, queues and policies come from a definitions file that the node loads while it boots. The nodes of a cluster share
a folder, and in it the cookie, the definitions and the port mapper. The cookie is a secret of the shop: whoever has it
runs code in the node, and one that Erlang makes can be guessed.
"""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import socket
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.envelope import MESSAGE_BYTES
from ordermill.erlang import Installation, trimmed_plugins
from ordermill.ports import HOST, REUSE_PORT
from ordermill.probes import epmd_answers, rabbitmq_answers
from ordermill.process import Spec, nothing
from ordermill.state import broker_names

ADMINISTRATOR = "ordermill"
COOKIE = ".erlang.cookie"
IDLE_QUIETLY = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
KEEPS_VARIABLES = ("PATH", "LANG", "TMPDIR")
# What RabbitMQ listens with, and beside that what lets it in at a port that we hold for it.
_BESIDE = f", {{raw, {socket.SOL_SOCKET}, {REUSE_PORT}, <<1:32/native>>}}" if REUSE_PORT else ""
LISTENS = f"{{backlog, 128}}, {{nodelay, true}}, {{linger, {{true, 0}}}}, {{exit_on_close, false}}{_BESIDE}"
ADVANCED = f"[{{rabbit, [{{tcp_listen_options, [{LISTENS}]}}]}}].\n"
# A node that waits for its cluster must never give up and begin one of its own: 3.10 does after that many looks.
FOR_EVER = 1_000_000


def password_hash(password: str, salt: bytes | None = None) -> str:
    """A password as definitions files hold it: base64 of a salt of 4 bytes and SHA-256 over salt and password."""
    salt = salt or secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def administrator_only(password: str) -> dict[str, Any]:
    """Definitions with nobody but the administrator."""
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            {
                "name": ADMINISTRATOR,
                "password_hash": password_hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator"],
            }
        ],
        "permissions": [{"user": ADMINISTRATOR, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    }


@dataclass(frozen=True)
class RabbitMQ:
    """One private node: where it lives, which ports it has, which one of how many nodes it is."""

    root: Path
    log: Path
    port: int
    distribution_port: int
    epmd_port: int
    password: str
    cookie: str
    number: int = 1
    of: int = 1

    @property
    def name(self) -> str:
        """What its process and its files are called."""
        return broker_names(self.number)[-1]

    @property
    def node(self) -> str:
        """Its name in the cluster."""
        return node_of(self.number)

    @property
    def url(self) -> str:
        """The address of the broker, as its administrator."""
        return f"amqp://{ADMINISTRATOR}:{self.password}@{HOST}:{self.port}/"

    def prepare(
        self,
        installed: Installation,
        environment: Mapping[str, str],
        definitions: Mapping[str, Any] | None = None,
        before: Callable[[], Awaitable[None]] = nothing,
        after_ready: Callable[[], Awaitable[None]] = nothing,
    ) -> tuple[Spec, Spec]:
        """Write the configuration; the specs of its port mapper and of the node, to be started in this order."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("data", "log", "etc"):
            (self.root / name).mkdir(exist_ok=True)
        keep_cookie(self.root, self.cookie)
        self._configure(definitions or administrator_only(self.password))
        variables = self._variables(installed, environment)
        epmd = self._port_mapper(installed, variables)
        node = Spec(
            name=self.name,
            argv=(str(installed.server),),
            log=self.log,
            env=variables,
            cwd=self.root,
            before=before,
            ready=rabbitmq_answers(self.port),
            after_ready=after_ready,
            ready_within=90,
        )
        return epmd, node

    def _port_mapper(self, installed: Installation, variables: Mapping[str, str]) -> Spec:
        return Spec(
            name="epmd",
            argv=(str(installed.epmd), "-port", str(self.epmd_port), "-address", HOST),
            log=self.log,
            env=variables,
            cwd=self.root,
            ready=epmd_answers(self.epmd_port),
            listed=False,
            grace=1,
            rank=-1,
        )

    def _configure(self, definitions: Mapping[str, Any]) -> None:
        etc = self.root / "etc"
        file = etc / "definitions.json"
        texts = {
            file.name: json.dumps(definitions, indent=1),
            "enabled_plugins": "[].\n",
            "env.conf": "",
            "advanced.config": ADVANCED,
            f"{self.name}.conf": configuration(file, *self._lines(), leaders=self._leaders),
        }
        for name, text in texts.items():
            (etc / name).touch(0o600)
            (etc / name).write_text(text)

    @property
    def _leaders(self) -> str:
        return "balanced" if self.of > 1 else "client-local"

    def _lines(self) -> list[str]:
        local = [
            f"listeners.tcp.local = {HOST}:{self.port}",
            "log.console = false",
            f"log.file = {self.name}.log",
            "log.file.level = info",
            "log.file.rotation.size = 10485760",
            "log.file.rotation.count = 3",
        ]
        return [*local, *(["cluster_partition_handling = pause_minority"] if self.of > 1 else ()), *self._joining()]

    def _joining(self) -> list[str]:
        """A blank node joins the first one, which looks for nobody; a node with data knows its cluster."""
        if self.number == 1:
            return []
        return [
            "cluster_formation.peer_discovery_backend = classic_config",
            f"cluster_formation.discovery_retry_limit = {FOR_EVER}",
            f"cluster_formation.classic_config.nodes.1 = {node_of(1)}",
            f"cluster_formation.classic_config.nodes.2 = {self.node}",
        ]

    def _variables(self, installed: Installation, environment: Mapping[str, str]) -> dict[str, str]:
        etc, log = self.root / "etc", self.root / "log"
        kept = {name: environment[name] for name in KEEPS_VARIABLES if name in environment}
        return kept | {
            "HOME": str(self.root),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.root / "data"),
            "RABBITMQ_LOG_BASE": str(log),
            "RABBITMQ_PID_FILE": str(self.root / f"{self.name}.pid"),
            "RABBITMQ_CONFIG_FILE": str(etc / self.name),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(etc / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{IDLE_QUIETLY} -rabbit quorum_cluster_size {self.of}",
            # The start script then becomes the node instead of waiting beside it: our child is the broker itself.
            "RUNNING_UNDER_SYSTEMD": "true",
            **trimmed_plugins(installed, self.root / "home"),
        }


async def control(installed: Installation, environment: Mapping[str, str], *words: str) -> str:
    """What a node says to a command of RabbitMQ's own. Raises RuntimeError with the end of what it says against it."""
    program = installed.home / "sbin" / "rabbitmqctl"
    child = await asyncio.create_subprocess_exec(program, "-q", *words, env=environment, stdout=PIPE, stderr=PIPE)
    said, against = await child.communicate()
    if child.returncode:
        raise RuntimeError(against.decode()[-200:].strip())
    return said.decode()


def keep_cookie(home: Path, cookie: str) -> None:
    """Put it where Erlang looks for it, in the place of any other. At no time can anybody but its owner read it."""
    draft = home / f"{COOKIE}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(cookie)
    draft.replace(home / COOKIE)


def node_of(number: int) -> str:
    """The name in its cluster of a node."""
    return f"ordermill{number if number > 1 else ''}@localhost"


def configuration(definitions: Path, *lines: str, leaders: str = "client-local") -> str:
    """The file rabbitmq.conf of a node that loads this file of definitions while it boots."""
    settings = (
        f"load_definitions = {definitions}",
        "loopback_users = none",
        "vm_memory_high_watermark.relative = 0.4",
        "disk_free_limit.absolute = 200MB",
        f"queue_leader_locator = {leaders}",
        f"max_message_size = {MESSAGE_BYTES}",  # a parcel is smaller, and each listener holds sixteen in memory
        *lines,
    )
    return "".join(f"{line}\n" for line in settings)
