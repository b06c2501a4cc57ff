"""The house keeps its rules, and each rule bites when it is broken."""

import shutil
from pathlib import Path

import pytest

from tests.architecture import rules

BREAKS: dict[str, tuple[str, str]] = {
    "only_the_database_begins_and_commits": (
        "order_service/store.py",
        "\nasync def keep(tx):\n    await tx.commit()\n",
    ),
    "domains_are_pure": ("auth_service/domain/user.py", "\nx = datetime.now()\n"),
    "files_fit_on_a_few_screens": ("gateway/routing.py", "\n" * 300),
    "functions_fit_on_a_screen": ("chassis/ids.py", "\ndef long():\n" + "    x = 1\n" * 31),
    "every_file_says_what_it_holds": ("chassis/silent.py", "x = 1\n"),
    "names_say_something": ("chassis/utils.py", '"""Helpers."""\n'),
    "services_have_the_same_files": ("order_service/handlers.py", ""),
    "only_keys_imports_jose": ("gateway/routing.py", "\nfrom jose import jwt\n"),
    "http_errors_are_made_in_the_chassis": ("order_service/handlers.py", "\nraise HTTPException(404)\n"),
    "no_module_is_looked_for_where_we_are": ("gateway/routing.py", '\nx = (sys.executable, "-m", "gateway")\n'),
    "no_client_tells_a_proxy": ("gateway/routing.py", "\nx = httpx2.AsyncClient(timeout=5)\n"),
    "neighbours_are_asked_within_bounds": ("gateway/routing.py", "\nx = httpx2.AsyncClient(trust_env=False)\n"),
    "nothing_is_left_undone": ("contracts/types.py", "\n# TOD{} later\n".format("O")),
}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rule(rule):
    assert rule(rules.ROOT) == []


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_that_is_broken_is_found(rule, tmp_path):
    for package in rules.PACKAGES:
        shutil.copytree(rules.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    path, addition = BREAKS[rule.__name__]
    broken = tmp_path / path

    if addition:
        broken.write_text((broken.read_text() if broken.exists() else "") + addition)
    else:
        broken.unlink()

    [place] = rule(tmp_path)
    assert place.startswith((path, Path(path).parts[0]))
