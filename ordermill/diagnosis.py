"""What `doctor` looks at: the things without which the shop does not start, each with its mend."""

import asyncio
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from typing import Any

from ordermill import accounts, aside, control, erlang, postgres
from ordermill.errors import Failure
from ordermill.ports import is_free
from ordermill.state import GATEWAY_PORT, State
from ordermill.told import variables

Finding = dict[str, Any]
OLDEST_PYTHON = (3, 11)
LEAST_DISK = 1 << 30
PATIENCE = 5.0
LEAST_MEMORY = 1 << 30


def findings(state: State) -> list[Finding]:
    """Every check with what was found; `ok` is false only for what keeps the shop from starting."""
    checks: tuple[Callable[[State], Finding], ...] = (
        _python, _postgres, _account, _rabbitmq, _localhost, _disk, _memory, _folder, _gateway_port, _running,
        _aside,
    )  # fmt: skip
    return [check(state) for check in checks]


def _finding(check: str, found: str, *, ok: bool = True, mend: str = "") -> Finding:
    return {"check": check, "ok": ok, "found": found, "mend": "" if ok else mend}


def _python(_state: State) -> Finding:
    fits = sys.version_info[:2] >= OLDEST_PYTHON
    return _finding("Python", platform.python_version(), ok=fits, mend="Install Python 3.11 or newer.")


def _postgres(_state: State) -> Finding:
    if variables().get("ORDERMILL_DATABASE_URL"):
        return _finding("PostgreSQL", "the one that ORDERMILL_DATABASE_URL names")
    return _attempt("PostgreSQL", lambda: str(postgres.find_binaries()))


def _account(_state: State) -> Finding:
    def account() -> str:
        found = accounts.unprivileged()
        return f"user {found[0]}, group {found[1]}" if found else "this user"

    return _attempt("account for PostgreSQL", account)


def _rabbitmq(state: State) -> Finding:
    if variables().get("ORDERMILL_BROKER_URL"):
        return _finding("RabbitMQ", "the one that ORDERMILL_BROKER_URL names")
    installed = erlang.find_installation()
    if installed:
        nodes = f", {state.broker_nodes} nodes" if state.broker_nodes > 1 else ""
        return _finding("RabbitMQ", f"{installed.server}{nodes}")
    by_up = os.geteuid() == 0 and shutil.which("apt-get") is not None
    found = "not installed; `up` installs it" if by_up else "not installed"
    return _finding("RabbitMQ", found, ok=by_up, mend=f"{erlang.install_line()}   {erlang.INSTEAD}")


def _localhost(_state: State) -> Finding:
    try:
        address = socket.gethostbyname("localhost")
    except OSError:
        return _finding("localhost", "unknown", ok=False, mend="Add the line `127.0.0.1 localhost` to /etc/hosts.")
    return _finding("localhost", address)


def _disk(state: State) -> Finding:
    free = shutil.disk_usage(state.root).free
    return _finding("free disk", f"{free >> 20} MiB", ok=free > LEAST_DISK, mend="Free 1 GiB of disk.")


def _memory(_state: State) -> Finding:
    import psutil

    free = psutil.virtual_memory().available
    return _finding("free memory", f"{free >> 20} MiB", ok=free > LEAST_MEMORY, mend="Free 1 GiB of memory.")


def _folder(state: State) -> Finding:
    writable = os.access(state.root, os.W_OK | os.X_OK)
    return _finding("state folder", str(state.root), ok=writable, mend=f"Make {state.root} writable.")


def _gateway_port(state: State) -> Finding:
    if state.is_running() and State.attach(state.root).port("gateway") == GATEWAY_PORT:
        return _finding("port 8000", "the gateway of this shop")
    free = is_free(GATEWAY_PORT)
    return _finding("port 8000", "free" if free else "taken; the gateway takes another one")


def _running(state: State) -> Finding:
    return _finding("shop", _as_it_runs(state) if state.is_running() else "not running")


def _as_it_runs(state: State) -> str:
    """What does not keep the shop from starting, but it from working."""
    try:
        told = asyncio.run(asyncio.wait_for(control.ask(state, "ps"), PATIENCE))
    except (Failure, OSError):
        return "running, and does not say how it is"
    others = (f"{each['name']} is {each['status']}" for each in told.get("processes", ()) if each["status"] != "ready")
    return ", ".join(("running", *others))


def _aside(state: State) -> Finding:
    return _finding("earlier data", aside.told(state.root) or "none")


def _attempt(check: str, look: Callable[[], str]) -> Finding:
    try:
        return _finding(check, look())
    except Failure as failure:
        return _finding(check, failure.message, ok=False, mend=failure.mend)
