"""Reading our own documents: paths, commands, tables, and what a reader would type."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FOLLOW = ROOT / "docs/follow-an-order.md"
PROMISES = ROOT / "docs/promises.md"
OPERATIONS = ROOT / "docs/operations.md"
PERFORMANCE = ROOT / "docs/performance.md"
SECURITY = ROOT / "docs/security.md"
ASVS = ROOT / "docs/asvs.md"
SCALING = ROOT / "docs/scaling.md"
DECISIONS = ROOT / "docs/decisions"
WRITTEN_BY_HAND = (README, FOLLOW, PROMISES, OPERATIONS, PERFORMANCE, SECURITY, ASVS, SCALING)
ELSEWHERE = (".ordermill/", ".venv", "dist/")  # Made by `make`, never committed.

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml)")


class Typed(NamedTuple):
    """A command as a reader types it, and what the document says that is answered."""

    command: str
    answer: str


def documents() -> list[Path]:
    return [README, *sorted((ROOT / "docs").rglob("*.md"))]


def fences(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [match[2] for match in _FENCE.finditer(text) if match[1] == language]


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """Where each link leads, and the heading in it; a link within the document leads to itself."""
    for path, heading in _LINK.findall(document.read_text()):
        yield ((document.parent / path).resolve() if path else document), heading


def headings(document: Path) -> set[str]:
    """The headings, as links name them."""
    lines = re.findall(r"^#+ (.+)$", prose(document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in lines}


def paths(document: Path) -> set[str]:
    """Files and folders of the repository that are named between backticks."""
    named = (code.partition("::")[0] for code in _CODE.findall(prose(document.read_text())))
    return {path for path in named if _PATH.fullmatch(path) and not path.startswith(ELSEWHERE)}


def tests(document: Path) -> list[tuple[str, str]]:
    """Tests that are named as file::test."""
    codes = _CODE.findall(document.read_text())
    return [(file, test) for code in codes if code.startswith("tests/") for file, _, test in [code.partition("::")]]


def rows(document: Path, first_column: str) -> list[list[str]]:
    """The cells of the tables whose first heading is this one, without their heads."""
    table = re.compile(rf"^\| {first_column} \|.*\n\|[-|]+\n((?:\|.*\n?)+)", re.MULTILINE)
    found = table.findall(document.read_text())
    assert found, f"{document.name} has no table that begins with {first_column}"
    return [[cell.strip() for cell in line[1:-1].split("|")] for body in found for line in body.splitlines()]


def typed(document: Path) -> list[Typed]:
    """What a reader types into a shell, in order, with the answers: `$ ` begins a command, `> ` goes on with it."""
    steps: list[Typed] = []
    for line in (line for block in fences(document.read_text(), "console") for line in block.splitlines()):
        if line.startswith("$ "):
            steps.append(Typed(line[2:], ""))
        elif line.startswith("> "):
            steps[-1] = steps[-1]._replace(command=f"{steps[-1].command}\n{line[2:]}")
        else:
            steps[-1] = steps[-1]._replace(answer=f"{steps[-1].answer}{line}\n")
    return steps


def commands(document: Path) -> set[str]:
    """What a document has a reader type after `ordermill`, as far as it may be the name of a command."""
    return set(re.findall(r"(?:\.venv/bin/|-m |`)ordermill ([a-z]+(?: [a-z-]+)?)", document.read_text()))


def targets(document: Path) -> set[str]:
    """The targets of `make` that a document names."""
    return {shlex.split(words)[0] for words in re.findall(r"(?:^|`)make ([^`\n]+)", document.read_text(), re.MULTILINE)}
