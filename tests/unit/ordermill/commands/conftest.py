"""A small shop that the environment names, a home with its secrets, and a way to type commands."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ordermill import cli
from ordermill.state import State
from tests.support.small_shop import SmallShop, a_small_shop


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))
    return State.open(tmp_path)


@pytest.fixture
def shop(state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallShop]:
    with a_small_shop() as shop:
        for role in ("staff", "admin"):
            shop.accounts[f"{role}@ordermill.example"] = (state.secret(f"demo.{role}"), role)
        shop.stock.update({"MUG-RED": 100, "CAP-RED": 100})
        monkeypatch.setenv("ORDERMILL_URL", shop.url)
        yield shop


@pytest.fixture
def ordermill(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*words: str) -> Said:
        with pytest.raises(SystemExit) as end:
            cli.main(list(words))
        out, err = capsys.readouterr()
        return Said(int(end.value.code or 0), out, err)

    return run
