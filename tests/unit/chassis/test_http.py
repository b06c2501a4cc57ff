"""What routes are written with: bodies, headers, answers."""

import pytest
from pydantic import Field, SecretStr, ValidationError

from chassis.http import Answer, Body, View, _if_match, bare_key, etag, found, respond
from chassis.problems import Problem


class Note(Body):
    text: str = ""
    tags: list[str] = Field(default_factory=list)
    more: dict[str, list[str]] = Field(default_factory=dict)
    pair: tuple[str, int] = ("", 0)
    secret: SecretStr = SecretStr("")


class Seen(View):
    n: int


@pytest.mark.parametrize(
    "given",
    [
        {"text": "a\0b"},
        {"tags": ["a", "\0"]},
        {"more": {"\0": []}},
        {"more": {"k": ["a\0"]}},
        {"pair": ("\0", 1)},
        {"text": "\ud800"},
        {"more": {"\udfff": []}},
        {"text": "a\x1b[2J"},
        {"text": "a\x7f"},
        {"more": {"k": ["a\x85b"]}},
        {"text": "a\u2028b"},
        {"text": "a\u2029b"},
        {"text": "evil\u202etxt.exe"},
        {"tags": ["\u202aa"]},
        {"text": "\u2066a"},
        {"text": "a\u2069"},
        {"secret": "a\0"},
        {"secret": "\udc00"},
    ],
)
def test_a_body_with_what_no_text_can_hold_is_refused(given):
    with pytest.raises(ValidationError, match="must not contain control characters"):
        Note(**given)


def test_a_body_of_text_is_taken_as_it_is():
    assert Note(
        text="é\r\n\t😀\u200d\u200c\u200e\u200f\u061c\u00a0\u3000\ufeff",
        secret="\x1b",
        tags=["a"],
        more={"k": ["v"]},
        pair=("x", 1),
    ).tags == ["a"]


def test_an_unknown_field_is_refused_and_a_body_does_not_change():
    with pytest.raises(ValidationError) as refused:
        Note(texte="x")
    assert refused.value.errors()[0]["type"] == "extra_forbidden"

    with pytest.raises(ValidationError):
        Note().text = "x"


def test_an_etag_is_the_version_quoted():
    assert etag(3) == '"3"'


@pytest.mark.parametrize(("header", "version"), [('"3"', 3), ('W/"12"', 12), (' "0" ', 0)])
async def test_if_match_takes_one_etag(header, version):
    assert await _if_match(header) == version


@pytest.mark.parametrize("header", ["", "3", "*", '"x"', '"1", "2"', f'"{"1" * 19}"'])
async def test_if_match_refuses_what_is_no_etag_of_ours(header):
    with pytest.raises(Problem) as refused:
        await _if_match(header)
    assert refused.value.status == 400


async def test_if_match_is_required():
    with pytest.raises(Problem) as refused:
        await _if_match(None)
    assert (refused.value.status, refused.value.code) == (428, "precondition_required")


@pytest.mark.parametrize(
    ("header", "key"), [("k", "k"), ('"k"', "k"), ('"', '"'), ("x" * 255, "x" * 255), (f'"{"x" * 255}"', "x" * 255)]
)
def test_an_idempotency_key_is_bare_or_quoted(header, key):
    assert bare_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "a b", "é", "x" * 256, "tab\t"])
def test_an_idempotency_key_is_1_to_255_visible_ascii_characters(header):
    with pytest.raises(Problem) as refused:
        bare_key(header)
    assert refused.value.code == "idempotency_key_invalid"


def test_an_idempotency_key_is_required():
    with pytest.raises(Problem) as refused:
        bare_key(None)
    assert refused.value.code == "idempotency_key_missing"


def test_what_is_not_there_is_a_404():
    assert found(0) == 0
    with pytest.raises(Problem) as refused:
        found(None)
    assert refused.value.code == "not_found"


def test_an_answer_becomes_a_response_and_a_stored_one_says_so():
    first, again = respond(Answer(Seen(n=1), 201, {"ETag": '"1"'})), respond(Answer(b"{}", replayed=True))

    assert (first.status_code, first.body, first.media_type) == (201, b'{"n":1}', "application/json")
    assert first.headers["etag"] == '"1"'
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


def test_an_answer_without_a_body_has_no_media_type():
    assert "content-type" not in respond(Answer(None, 204)).headers
