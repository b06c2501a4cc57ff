"""docs/follow-an-order.md: a dozen steps at most, with functions that are there and what was seen of the order."""

import ast
import re
from pathlib import Path

from contracts.catalogue import EVENTS
from tests.architecture.documents import FOLLOW, ROOT, fences, prose

STEP = re.compile(r"^## (\d+)\. .+?(?=^## )", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\[`([^`]+)`\]\(\.\./([^)]+)\)\s+((?:`[\w.]+`(?:, )?)+)")
BULLET = re.compile(r"^- (?:.+\n?)(?:^  .+\n?)*", re.MULTILINE)
LONGEST_BULLET = 3  # lines
A_MINUTE = 200  # words


def steps() -> list[str]:
    return [match[0] for match in STEP.finditer(FOLLOW.read_text())]


def functions(file: str) -> set[str]:
    """Those of a module, and the methods of its classes, as `Class.method`."""
    found = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, _FUNCTION)}
        elif isinstance(node, _FUNCTION):
            found.add(node.name)
    return found


_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def test_it_is_a_dozen_steps_at_most_and_ten_minutes():
    numbers = [int(match[1]) for match in STEP.finditer(FOLLOW.read_text())]

    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= 12
    assert len(prose(FOLLOW.read_text()).split()) <= 10 * A_MINUTE


def test_every_step_names_functions_that_are_in_their_files():
    for step in steps():
        named = NAMED.findall(step)
        assert named, step
        assert [shown for shown, path, _ in named if shown != path] == []
        missing = [(file, one) for file, _, said in named for one in _listed(said) if one not in functions(file)]
        assert missing == []


def _listed(said: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", said)


def test_what_a_step_says_of_a_function_is_short():
    long = [bullet for step in steps() for bullet in BULLET.findall(step) if bullet.count("\n") > LONGEST_BULLET]

    assert long == []


def test_other_names_that_a_step_speaks_of_are_in_the_code():
    named = {word for step in steps() for word in re.findall(r"`([A-Z]\w+|[a-z_]+)`(?!\]|:)", step)}
    code = "".join(file.read_text() for file in _sources())

    assert {word for word in named if not re.search(rf"\b{word}\b", code)} == set()
    assert named & {event.__name__ for event in EVENTS.values()} > {"OrderCreated", "StockReserved", "PaymentRequested"}


def _sources() -> list[Path]:
    return [path for folder in ROOT.iterdir() if (folder / "__init__.py").exists() for path in folder.rglob("*.py")]


def test_what_was_seen_is_one_order_and_every_line_of_it_has_its_step():
    whole, *seen = fences(FOLLOW.read_text(), "text")
    lines = [line.partition("  ")[2] for line in whole.splitlines()[1:]]
    shown = [line for block in seen for line in block.splitlines() if line.startswith("+0.")]

    assert sorted(shown) == sorted(lines)
