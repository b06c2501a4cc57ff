"""compose.yaml as its readers see it: merged, with the defaults of its variables."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
IMAGE = "ordermill:latest"
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+):-([^}]*)\}")


def text() -> str:
    return (ROOT / "compose.yaml").read_text()


def services() -> dict[str, dict[str, Any]]:
    """What each service of the file says, as if no variable were set."""
    found: dict[str, dict[str, Any]] = _told(_written())
    return found


@cache
def _written() -> Any:
    return yaml.load(text(), yaml.CSafeLoader)["services"]


def _told(part: Any) -> Any:
    """Variables are put into what was read, as Compose does it: what is empty then is an empty text."""
    match part:
        case dict():
            return {name: _told(value) for name, value in part.items()}
        case list():
            return [_told(value) for value in part]
        case str():
            return VARIABLE.sub(r"\2", part)
    return part


def ours(kind: str = "") -> dict[str, dict[str, Any]]:
    """The services of our image; those alone whose command begins with a word."""
    return {
        name: service
        for name, service in services().items()
        if service["image"] == IMAGE and service.get("command", "").startswith(kind)
    }


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Which volume is seen where, as in `/run/secrets:ro`."""
    return dict(reversed(mount.split(":", 1)) for mount in service.get("volumes", ()))
