"""`up` itself: the lock, the start, the long wait, the end; in the foreground or detached."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ordermill import accounts, cluster, consent, control, logs, named, plan, ports, whose
from ordermill.archive import NO_ARCHIVE
from ordermill.errors import Exit, Failure
from ordermill.ours import appending
from ordermill.output import shown
from ordermill.process import ORDERMILL, python_path
from ordermill.shop import Progress, Setup, Shop
from ordermill.state import State
from ordermill.supervisor import all_ready

FOLDER_LOOK_EACH = 2
OPEN_FILES = 65_536
NOWHERE = "off"
COMMAND = (*ORDERMILL, "up")
_CTRL_C = "Ctrl+C, or from another terminal with: "
SAID_WHEN_READY = "The shop is open."
AN_ORDER = {
    "lines": [{"sku": "MUG-RED", "quantity": 1}],
    "shipping_address": {"name": "Ada", "line1": "1 Main St", "city": "Delft", "postal_code": "2611", "country": "NL"},
    "payment": {"token": "tok_ok"},
}


def tell(line: str) -> None:
    """A line of progress, on stderr."""
    sys.stderr.write(shown(f"{line}\n"))
    sys.stderr.flush()


def load_setup() -> Setup:
    """The steps between the servers and the services; slow, since it imports every service."""
    from ordermill import setup

    return setup


async def up(
    state: State,
    port: int | None,
    *,
    archive: str | None = None,
    broker_nodes: int | None = None,
    shop_of: Callable[[State, Progress], Shop] | None = None,
) -> None:
    """Start the shop and keep it until it is told to end by a signal or by `down`."""
    progress = Progress(time.monotonic(), tell)
    with state.lock():
        named.refuse_nonsense()
        if archive:
            state.keep_archive(_archive(archive))
        cluster.settle(state, broker_nodes, progress)
        _raise_limits()
        plan.choose_ports(state, port)
        for name, taken in state.moved.items():
            progress(f"port {taken} of {name} is taken: it is {state.port(name)} now")
        state.keep_layout()
        named.quieten_brokers(logging.CRITICAL)
        with ports.held(plan.held_ports(state)):
            await _run(shop_of(state, progress) if shop_of else Shop(state, progress, load_setup))
    gc.freeze()  # Looking for garbage in all that the services imported would hold up the end by a second.


def _archive(named: str) -> Path | None:
    """The folder to archive in from now on, none where that is to end. Raises Failure when others may exchange it."""
    if named == NOWHERE:
        return None
    return whose.led(Path(named), NO_ARCHIVE)


async def _run(shop: Shop) -> None:
    ended = asyncio.Event()
    _on_signals(shop, ended)
    async with control.serving(shop.state, _commands(shop, ended)):
        housekeeping = asyncio.gather(logs.cut_logs(shop.state), _end_without_folder(shop, ended))
        try:
            await _start_unless(ended, shop)
            await ended.wait()
        finally:
            housekeeping.cancel()
            await asyncio.gather(housekeeping, return_exceptions=True)
            shop.progress("stopping")
            await shop.supervisor.stop()
            plan.nursery_socket(shop.state).unlink(missing_ok=True)
            shop.progress("stopped")


async def _start_unless(ended: asyncio.Event, shop: Shop) -> None:
    """Start the shop; when it is told to end meanwhile, leave the start where it is."""
    start, end = asyncio.create_task(shop.start()), asyncio.create_task(ended.wait())
    await asyncio.wait((start, end), return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not start.done():
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        return
    start.result()
    tell(summary(await shop.describe()))


def _commands(shop: Shop, ended: asyncio.Event) -> dict[str, control.Command]:
    async def ps() -> control.Answer:
        return await shop.describe()

    async def restart(name: str) -> control.Answer:
        await shop.supervisor.restart(name)
        return await shop.describe()

    async def down() -> control.Answer:
        ended.set()
        return {}

    return {"ps": ps, "restart": restart, "down": down}


def _on_signals(shop: Shop, ended: asyncio.Event) -> None:
    """The first signal ends everything in good order, the second at once."""

    def end() -> None:
        if ended.is_set():
            shop.supervisor.kill()
        ended.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)


def _raise_limits() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


async def _end_without_folder(shop: Shop, ended: asyncio.Event) -> None:
    """End a shop whose folder was removed under it: nobody could reach it any more to end it."""
    while (shop.state.root / "lock").exists():  # noqa: ASYNC110  nobody announces it
        await asyncio.sleep(FOLDER_LOOK_EACH)
    shop.progress(f"{shop.state.root} was removed")
    ended.set()


def forget(state: State) -> None:
    """Remove what the shop keeps between runs: data, mails, logs and secrets."""
    for name in ("postgres", "sockets", "rabbitmq", "mailbox"):
        accounts.remove(state.root / name)
    for file in (*(state.root / "log").glob("*"), state.root / "secrets.json", state.root / "ports.json"):
        file.unlink(missing_ok=True)


def summary(shop: dict[str, Any]) -> str:
    """What a person needs to know when the shop is open."""
    gateway, order = shop["gateway"], json.dumps(AN_ORDER)
    lines = (
        "",
        SAID_WHEN_READY,
        f"  API      {gateway}/api/v1",
        f"  docs     {gateway}/docs",
        "  mailbox  its link, with a key, is what this prints: .venv/bin/ordermill ps",
        "",
        "  Place an order:",
        f'    curl -s {gateway}/api/v1/orders -H "Authorization: Bearer $(.venv/bin/ordermill token)" \\',
        """      -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%s%N)" -H 'Prefer: wait=5' \\""",
        f"      -d '{order}'",
        "",
        f"  Stop it with {_CTRL_C if consent.is_anybody_here() else ''}.venv/bin/ordermill down",
    )
    return "\n".join(lines)


def detached(state: State, port: int | None, *options: str) -> None:
    """Start `up` in the background, show its progress, return when the shop is ready."""
    with state.lock():
        log = state.log("up")
        log.unlink(missing_ok=True)
    argv = [*COMMAND, "--layout", state.layout, *(["--port", str(port)] if port else []), *options]
    with appending(log) as output:
        child = subprocess.Popen(  # noqa: S603  the program and its words are ours
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, "PYTHONPATH": python_path(), "ORDERMILL_HOME": str(state.root)},
        )  # fmt: skip
    _follow_until_ready(log, child)


def _follow_until_ready(log: Path, child: subprocess.Popen[bytes]) -> None:
    with log.open() as lines:
        while True:
            ended = child.poll()
            text = lines.read()
            sys.stderr.write(shown(text))
            if ended is not None:  # it has said why, and what mends it
                raise SystemExit(ended if ended > 0 else Exit.STEP_FAILED)
            if SAID_WHEN_READY in text:
                child.returncode = 0  # It runs on without us: nobody waits for it, and nobody is warned about it.
                return
            time.sleep(0.1)


async def wait_ready(state: State, within: float) -> dict[str, Any]:
    """The shop's description as soon as everything is ready. Raises Failure when that takes too long."""
    deadline = time.monotonic() + within
    while True:
        shop = await control.ask(state, "ps")
        if all_ready(shop["processes"]):
            return shop
        if time.monotonic() > deadline:
            late = ", ".join(each["name"] for each in shop["processes"] if each["status"] != "ready")
            message = f"Not ready after {within:.0f} s: {late}."
            raise Failure(message, "Look at: ordermill logs " + late.split(",")[0], Exit.TIMED_OUT)
        await asyncio.sleep(0.1)
