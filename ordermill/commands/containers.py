"""`secrets`: the first step of a shop in containers."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(secrets)


def secrets(
    into: Annotated[Path, typer.Option(help="Where the folders are made.")],
    postgres: Annotated[str, typer.Option(help="Where processes find PostgreSQL.")] = "postgres:5432",
    rabbitmq: Annotated[str, typer.Option(help="Where processes find RabbitMQ.")] = "rabbitmq:5672",
    rabbitmq_reads: Annotated[Path, typer.Option(help="Where RabbitMQ finds its own folder.")] = Path("/run/secrets"),
) -> None:
    """Make passwords and tokens, once, and write for each process a folder with those that it needs. Safe to repeat."""
    from ordermill.shares import Servers, hand_out
    from ordermill.state import State

    hand_out(State.open(), into, Servers(postgres, rabbitmq, rabbitmq_reads))
    sys.stderr.write(f"each process's secrets are in {into}\n")
