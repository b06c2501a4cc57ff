"""Whatever a document has a reader type can be typed: the programs' own parsers and files take it."""

import re
import shlex
from importlib.util import find_spec

import pytest

from tests.architecture import documents
from tests.architecture.commands import name_of, program
from tests.architecture.documents import OPERATIONS, README, ROOT
from tests.support.composed import services
from tests.support.kubernetes import rendered

GROUPS = {"dead", "events", "orders", "payments", "stock", "users"}  # the CHANGELOG speaks of them as a whole
STANDS_FOR = {
    "ORDER": "ord_01m7yw1w66ftmbf1j2cecbb7jd",
    "$ORDER": "ord_01m7yw1w66ftmbf1j2cecbb7jd",
    "PARCEL": "01a21ffc-79b6-7772-b383-19108055965c",
    "ID": "01a21ffc-79b6-7772-b383-19108055965c:0",
    "SERVICE": "order_service",
    "NAME": "order_service",
}
ALL = pytest.mark.parametrize("document", documents.documents(), ids=lambda path: str(path.relative_to(ROOT)))


@ALL
def test_every_command_of_ours_is_one_and_takes_what_it_is_given(document):
    for words in documents.invocations(document):
        name = name_of(words)
        assert name or words in GROUPS, words
        if name and (given := shlex.split(words.removeprefix(name))):
            program()[name].make_context(name, [STANDS_FOR.get(word, word) for word in given])


def test_commands_are_found_in_blocks_in_the_text_and_in_containers():
    assert "ps -o json" in documents.invocations(README)
    assert {"demo --for 10s", "audit --only E2", "up --layout split"} <= set(documents.invocations(OPERATIONS))


@ALL
def test_every_target_of_make_is_there(document):
    there = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {words[0] for words in documents.words_after("make", document)} <= there


@ALL
def test_every_module_that_is_run_is_there(document):
    modules = [words[1] for words in documents.words_after("python", document) if words[0] == "-m"]
    ours = [module for module in modules if (ROOT / module.partition(".")[0]).is_dir()]

    assert [module for module in ours if find_spec(module) is None] == []


def test_what_is_composed_is_in_the_file():
    lines = [line for document in documents.documents() for line in documents.code(document)]
    typed = " ".join(line for line in lines if re.match("docker[ -]compose", line))
    named = set(re.findall(r"(?:--rm|exec(?: -T)?|--scale) (\w+)", typed))
    profiles = {profile for service in services().values() for profile in service.get("profiles", ())}

    assert {"cli", "order_service_worker"} <= named <= set(services())
    assert set(re.findall(r"--profile (\w+)", typed)) == profiles


def deployments():
    """The Deployments of a cluster, as kubectl writes them."""
    return {f"deploy/{one['metadata']['name']}" for one in rendered("dev") if one["kind"] == "Deployment"}


@ALL
def test_every_file_that_is_given_to_a_command_is_there(document):
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    words = {word for line in documents.code(document) for word in line.split() if " " in line}
    named = {word for word in words if word.partition("/")[0] in folders and "/" in word}
    missing = {path for path in named if not (ROOT / path).exists()}

    assert missing <= (deployments() if missing else set())
