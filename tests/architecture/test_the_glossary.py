"""Every word of docs/glossary.md is one of the code's, lives where it says, and stands there once."""

import re

import pytest

from tests.architecture import documents, rules
from tests.architecture.documents import GLOSSARY, README, ROOT

ROWS = documents.rows(GLOSSARY, "word")


@pytest.fixture(scope="module")
def code() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text().lower() for path in rules.sources(ROOT)}


def is_in(word: str, text: str) -> bool:
    """Also in the plural, in the past, in -ing, and in a name of several words."""
    stem = re.escape(word.removesuffix("e"))
    return re.search(rf"(?<![a-z]){stem}(?:e?s|e?d|e|ing)?(?![a-z])", text) is not None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_word_lives_where_it_says_and_is_used_elsewhere_too(row: list[str], code: dict[str, str]):
    word, meaning, where, usual = row
    file = where.strip("`")

    assert meaning
    assert usual
    assert is_in(word, code[file])
    assert any(is_in(word, text) for other, text in code.items() if other != file)


def test_no_word_stands_twice():
    words = [word for word, *_ in ROWS]

    assert len(words) == len(set(words))


def test_a_word_that_nobody_uses_is_noticed(code: dict[str, str]):
    assert [file for file, text in code.items() if is_in("frobnicator", text)] == []


def test_readers_are_led_there():
    for document in (README, documents.FOLLOW, documents.OPERATIONS):
        assert GLOSSARY in [path for path, _ in documents.links(document)], document.name
