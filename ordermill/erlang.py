"""Where RabbitMQ is installed on this machine, how to install it, and how to make it start fast."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ordermill.errors import Exit, Failure

SERVERS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server",
    "/opt/rabbitmq*/sbin/rabbitmq-server",
    "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
)
BOOTED = ("rabbit", "rabbitmq_prelaunch", "rabbit_common")
APT = "RUNLEVEL=1 apt-get install -y --no-install-recommends rabbitmq-server"
LINES: Mapping[str, str] = {
    "apt-get": f"sudo apt-get update && sudo {APT}",
    "dnf": "sudo dnf install -y rabbitmq-server",
    "pacman": "sudo pacman -S --noconfirm rabbitmq",
    "zypper": "sudo zypper install -y rabbitmq-server",
    "apk": "sudo apk add rabbitmq-server",
    "brew": "brew install rabbitmq",
}
INSTEAD = "or name one that runs: ORDERMILL_BROKER_URL=amqp://user:password@host/ make up"


@dataclass(frozen=True)
class Installation:
    """The programs of an installed RabbitMQ; `home` is the folder with `sbin` and `plugins`."""

    server: Path
    epmd: Path
    home: Path


def find_installation() -> Installation | None:
    """The RabbitMQ of this machine, if there is one with an Erlang beside it."""
    patterns = [Path(pattern) for pattern in SERVERS]
    found = [path for pattern in patterns for path in sorted(Path("/").glob(str(pattern)[1:]), reverse=True)]
    epmd = find_epmd()
    if not found or not epmd:
        return None
    return Installation(found[0], epmd, found[0].resolve().parent.parent)


def find_epmd() -> Path | None:
    """Erlang's port mapper; some systems keep it beside the machine's code only."""
    if on_path := shutil.which("epmd"):
        return Path(on_path)
    erl = shutil.which("erl")
    nearby = sorted(Path(erl).resolve().parent.parent.glob("**/epmd")) if erl else []
    return nearby[0] if nearby else None


def ensure_installation(note: Callable[[str], None]) -> Installation:
    """The RabbitMQ of this machine, installed now where we may. Raises Failure with the line to run elsewhere."""
    if found := find_installation():
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        note("RabbitMQ is not installed, installing the system's package rabbitmq-server (once)")
        _install()
        if found := find_installation():
            return found
    cause = "RabbitMQ is not installed."
    raise Failure(cause, f"{install_line()}   {INSTEAD}", Exit.MISSING)


def install_line() -> str:
    """What a person runs on this system to get RabbitMQ."""
    manager = next((name for name in LINES if shutil.which(name)), None)
    return LINES[manager] if manager else "Install RabbitMQ 3.10 or newer: https://www.rabbitmq.com/docs/download"


def _install() -> None:
    environment = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", "rabbitmq-server"]
    for argv in (install, ["apt-get", "update"], install):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  the program and its words are ours
        if argv == install and done.returncode == 0:
            return
    cause = f"apt-get could not install rabbitmq-server: {done.stderr.strip()[-600:]}"
    raise Failure(cause, f"{install_line()}   {INSTEAD}", Exit.MISSING)


def trimmed_plugins(installed: Installation, home: Path) -> dict[str, str]:
    """A home with links to the parts that the node boots and no others, and the variable that names it.

    Erlang looks for each module in every folder of its path: 50 plugins that are never used cost 3 of 7 seconds.
    When a part cannot be found the installed home is used as it is.
    """
    needed = closure(installed.home / "plugins")
    if not needed:
        return {}
    shutil.rmtree(home, ignore_errors=True)
    (home / "plugins").mkdir(parents=True)
    for part in needed:
        (home / "plugins" / part.name).symlink_to(part)
    for name in ("sbin", "escript"):
        if (installed.home / name).exists():
            (home / name).symlink_to(installed.home / name)
    return {"RABBITMQ_SCRIPTS_DIR": str(home / "sbin")}


def closure(plugins: Path) -> list[Path]:
    """The folders of the applications that the node boots, with all that they depend on; empty when one is amiss."""
    found = {path.name.split("-")[0]: path for path in sorted(plugins.glob("*-*")) if (path / "ebin").is_dir()}
    wanted, done = list(BOOTED), set[str]()
    while wanted:
        name = wanted.pop()
        if name in done:
            continue
        done.add(name)
        if name in found:
            wanted += dependencies(found[name] / "ebin" / f"{name}.app")
    return [] if set(BOOTED) - set(found) else [found[name] for name in sorted(done) if name in found]


def dependencies(application: Path) -> list[str]:
    """The applications that an Erlang application file names, the optional ones too."""
    if not application.exists():
        return []
    listed = re.findall(r"\{\s*(?:\w+_)?applications\s*,\s*\[(.*?)\]", application.read_text(), re.DOTALL)
    return [name for names in listed for name in re.findall(r"[a-z]\w*", names)]
