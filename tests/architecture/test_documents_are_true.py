"""What the documents say is there, is there: paths, links, commands, settings, exit codes, problem codes, tests."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter
from pydantic_core import PydanticUndefined

from chassis.problems import CODES
from chassis.settings import LogSettings, ServiceSettings
from chassis.worker import KEPT_DAYS
from gateway.settings import Settings as GatewaySettings
from ordermill import cli, launch
from ordermill.audit import INVARIANTS
from ordermill.audit.settings import Settings as AuditorSettings
from ordermill.errors import Exit
from ordermill.services import SERVICES, load
from tests.architecture import documents, rules
from tests.architecture.commands import name_of, program
from tests.architecture.documents import DECISIONS, OPERATIONS, PROMISES, README, ROOT

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


def test_how_long_parcels_are_kept_is_said_alike():
    kept = KEPT_DAYS["production"]
    said = {
        path.name: set(re.findall(r"(\d+) days", line))
        for path in (OPERATIONS, ROOT / "docs/scaling.md", ROOT / "docs/security.md")
        for line in path.read_text().splitlines()
        if re.search(r"\boutbox\b.*days", line, re.IGNORECASE)
    }

    assert KEPT_DAYS["local"] == 2
    assert said == {name: {str(kept)} for name in ("operations.md", "scaling.md", "security.md")}


def test_every_link_leads_somewhere():
    broken = [
        f"{document.name}: {path}#{heading}"
        for document in documents.documents()
        for path, heading in documents.links(document)
        if not path.exists() or (heading and heading not in documents.headings(path))
    ]

    assert broken == []


def test_the_operations_begin_with_all_that_is_in_them():
    head, _, body = OPERATIONS.read_text().partition("\n## ")
    chapters = re.findall(r"^## (.+)$", documents.prose(f"## {body}"), re.MULTILINE)

    assert sorted(re.findall(r"\[([^]]+)\]\(#", head)) == sorted(chapters)


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


def test_every_log_that_ps_does_not_name_is_explained():
    sources = "".join(path.read_text() for path in (ROOT / "ordermill").rglob("*.py"))
    unlisted = set(re.findall(r"""\.log\("([a-z]+)"\)""", sources)) - {"postgres", "mailbox"}
    [row] = [" ".join(row) for row in documents.rows(OPERATIONS, "what") if "what each process writes" in row[0]]

    assert unlisted >= {"up", "nursery", "restore"}
    assert [name for name in unlisted if f"`{name}.log`" not in row] == []


def test_the_readme_shows_what_up_prints(monkeypatch):
    monkeypatch.setattr("ordermill.consent.is_anybody_here", lambda: True)
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


def test_every_decision_is_listed_once_by_its_own_sentence():
    listed = re.findall(r"^- \[(\d{4})\]\(([^)]+)\): (.+)$", (DECISIONS / "README.md").read_text(), re.MULTILINE)

    titles = {(path.name[:4], path.name, _title(path)) for path in DECISIONS.glob("[0-9]*.md")}
    assert sorted((number, name, said.lower()) for number, name, said in listed) == sorted(titles)


def _title(decision: Path) -> str:
    return decision.read_text().partition("\n")[0].partition(": ")[2].lower()


def test_every_number_without_a_decision_is_accounted_for():
    numbers = {int(path.name[:4]) for path in DECISIONS.glob("[0-9]*.md")}
    missing = {f"{number:04}" for number in range(1, max(numbers)) if number not in numbers}

    assert missing <= set(re.findall(r"(?<!\[)\b\d{4}\b", documents.prose((DECISIONS / "README.md").read_text())))


def test_code_cites_documents_and_decisions_that_are_in_the_repository():
    cited = {(file, name) for file in _written() for name in re.findall(r"[\w/.-]+\.md\b", file.read_text())}
    records = {(file, n) for file in _written() for n in re.findall(r"\brecords? (\d{4})", file.read_text())}

    assert {f"{file}: {name}" for file, name in cited if not _is_a_document(name)} == set()
    assert {f"{file}: {number}" for file, number in records if not [*DECISIONS.glob(f"{number}-*.md")]} == set()


def _written() -> list[Path]:
    return [*rules.sources(ROOT), ROOT / "pyproject.toml", ROOT / "Makefile", *sorted((ROOT / "tests").rglob("*.py"))]


def _is_a_document(name: str) -> bool:
    return any((ROOT / folder / name).is_file() for folder in (".", "docs", "docs/decisions"))
