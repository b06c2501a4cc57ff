"""Data that other data took the place of: kept beside it as `data.before-TIME`, until a person removes it."""

from datetime import UTC, datetime
from pathlib import Path


def stamp(moment: datetime) -> str:
    """A time as a part of a name."""
    return f"{moment:%Y%m%dT%H%M%S%fZ}"


def size(folder: Path) -> int:
    """What the files below a folder hold, in MiB."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) >> 20


def put(data: Path, moment: datetime | None = None) -> Path | None:
    """Keep a server's data under another name, and say under which, where there is any."""
    name = f"{data.name}.before-{stamp(moment or datetime.now(UTC))}"
    return data.rename(data.with_name(name)) if data.exists() else None


def kept(server: Path) -> list[Path]:
    """What was put aside of a server's data, the newest first."""
    return sorted(server.glob("data.before-*"), reverse=True)


def told(root: Path) -> str:
    """How much of both servers' data is kept below a checkout's folder, and how to remove it; empty where none is."""
    folders = [folder for server in ("postgres", "rabbitmq") for folder in kept(root / server)]
    if not folders:
        return ""
    return (
        f"{len(folders)} folders, {sum(map(size, folders))} MiB; once nobody needs them: rm -r {root}/*/data.before-*"
    )
