"""Imports point one way, and each contract of import-linter bites when it is broken."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture import rules

BREAKS = {
    "Services never import each other": ("order_service/store.py", "import payment_service.tables"),
    "The launcher and the gateway stand on the services": ("chassis/ids.py", "import order_service.tables"),
    "Domains and contracts know no framework": ("inventory_service/domain/stock.py", "import sqlalchemy"),
    "No cycles inside a package": ("contracts/types.py", "import contracts.orders"),
    "Inside auth_service": ("auth_service/store/accounts.py", "import auth_service.routes"),
    "Inside inventory_service": ("inventory_service/tables.py", "import inventory_service.schemas"),
    "Inside order_service": ("order_service/store.py", "import order_service.handlers"),
    "Inside payment_service": ("payment_service/tables.py", "import payment_service.charging"),
    "Inside notification_service": ("notification_service/store.py", "import notification_service.sending"),
    "Only chassis.keys imports jose": ("gateway/routing.py", "import jose"),
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    command = [str(linter), "--config", str(root / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env={"PYTHONPATH": str(root)}, check=False)


def test_imports_point_one_way():
    result = lint(rules.ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("contract", BREAKS)
def test_an_import_that_breaks_a_contract_is_found(contract, tmp_path):
    for package in rules.PACKAGES:
        shutil.copytree(rules.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(rules.ROOT / "pyproject.toml", tmp_path)
    path, line = BREAKS[contract]
    (tmp_path / path).write_text(f"{(tmp_path / path).read_text()}\n{line}\n")

    result = lint(tmp_path)

    assert result.returncode == 1
    assert contract in result.stdout.partition("Broken contracts")[2].replace("\n", " ")


def test_every_contract_is_tried():
    settings = tomllib.loads((rules.ROOT / "pyproject.toml").read_text())
    names = [contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]]

    assert [next(given for given in BREAKS if name.startswith(given)) for name in names] == list(BREAKS)
