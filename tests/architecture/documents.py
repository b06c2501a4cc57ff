"""Reading our own documents: paths, commands, tables, and what a reader would type."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FOLLOW = ROOT / "docs/follow-an-order.md"
GLOSSARY = ROOT / "docs/glossary.md"
HTTP = ROOT / "docs/http.md"
PROMISES = ROOT / "docs/promises.md"
OPERATIONS = ROOT / "docs/operations.md"
PERFORMANCE = ROOT / "docs/performance.md"
SECURITY = ROOT / "docs/security.md"
ASVS = ROOT / "docs/asvs.md"
SCALING = ROOT / "docs/scaling.md"
DECISIONS = ROOT / "docs/decisions"
WRITTEN_BY_HAND = (README, FOLLOW, GLOSSARY, HTTP, PROMISES, OPERATIONS, PERFORMANCE, SECURITY, ASVS, SCALING)
ELSEWHERE = (".ordermill/", ".venv", "dist/")  # Made by `make`, never committed.

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_OURS = re.compile(r"(?:^|\$ |\$\(|-- |\.venv/bin/|-m |exec \w+ |\w=\S+ )ordermill ([a-z][^|)]*)|--rm cli ([a-z].*)")
_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml)")


class Typed(NamedTuple):
    """A command as a reader types it, and what the document says that is answered."""

    command: str
    answer: str


def documents() -> list[Path]:
    beside = [document for folder in ("docs", "deploy", "tests") for document in (ROOT / folder).rglob("*.md")]
    return [README, ROOT / "CHANGELOG.md", *sorted(beside)]


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


def code(document: Path) -> list[str]:
    """Each line of a shell's blocks, and each code in the text, as it is typed: without its comment."""
    text = document.read_text()
    blocks = "".join(fences(text, "") + fences(text, "console")).replace("\\\n", "")
    inline = [words.replace("\n", " ") for words in re.findall(r"`([^`]+)`", prose(text))]
    return [line.partition("  #")[0].strip() for line in (*blocks.splitlines(), *inline)]


def invocations(document: Path) -> list[str]:
    """What a document has a reader type after `ordermill`; in containers that is the service `cli`."""
    return [(own or composed).strip() for line in code(document) for own, composed in _OURS.findall(line)]


def words_after(program: str, document: Path) -> list[list[str]]:
    """The words of each command of a program that a document names."""
    return [shlex.split(line)[1:] for line in code(document) if line.startswith(f"{program} ")]
