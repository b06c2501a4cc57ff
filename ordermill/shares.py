"""What each process of a shop in containers is told in secret: a folder for each, in it a file for each variable.

A process is given its own folder and no other. The steps that set the servers up know everything, and so do people.
"""

import json
from pathlib import Path
from typing import NamedTuple

from ordermill.needs import secrets_of
from ordermill.ours import own_folder
from ordermill.rabbitmq import ADMINISTRATOR, configuration
from ordermill.services import AUDITOR, GATEWAY, PROVIDER, SERVICES
from ordermill.setup import definitions, secret_settings
from ordermill.state import State
from ordermill.whose import Use

STEPS = "steps"
# What earlier releases wrote: all services shared two, and payment_service was told the provider's books.
OF_BEFORE = {"ORDERMILL_GATEWAY_KEY", "ORDERMILL_SERVICE_TOKEN", "ORDERMILL_PROVIDER_DATABASE_URL"}
NO_SECRETS = Use(
    "No secrets are written in", choose="Name one that is not there yet, or one of yours with the mode 700."
)


class Servers(NamedTuple):
    """Where the containers find PostgreSQL and RabbitMQ, as in `postgres:5432`; the folder as RabbitMQ sees it."""

    postgres: str
    rabbitmq: str
    rabbitmq_reads: Path


def shares(state: State, servers: Servers) -> dict[str, dict[str, str]]:
    """The files of each folder. Kept secrets stay, new ones are made."""
    database_url = f"postgresql://{ADMINISTRATOR}:{state.secret('postgres')}@{servers.postgres}/ordermill"
    broker_url = f"amqp://{ADMINISTRATOR}:{state.secret('rabbitmq')}@{servers.rabbitmq}/"
    told = secret_settings(state, database_url, broker_url)
    return {
        **{name: secrets_of(name, told) for name in (*SERVICES, AUDITOR, GATEWAY)},
        # `provider` is what a person of a cluster says of theirs (deploy/k8s/README.md).
        "simulated_provider": secrets_of(PROVIDER, told),
        "mailbox": {"ORDERMILL_MAILBOX_KEY": state.secret("mailbox_key")},
        STEPS: {**told, "ORDERMILL_DATABASE_URL": database_url, "ORDERMILL_BROKER_URL": broker_url},
        "postgres": {"POSTGRES_PASSWORD": state.secret("postgres")},
        "rabbitmq": {
            "definitions.json": json.dumps(definitions(state), indent=1),
            "erlang.cookie": state.erlang_cookie,
            "rabbitmq.conf": configuration(servers.rabbitmq_reads / "definitions.json"),
        },
    }


def hand_out(state: State, into: Path, servers: Servers) -> None:
    """Write the folders, each file at once. Raises Failure when others get into the folder around them.

    Users of containers differ, so that each file can be read by all who see it: who does is a matter of where its
    folder is mounted. On this machine nobody but the owner gets into the folder around them.
    """
    own = own_folder(into, NO_SECRETS)
    for folder, files in shares(state, servers).items():
        (own / folder).mkdir(exist_ok=True)
        for name, content in files.items():
            draft = own / folder / f".{name}"
            draft.unlink(missing_ok=True)  # who was killed before the last line leaves one that nobody may write to
            draft.touch(0o600)
            draft.write_text(content)
            draft.chmod(0o444)
            draft.replace(own / folder / name)
        for name in OF_BEFORE - files.keys():
            (own / folder / name).unlink(missing_ok=True)
