"""What RabbitMQ reads while it boots and never again, in twelve letters: a release with other ones replaces it."""

import json
from hashlib import sha256
from pathlib import Path

from ordermill.shares import Servers, shares
from ordermill.state import State


def in_letters(state: State) -> str:
    """The same for every shop of one release: of a user all but the hash of a password counts."""
    told = shares(state, Servers("postgres:5432", "rabbitmq:5672", Path("/run/secrets")))["rabbitmq"]
    definitions = json.loads(told["definitions.json"])
    for user in definitions["users"]:
        del user["password_hash"]
    return sha256(f"{json.dumps(definitions)}{told['rabbitmq.conf']}".encode()).hexdigest()[:12]
