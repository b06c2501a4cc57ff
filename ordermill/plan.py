"""The processes of a shop in each layout: names, command lines, addresses."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ordermill import named
from ordermill.errors import Failure
from ordermill.needs import handed_on, settings_of
from ordermill.nursery import is_open
from ordermill.ports import HOST, is_free, is_holdable
from ordermill.probes import answers_ok
from ordermill.process import ORDERMILL, Spec, argv_of, python_path
from ordermill.services import AUDITOR, GATEWAY, PROVIDER, SERVICES
from ordermill.state import GATEWAY_PORT, State, broker_names
from ordermill.told import variables

FORKS = sys.platform == "linux"
# Two halves of the work of an order: one process of Python would leave a second processor idle.
PACKED = {
    "shop.worker": ("order_service", "inventory_service"),
    "shop2.worker": ("payment_service", "notification_service", "auth_service"),
}


def edges_and_workers(state: State, told: Mapping[str, str]) -> list[Spec]:
    """The processes with our code: three when packed, each service's own when split; and the auditor."""
    ours = _packed(state, told) if state.layout == "packed" else _split(state, told)
    return [*ours, _auditor(state, told)]


def choose_ports(state: State, gateway: int | None = None) -> None:
    """Settle every address before anybody is told one; the gateway takes the port that was asked for, or prefers 8000.

    Raises:
        Failure: when something else listens on the port that was asked for.
    """
    if gateway and not is_free(gateway):
        message = f"Port {gateway} is taken."
        raise Failure(message, "Choose another one with --port, or leave it out and a free one is found.")
    state.port(GATEWAY, gateway or GATEWAY_PORT)
    brokers = broker_names(state.broker_nodes)
    for name in [*brokers, *_own_ports(state)]:
        state.port(name, will_do=is_holdable)
    for name in [*(f"{name}.distribution" for name in brokers), "epmd"]:
        state.port(name)


def held_ports(state: State) -> list[int]:
    """Where a server of ours is told what others must not know: nobody else listens there before it or in its place.

    The gateway's port is what people know, and kept even where connections of another program are not forgotten yet.
    """
    ours = () if variables().get(named.BROKER) else broker_names(state.broker_nodes)
    gateway = state.port(GATEWAY)
    return [*(state.port(name) for name in [*ours, *_own_ports(state)]), *filter(is_holdable, [gateway])]


def _own_ports(state: State) -> list[str]:
    """What the ports of our processes are called, but for the gateway's."""
    ours = [f"{service}.{role}" for service in SERVICES for role in ("api", "worker")]
    return ["mailbox.smtp", "mailbox.http", PROVIDER, AUDITOR, *(PACKED if state.layout == "packed" else ()), *ours]


def nursery(state: State) -> Spec:
    """The process that the others are forked from."""
    socket = nursery_socket(state)
    return Spec(
        name="nursery",
        argv=(*argv_of("ordermill.nursery"), str(socket)),
        log=state.log("nursery"),
        env=_environment((), {}),
        ready=lambda: is_open(socket),
        rank=1,
        listed=False,
        grace=2,
    )


def nursery_socket(state: State) -> Path:
    """Where the nursery listens."""
    return state.control_socket.with_suffix(".nursery")


def mailbox(state: State, told: Mapping[str, str]) -> Spec:
    """The process that takes the shop's mails, and knows no secret of the shop's but its own two."""
    smtp, http = state.port("mailbox.smtp"), state.port("mailbox.http")
    arguments = ("mailbox", "--smtp-port", str(smtp), "--http-port", str(http), "--folder", str(state.root / "mailbox"))
    own = {
        "ORDERMILL_MAILBOX_KEY": state.secret("mailbox_key"),
        "ORDERMILL_MAILBOX_PASSWORD": state.secret("mailbox_password"),
    }
    return _ours(state, "mailbox", arguments, http, _environment((), told, **own))


def _packed(state: State, told: Mapping[str, str]) -> list[Spec]:
    return [
        _hosting(state, "shop.api", (GATEWAY, *SERVICES), told, port=GATEWAY),
        *(_hosting(state, name, services, told) for name, services in PACKED.items()),
    ]


def _split(state: State, told: Mapping[str, str]) -> list[Spec]:
    own = [_hosting(state, f"{service}.{role}", (service,), told) for service in SERVICES for role in ("api", "worker")]
    return [_hosting(state, PROVIDER, (PROVIDER,), told), *own, _hosting(state, GATEWAY, (GATEWAY,), told)]


def _auditor(state: State, told: Mapping[str, str]) -> Spec:
    return _hosting(state, AUDITOR, (AUDITOR,), told)


def _environment(hosted: Sequence[str], told: Mapping[str, str], **own: str) -> dict[str, str]:
    """Of a process of ours that hosts all of these; `own` is nobody else's."""
    settings = settings_of(hosted, {**handed_on(os.environ), **told})
    return {**settings, **own, "PYTHONPATH": python_path(), "PYTHONUNBUFFERED": "1"}


def _rank(name: str) -> int:
    """The place in the order of ending: who calls others ends before them."""
    if name == GATEWAY:
        return 5
    if name.endswith(".api"):
        return 4
    return {"mailbox": 1, PROVIDER: 2}.get(name, 3)


def _hosting(
    state: State, name: str, hosted: Sequence[str], told: Mapping[str, str], *, port: str | None = None
) -> Spec:
    role = "worker" if name.endswith(".worker") else "api"
    number = state.port(port or name)
    arguments = ("run", *hosted, "--role", role, "--port", str(number))
    return _ours(state, name, arguments, number, _environment(hosted, told))


def _ours(state: State, name: str, arguments: Sequence[str], port: int, env: Mapping[str, str]) -> Spec:
    return Spec(
        name=name,
        argv=(*ORDERMILL, *arguments),
        log=state.log(name),
        env=env,
        nursery=nursery_socket(state) if FORKS and arguments[0] == "run" else None,
        listens=port if arguments[0] == "run" else None,
        ready=answers_ok(port, "/readyz"),
        alive=answers_ok(port, "/livez"),
        url=f"http://{HOST}:{port}",
        rank=_rank(name),
    )
