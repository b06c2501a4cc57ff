"""`seed` and `users create-admin`: what is done inside the services, on a real PostgreSQL."""

import asyncio
import io
import os
import subprocess
import sys

import pytest

from ordermill import cli, inside
from ordermill.errors import Exit, Failure
from ordermill.setup import environment
from ordermill.state import State

ACCOUNTS = "SELECT email, role FROM auth_service.users ORDER BY email"
PRODUCTS = "SELECT count(*) FROM inventory_service.products"


async def command(*words):
    """The exit code of a command, which brings an event loop of its own."""

    def run():
        with pytest.raises(SystemExit) as end:
            cli.main(list(words))
        return end.value.code or 0

    return await asyncio.to_thread(run)


async def test_seeding_adds_products_and_the_demo_accounts_and_may_be_repeated(ask, told, capsys):
    codes = [await command("seed", "--products", count) for count in ("2", "3")]

    assert codes == [0, 0]
    assert await ask(PRODUCTS) == [(3,)]
    assert await ask(ACCOUNTS) == [
        ("admin@ordermill.example", "admin"), ("staff@ordermill.example", "staff"),
    ]  # fmt: skip
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == "the first 3 products of the demo catalogue are there"


async def test_a_command_inside_a_service_tells_no_decisions(told):
    command = [sys.executable, "-m", "ordermill", "seed", "--products", "1"]

    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)

    assert ended.stderr.splitlines() == ["the first 1 products of the demo catalogue are there"]


async def test_a_shop_in_production_gets_no_demo_accounts(ask, told, monkeypatch):
    monkeypatch.setenv("ORDERMILL_PROFILE", "production")

    assert await command("seed", "--products", "1") == 0
    assert await ask(ACCOUNTS) == []


async def test_an_administrator_is_created_with_a_password_from_a_pipe(ask, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))

    code = await command("users", "create-admin", "Ann@Example.com")

    assert code == 0
    assert await ask(ACCOUNTS) == [("ann@example.com", "admin")]
    assert await ask("SELECT what, actor FROM auth_service.security_events") == [("registered", inside.actor())]
    assert capsys.readouterr().err == "Ann@Example.com may now sign in\n"


async def test_an_address_that_is_taken_and_one_that_is_none_are_refused(told):
    await inside.create_admin(told, "ann@example.com", "correct horse")

    with pytest.raises(Failure, match=r"There is an account with ann@example\.com already"):
        await inside.create_admin(told, "ann@example.com", "correct horse")
    with pytest.raises(Failure, match="ann is no mail address"):
        await inside.create_admin(told, "ann", "correct horse")


@pytest.mark.parametrize("password", ["", "x" * 7, "x" * 129])
async def test_a_password_that_is_too_short_or_too_long_is_refused(password):
    with pytest.raises(Failure, match="too short or too long"):
        await inside.create_admin({}, "ann@example.com", password)


async def test_a_password_that_everybody_chooses_is_refused():
    with pytest.raises(Failure, match="one of the 3,000 most common ones"):
        await inside.create_admin({}, "ann@example.com", "Password1")


async def test_a_password_is_asked_for_twice_on_a_terminal_and_not_shown(ask, told):
    terminal, keyboard = os.openpty()
    argv = [sys.executable, "-m", "ordermill", "users", "create-admin", "ann@example.com"]

    def type_twice():
        with subprocess.Popen(argv, stdin=keyboard, stderr=subprocess.PIPE, start_new_session=True) as process:
            said = b""
            while byte := process.stderr.read(1):
                said += byte
                if said.endswith((b"Password: ", b"confirmation: ")):
                    os.write(terminal, b"correct horse\n")
            return process.wait(), said.decode()

    code, said = await asyncio.to_thread(type_twice)
    os.close(keyboard)
    os.close(terminal)

    assert code == 0, said
    assert "correct horse" not in said
    assert said.endswith("ann@example.com may now sign in\n")
    assert await ask(ACCOUNTS) == [("ann@example.com", "admin")]


async def test_a_database_that_does_not_answer_is_told(told):
    elsewhere = {**told, "ORDERMILL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}

    with pytest.raises(Failure, match="PostgreSQL does not answer") as outage:
        await inside.create_admin(elsewhere, "ann@example.com", "correct horse")

    assert outage.value.code == Exit.NOT_RUNNING


def test_in_a_checkout_the_settings_are_those_of_its_running_shop(tmp_path, monkeypatch):
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))
    state = State.open(tmp_path)
    with pytest.raises(Failure, match="No shop of this checkout is running"):
        inside.settings()

    with state.lock():
        assert inside.settings() == environment(State.attach())
