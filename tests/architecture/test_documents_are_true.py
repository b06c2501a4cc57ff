"""What the documents say is there, is there: paths, links, commands, settings, exit codes, problem codes, tests."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter
from pydantic_core import PydanticUndefined

from chassis.problems import CODES
from chassis.settings import LogSettings, ServiceSettings
from contracts.catalogue import EVENTS
from gateway.settings import Settings as GatewaySettings
from ordermill import cli, launch
from ordermill.audit import INVARIANTS
from ordermill.audit.settings import Settings as AuditorSettings
from ordermill.errors import Exit
from ordermill.services import SERVICES, load
from tests.architecture import documents
from tests.architecture.commands import name_of, program
from tests.architecture.documents import DECISIONS, FOLLOW, OPERATIONS, PROMISES, README, ROOT

NUMBERED = re.compile(r"^(\d+)\. \[`([^`]+)`\]\(\.\./([^)]+)\): (.+?)(?=^\d+\. |^$)", re.MULTILINE | re.DOTALL)
SECTIONS = ("Context", "Decision", "Consequences", "Alternatives", "Enforced by", "Revisit when")


@pytest.mark.parametrize("document", documents.WRITTEN_BY_HAND, ids=lambda path: path.name)
def test_every_path_that_is_named_is_there(document):
    named = documents.paths(document) - {
        "domain/",
        "postgres/",
        "rabbitmq/",
        "backups/",
        "sockets/",
        "mailbox/mails.jsonl",
    }

    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_link_leads_somewhere():
    broken = [
        f"{document.name}: {path}#{heading}"
        for document in documents.documents()
        for path, heading in documents.links(document)
        if not path.exists() or (heading and heading not in documents.headings(path))
    ]

    assert broken == []


def test_the_operations_list_every_command_with_options_that_it_has():
    rows = [words.strip("`") for words, *_ in documents.rows(OPERATIONS, "command")]
    listed = {name_of(words) or words: words for words in rows}

    assert sorted(listed) == sorted(program())
    for name, words in listed.items():
        has = {option for parameter in program()[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<![\w-])--?[a-z]+(?:-[a-z]+)*", words)) - has == set(), name


def test_the_operations_list_every_exit_code():
    listed = {int(code): name for code, name, *_ in documents.rows(OPERATIONS, "code")}

    ours = {code.value: code.name.lower().replace("_", " ") for code in Exit}
    assert listed == {0: "", 2: "", cli.INTERRUPTED: "", **ours}


def test_the_operations_list_every_setting_with_its_default():
    listed = {(of, setting.strip("`")): default.strip("`") for setting, of, default, *_ in _settings_rows()}

    assert listed == dict(_settings())


def _settings_rows() -> list[list[str]]:
    return documents.rows(OPERATIONS, "setting")


def _settings() -> Iterator[tuple[tuple[str, str], str]]:
    owners: dict[str, Any] = {
        "every process": LogSettings,
        "every service": ServiceSettings,
        "auditor": AuditorSettings,
        "gateway": GatewaySettings,
    }
    owners |= {name: load(name).settings for name in SERVICES}
    for of, settings in owners.items():
        inherited = set(ServiceSettings.model_fields) if of in SERVICES else set()
        for name, field in settings.model_fields.items():
            if name not in inherited:
                yield (of, name), "TABLE" if name == "routes" else _shown(field.default)


def _shown(default: Any) -> str:
    match default:
        case _ if default is PydanticUndefined:
            return "required"
        case None:
            return "none"
        case timedelta():
            return str(TypeAdapter(timedelta).dump_python(default, mode="json"))
        case SecretStr():
            return default.get_secret_value()
        case dict():
            return json.dumps(default)
        case _:
            return str(default)


def test_the_readme_shows_what_up_prints():
    shop = {"gateway": "http://127.0.0.1:8000"}

    assert launch.summary(shop).strip() in README.read_text()


def test_what_the_readme_has_a_reader_type_is_a_shells_language():
    steps = documents.typed(README)

    script = "\n".join(step.command for step in steps)
    subprocess.run(["bash", "-n", "-c", script], check=True)  # noqa: S607 -- it is only read, never run
    assert len(steps) > 10
    assert [step.command for step in steps if "jq" in step.command.split()] == []


def test_every_problem_code_in_the_readme_is_one_of_ours():
    shown = set(re.findall(r'"code":"(\w+)"', README.read_text()))

    assert shown == {"idempotency_key_reused"}
    assert shown < set(CODES)


def test_an_order_is_followed_through_ten_files():
    numbered = NUMBERED.findall(FOLLOW.read_text())

    assert [int(number) for number, *_ in numbered] == list(range(1, 11))
    assert [shown for _, shown, path, _ in numbered if shown != path or not (ROOT / path).is_file()] == []
    assert [said for *_, said in numbered if said.count(". ") or not said.strip().endswith(".")] == []


def test_what_the_ten_sentences_name_in_their_files_is_in_them():
    for _, path, _, said in NUMBERED.findall(FOLLOW.read_text()):
        code = (ROOT / path).read_text()
        events = {event.__name__ for event in EVENTS.values()}
        functions = set(re.findall(r"`([a-z_]+)`", said))
        names = set(re.findall(r"`([A-Z][A-Za-z]+)`", said)) - events

        assert [name for name in sorted(functions) if f"def {name}(" not in code] == [], path
        assert [name for name in sorted(names) if not _is_named(name, path)] == [], path


def _is_named(name: str, path: str) -> bool:
    package = path.partition("/")[0]
    return any(re.search(rf"\b{name}\b", file.read_text()) for file in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("document", documents.WRITTEN_BY_HAND, ids=lambda path: path.name)
def test_every_test_that_is_named_is_there(document):
    named = [(file, test) for file, test in documents.tests(document) if test]

    assert [f"{file}::{test}" for file, test in named if test not in _tests_of(file)] == []
    assert named or document != PROMISES


def _tests_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_names_a_mechanism_a_file_and_a_test():
    rows = documents.rows(PROMISES, "id")

    assert [cells for cells in rows if len(cells) != 5 or not all(cells)] == []
    assert [file for *_, file, _ in rows if not (ROOT / file.strip("`")).is_file()] == []
    assert [test for *_, test in rows if not re.fullmatch(r"`tests/[^`]+\.py::test_\w+`", test)] == []


def test_every_invariant_of_the_audit_is_promised_and_no_other():
    promised = {each for ids, *_ in documents.rows(PROMISES, "id") for each in ids.split(", ")}

    assert sorted(promised) == sorted(INVARIANTS)


def test_every_decision_has_its_sections():
    lacking = {
        decision.name: [section for section in SECTIONS if f"\n## {section}\n" not in decision.read_text()]
        for decision in DECISIONS.glob("[0-9]*.md")
    }

    assert [name for name in lacking if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)] == []
    assert {name: sections for name, sections in lacking.items() if sections} == {}
