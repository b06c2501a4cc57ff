"""`ordermill run`: one process of the shop, what supervisors and containers start."""

from enum import StrEnum
from typing import Annotated

import typer

from ordermill.errors import Exit, Failure


class Role(StrEnum):
    API = "api"
    WORKER = "worker"
    ALL = "all"


def run(
    names: Annotated[list[str], typer.Argument(help="Services, `gateway`; `provider` or `auditor` alone.")],
    role: Annotated[Role, typer.Option(help="The HTTP edge, the consumer with its loops, or both.")] = Role.ALL,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where HTTP is served; a worker serves its health there.")
    ] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Run services in this process until SIGTERM. Settings come from the environment (ORDERMILL_…)."""
    from pydantic import ValidationError

    from gateway.main import NowhereToGo
    from ordermill import host as hosting
    from ordermill.services import AUDITOR, GATEWAY, PROVIDER, SERVICES

    known = (*SERVICES, GATEWAY, PROVIDER, AUDITOR)
    if unknown := sorted(set(names) - {*known}):
        message = f"There is no service named {', '.join(unknown)}."
        mend = f"Choose from: {', '.join(known)}"
        raise Failure(message, mend, Exit.FAILED)
    try:
        hosting.run(names, role.value, port, host)
    except NowhereToGo as alone:
        mend = "Set it in the environment, or name the services too; `ordermill up` does it by itself."
        raise Failure(str(alone), mend, Exit.MISSING) from None
    except ValidationError as missing:
        fields = ", ".join(str(error["loc"][0]) for error in missing.errors())
        message = f"Settings are missing or wrong: {fields}."
        raise Failure(message, "Set them in the environment; `ordermill up` does it by itself.", Exit.MISSING) from None


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(run)
