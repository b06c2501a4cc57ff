"""docs/asvs.md answers each requirement of the OWASP ASVS 5.0.0 of levels 1 and 2, once."""

import re

from tests.architecture.documents import ASVS

# By section: its last requirement of level 1 or 2. Those of level 3 come after them, in every section.
LAST = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2,
    "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
    "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2,
    "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
    "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3,
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
    "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
    "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4,
    "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3,
    "11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1,
    "12.1": 3, "12.2": 2, "12.3": 4,
    "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
    "14.1": 2, "14.2": 4, "14.3": 3,
    "15.1": 3, "15.2": 3, "15.3": 7,
    "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3,
    "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip
ROW = re.compile(r"^\| (\d[\d., to]*) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)


def expanded(cell: str) -> list[str]:
    """`1.2.6 to 1.2.8, 1.3.1` are four."""
    found: list[str] = []
    for part in cell.split(", "):
        first, _, last = part.partition(" to ")
        section, _, number = first.rpartition(".")
        until = int((last or first).rpartition(".")[2])
        found += [f"{section}.{each}" for each in range(int(number), until + 1)]
    return found


def test_each_requirement_has_one_answer():
    answered = [each for cell, _, _ in ROW.findall(ASVS.read_text()) for each in expanded(cell)]

    assert sorted(answered) == sorted(f"{section}.{n}" for section, last in LAST.items() for n in range(1, last + 1))


def test_an_answer_has_a_test_or_says_why_not():
    unproven = [cell for cell, how, seen in ROW.findall(ASVS.read_text()) if not seen and not _is_reason(how)]

    assert unproven == []


def _is_reason(how: str) -> bool:
    return how.startswith(("does not apply", "no:", "platform", "there are none", "nobody has to")) or "](" in how
