"""`up` and the commands from another terminal, on real processes; small web servers stand for our services."""

import asyncio
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import psutil
import pytest

from ordermill import accounts, cli, control, launch, logs, plan, setup
from ordermill.bench import stage as bench
from ordermill.errors import Exit, Failure
from ordermill.needs import ALL_SECRETS, settings_of
from ordermill.ports import HOST, find_free, is_free
from ordermill.process import ORDERMILL
from ordermill.prove import stage as prove
from ordermill.services import SERVICES
from ordermill.shop import Progress, Shop
from ordermill.state import State
from tests.support.eventually import eventually


@asynccontextmanager
async def an_up(folder, *, servers=False, **environment):
    """A running `up`, ready unless a step is broken; it is ended whatever happens."""
    elsewhere = {"ORDERMILL_DATABASE_URL": "postgresql://nobody/x", "ORDERMILL_BROKER_URL": "amqp://nobody/"}
    env = {**os.environ, **({} if servers else elsewhere), **environment}
    with (folder / "up.out").open("wb") as output:
        up = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.a_shop", str(folder / "s"), env=env, stdout=output, stderr=output
        )
    try:
        said = folder / "up.out"
        await eventually(lambda: launch.SAID_WHEN_READY in said.read_text() or up.returncode is not None)
        yield up
    finally:
        if up.returncode is None:
            up.terminate()
        await asyncio.wait_for(up.wait(), 60)


def _children(up):
    return psutil.Process(up.pid).children(recursive=True)


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path / "s"))
    return State.open(tmp_path / "s")


async def _command(*words):
    """A command in a terminal of its own: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ordermill", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_up_says_which_port_somebody_else_has_taken(tmp_path, state):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        (state.root / "ports.json").write_text(json.dumps({"mailbox.http": taken}))

        async with an_up(tmp_path):
            pass

    said = (tmp_path / "up.out").read_text()
    now = json.loads((state.root / "ports.json").read_text())["mailbox.http"]
    assert f"port {taken} of mailbox.http is taken: it is {now} now" in said


async def test_up_starts_everything_and_ctrl_c_leaves_nothing_running(tmp_path, state):
    async with an_up(tmp_path) as up:
        children = _children(up)
        shop = await control.ask(state, "ps")

        up.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(up.wait(), 60)

    assert [process["name"] for process in shop["processes"]] == ["mailbox", "shop.api", "shop.worker"]
    assert {process["status"] for process in shop["processes"]} == {"ready"}
    assert shop["gateway"] == shop["processes"][1]["url"]
    assert (shop["layout"], shop["database_url"]) == ("packed", "postgresql://nobody/x")
    assert (state.root / "topology").exists()
    assert (state.root / "seeded").exists()
    assert code == 0
    assert len(children) == 3
    assert not any(child.is_running() for child in children)
    assert not state.control_socket.exists()
    assert not state.is_running()


async def test_up_brings_its_own_servers_and_declares_the_topology_again_when_the_broker_was_killed(tmp_path, state):
    async with an_up(tmp_path, servers=True):
        shop = await control.ask(state, "ps")
        pids = {process["name"]: process["pid"] for process in shop["processes"]}
        (state.root / "topology").unlink()

        os.kill(pids["rabbitmq"], signal.SIGKILL)
        await eventually(lambda: not psutil.pid_exists(pids["rabbitmq"]))
        is_open_to_others = is_free(urlsplit(shop["broker_url"]).port)
        await eventually((state.root / "topology").exists)
        shop = await launch.wait_ready(state, 5)
    kept = State.open(state.root).database_url
    for name in ("postgres", "sockets"):
        accounts.remove(state.root / name)

    restarts = {process["name"]: process["restarts"] for process in shop["processes"]}
    assert restarts == {"mailbox": 0, "postgres": 0, "rabbitmq": 1, "shop.api": 0, "shop.worker": 0}
    assert not is_open_to_others
    assert shop["database_url"] == kept
    assert not state.is_running()


async def test_up_in_the_background_returns_when_the_shop_is_ready_or_says_why_not(tmp_path, state, monkeypatch):
    monkeypatch.setattr(launch, "COMMAND", (sys.executable, "-m", "tests.support.a_shop", str(state.root)))
    monkeypatch.setenv("ORDERMILL_DATABASE_URL", "postgresql://nobody/x")
    monkeypatch.setenv("ORDERMILL_BROKER_URL", "amqp://nobody/")

    await asyncio.to_thread(launch.detached, state, None)
    shop = await launch.wait_ready(state, 5)
    await control.ask(state, "down")
    assert await control.until_stopped(state, 10)
    monkeypatch.setenv("BROKEN_STEP", "1")
    with pytest.raises(SystemExit) as failed:
        await asyncio.to_thread(launch.detached, state, 12_345)

    assert len(shop["processes"]) == 3
    assert failed.value.code == 1


@pytest.mark.parametrize(
    ("named", "mend"),
    [
        ("postgresql://nobody/x", "Correct ORDERMILL_DATABASE_URL, or leave it out: `ordermill up` brings a server"),
        ("", "Mend the cause and start again; `ordermill reset` begins with an empty shop"),
    ],
)
async def test_a_step_that_fails_at_a_server_that_a_setting_names_is_not_mended_by_a_reset(
    state, monkeypatch, named, mend
):
    monkeypatch.setenv("ORDERMILL_DATABASE_URL", named)
    monkeypatch.setenv("ORDERMILL_BROKER_URL", "amqp://nobody/")

    with pytest.raises(Failure, match="The step «s» failed: ValueError") as failed:
        await Shop(state, Progress(0.0, print), dict)._step("s", _broken(), "ORDERMILL_DATABASE_URL")

    assert failed.value.mend.startswith(mend)


async def _broken():
    raise ValueError


async def test_the_topology_at_a_broker_that_is_there_already_waits_for_the_schemas(tmp_path, state):
    async with an_up(tmp_path, BROKEN_STEP="1") as up:
        await asyncio.wait_for(up.wait(), 60)
    assert not (state.root / "topology").exists()

    async with an_up(tmp_path):
        assert (state.root / "topology").exists()


async def test_a_shop_whose_folder_is_removed_ends_by_itself(tmp_path, state):
    async with an_up(tmp_path) as up:
        shutil.rmtree(state.root)

        assert await asyncio.wait_for(up.wait(), 60) == 0


async def test_a_log_is_cut_before_it_fills_the_disk(state, monkeypatch):
    monkeypatch.setattr(logs, "KEPT", 10)
    state.log("shop.api").write_text("0123456789abc")

    cutting = asyncio.create_task(logs.cut_logs(state))
    await eventually(lambda: state.log("shop.api").read_text() == "")
    cutting.cancel()

    kept = state.root / "log" / "shop.api.log.1"
    assert kept.read_text() == "3456789abc"
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_a_log_that_cannot_be_kept_is_cut_all_the_same(state, monkeypatch):
    monkeypatch.setattr(logs, "KEPT", 10)
    monkeypatch.setattr(logs, "LOOK_EACH", 0.01)
    (state.root / "log" / "shop.api.log.1").mkdir()
    state.log("shop.api").write_text("0123456789abc")

    cutting = asyncio.create_task(logs.cut_logs(state))
    await eventually(lambda: state.log("shop.api").read_text() == "")
    state.log("shop.worker").write_text("0123456789abc")
    await eventually(lambda: state.log("shop.worker").read_text() == "")
    cutting.cancel()


async def test_a_process_that_is_killed_is_back_and_counted(tmp_path, state):
    async with an_up(tmp_path):
        first = (await control.ask(state, "ps"))["processes"][2]

        os.kill(first["pid"], signal.SIGKILL)
        await eventually(lambda: _restarts(state, 1))
        shop = await launch.wait_ready(state, 5)

    assert shop["processes"][2]["restarts"] == 1
    assert shop["processes"][2]["pid"] != first["pid"]


async def test_the_commands_work_from_another_terminal(tmp_path, state):
    async with an_up(tmp_path) as up:
        waited = await _command("wait", "--timeout", "10")
        shown = await _command("ps", "-o", "json")
        table = await _command("ps")
        restarted = await _command("restart", "shop.worker")
        unknown = await _command("restart", "nobody")
        second = await _command("up")
        logs = await _command("logs", "shop.worker")
        ended = await _command("down")
        await asyncio.wait_for(up.wait(), 60)
        nothing = await _command("ps")

    assert waited == (0, "", "everything is ready\n")
    assert json.loads(shown[1])["processes"][0]["name"] == "mailbox"
    assert "shop.worker" in table[1]
    assert restarted == (0, "", "shop.worker is ready again\n")
    choice = "→ Choose one of: mailbox, shop.api, shop.worker\n"
    assert unknown == (Exit.FAILED, "", f"No process is called nobody.\n{choice}")
    assert second[0] == Exit.ALREADY_RUNNING
    assert second[2].endswith("→ Stop it with: ordermill down\n")
    assert logs == (0, "serving\nserving\n", "")
    assert ended == (0, "", "stopped\n")
    assert nothing == (Exit.NOT_RUNNING, "", "No shop of this checkout is running.\n→ Start it with: make up\n")


async def test_two_checkouts_run_beside_each_other(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()

    async with an_up(folders[0]), an_up(folders[1]):
        shops = [await control.ask(State(folder / "s"), "ps") for folder in folders]

    urls = [process["url"] for shop in shops for process in shop["processes"]]
    assert len(set(urls)) == 6


async def test_a_step_that_fails_is_told_with_its_cause_and_mend_and_leaves_nothing_running(tmp_path, state):
    async with an_up(tmp_path, BROKEN_STEP="1") as up:
        assert up.returncode == 1

    said = (tmp_path / "up.out").read_text()
    assert "The step «preparing the database» failed: ValueError: column no_such does not exist" in said
    assert not state.is_running()


async def test_waiting_for_what_does_not_become_ready_ends_with_its_name(tmp_path, state):
    async with an_up(tmp_path):
        worker = (await control.ask(state, "ps"))["processes"][2]
        psutil.Process(worker["pid"]).suspend()

        with pytest.raises(Failure, match=r"Not ready after 0 s: shop\.worker") as late:
            await launch.wait_ready(state, 0.1)
        psutil.Process(worker["pid"]).kill()

    assert late.value.code == Exit.TIMED_OUT
    assert late.value.mend == "Look at: ordermill logs shop.worker"


@pytest.mark.parametrize(("is_a_terminal", "end"), [(True, "Ctrl+C, or from another terminal with: "), (False, "")])
def test_only_who_is_at_a_terminal_is_told_of_its_keys(monkeypatch, is_a_terminal, end):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: is_a_terminal))

    assert launch.summary({"gateway": ""}).endswith(f"\n  Stop it with {end}.venv/bin/ordermill down")


def test_the_summary_names_what_a_person_needs():
    said = launch.summary({"gateway": "http://127.0.0.1:8000", "mailbox_link": "http://127.0.0.1:9000/?key=secret"})

    assert "http://127.0.0.1:8000/docs" in said
    assert "mailbox  its link, with a key, is what this prints: .venv/bin/ordermill ps\n" in said
    assert "secret" not in said  # what `up` says is kept in a log


def test_the_packed_layout_has_three_processes_and_the_split_one_two_a_service_and_both_an_auditor(tmp_path):
    packed, split = State.open(tmp_path / "p"), State.open(tmp_path / "s", layout="split")

    few = plan.edges_and_workers(packed, {})
    many = plan.edges_and_workers(split, {})

    assert [spec.name for spec in few] == ["shop.api", "shop.worker", "shop2.worker", "auditor"]
    assert sorted(service for hosted in plan.PACKED.values() for service in hosted) == sorted(plan.SERVICES)
    services = " ".join(plan.SERVICES)
    hosted = f"run gateway {services} --role api --port {packed.port('gateway')}"
    assert " ".join(few[0].argv[len(ORDERMILL) :]) == hosted
    assert few[0].url == packed.url("gateway")
    assert len(many) == 13
    assert {spec.name for spec in many} >= {
        "provider",
        "gateway",
        "auditor",
        "order_service.api",
        "order_service.worker",
    }
    assert max(many, key=lambda spec: spec.rank).name == "gateway"


def test_the_mailbox_which_reads_what_strangers_write_is_told_no_secret_but_its_own(tmp_path):
    state = State.open(tmp_path)
    told = {
        "ORDERMILL_ORDER_SERVICE_EDGE_KEY": "t",
        "ORDERMILL_ORDER_SERVICE_DATABASE_URL": "u",
        "ORDERMILL_LOG_FORMAT": "json",
    }

    mailbox = plan.mailbox(state, told)

    assert told.items() & mailbox.env.items() == {("ORDERMILL_LOG_FORMAT", "json")}
    key, password = mailbox.env["ORDERMILL_MAILBOX_KEY"], mailbox.env["ORDERMILL_MAILBOX_PASSWORD"]
    assert json.loads((tmp_path / "secrets.json").read_text()) == {"mailbox_key": key, "mailbox_password": password}
    assert not {key, password} & set(mailbox.argv)
    assert urlsplit(setup.environment(state)["ORDERMILL_SMTP_URL"]).password == password


def secrets_told(state, monkeypatch):
    """Of each process of ours the secrets that it is told, with the owner's addresses in the environment of `up`."""
    monkeypatch.setenv("ORDERMILL_DATABASE_URL", "postgresql://owner:of-all@127.0.0.1:1/x")
    monkeypatch.setenv("ORDERMILL_BROKER_URL", "amqp://owner:of-all@127.0.0.1:1/x")
    told = setup.environment(state)
    plan.choose_ports(state, find_free(None, 15_000, set()))
    specs = [plan.nursery(state), plan.mailbox(state, told), *plan.edges_and_workers(state, told)]
    kept = {*json.loads((state.root / "secrets.json").read_text()).items(), ("owner", "of-all")}
    return {
        spec.name: {name for name, secret in kept if any(secret in value for value in spec.env.values())}
        for spec in specs
    }


OF_PAYMENT = {"webhook_secret", "provider_key"}


def of_service(service):
    more = {"payment_service": OF_PAYMENT, "notification_service": {"mailbox_password"}}.get(service, set())
    return {f"{service}.database", f"{service}.broker", f"{service}.edge"} | more


def test_a_process_of_a_split_shop_is_told_no_secret_but_its_own(tmp_path, monkeypatch):
    told = secrets_told(State.open(tmp_path, layout="split"), monkeypatch)

    assert told == {
        "nursery": set(),
        "mailbox": {"mailbox_key", "mailbox_password"},
        "provider": {*OF_PAYMENT, "provider.database"},
        **{f"{service}.{role}": of_service(service) for service in SERVICES for role in ("api", "worker")},
        "gateway": set(),
        "auditor": {"auditor.database"},
    }


def test_a_process_of_a_packed_shop_is_told_the_secrets_of_what_it_hosts(tmp_path, monkeypatch):
    told = secrets_told(State.open(tmp_path, layout="packed"), monkeypatch)

    assert told["shop.api"] == set().union({"provider.database"}, *map(of_service, SERVICES))
    for worker, hosted in plan.PACKED.items():
        books = {"provider.database"} if "payment_service" in hosted else set()
        assert told[worker] == books.union(*map(of_service, hosted))
    assert told["auditor"] == {"auditor.database"}


def test_every_setting_is_told_to_somebody(tmp_path):
    told = setup.environment(State.open(tmp_path, layout="split"))

    assert settings_of((*SERVICES, "provider", "gateway", "auditor"), told) == told


def test_what_a_shop_is_told_in_secret_is_known_as_such(tmp_path):
    state = State.open(tmp_path)
    in_secret = setup.secret_settings(state, state.database_url, state.broker_url)

    assert in_secret.keys() <= ALL_SECRETS
    assert not settings_of((), in_secret)


@pytest.mark.parametrize("changed", [bench.settings(scenario) for scenario in bench.Scenario] + [prove.BRISK])
def test_what_a_measured_shop_is_told_differently_is_told_to_every_process(tmp_path, changed):
    state = State.open(tmp_path, layout="split")

    specs = plan.edges_and_workers(state, {**setup.environment(state), **changed})

    assert all(spec.env.items() >= changed.items() for spec in specs)


NEEDED = {
    "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "TZ": "UTC", "https_proxy": "http://p", "SSL_CERT_FILE": "/c",
    "OTEL_EXPORTER_OTLP_HEADERS": "k=v", "PGSSLROOTCERT": "/r", "ORDERMILL_PAY_BY": "PT5M", "COVERAGE_RUN": "c",
}  # fmt: skip
NOBODYS = (
    "ORDERMILL_TOKEN", "ordermill_token", "ORDERMILL_EDGE_KEY", "ORDERMILL_PEER_KEYS", "ORDERMILL_MAILBOX_KEY",
    "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PGPASSWORD", "SSH_AUTH_SOCK",
)  # fmt: skip
OF_ONE = {
    "gateway": "ORDERMILL_RATES_URL",
    **dict.fromkeys(("payment_service.api", "payment_service.worker"), "ORDERMILL_PAYMENT_SERVICE_PROVIDER_KEY"),
    **dict.fromkeys(("auth_service.api", "auth_service.worker"), "ordermill_auth_service_database_url"),
}


def test_a_process_has_of_the_environment_of_up_what_it_needs_and_no_secret_of_whoever_called_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {**NEEDED, **dict.fromkeys((*NOBODYS, *OF_ONE.values()), "s3cret")})
    state = State.open(tmp_path, layout="split")

    specs = [plan.nursery(state), plan.mailbox(state, {}), *plan.edges_and_workers(state, {})]

    assert all(spec.env.items() >= NEEDED.items() for spec in specs)
    secret = {spec.name: {name for name, value in spec.env.items() if value == "s3cret"} for spec in specs}
    assert {name: names for name, names in secret.items() if names} == {name: {told} for name, told in OF_ONE.items()}


def test_what_is_started_finds_our_code_and_nothing_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}/theirs{os.pathsep}")
    installed = State.open(tmp_path / "s")

    specs = [plan.nursery(installed), plan.mailbox(installed, {}), *plan.edges_and_workers(installed, {})]

    assert {spec.env["PYTHONPATH"] for spec in specs} == {f"{Path(plan.__file__).parents[1]}{os.pathsep}/theirs"}


def test_a_command_runs_nothing_that_lies_in_the_current_folder(tmp_path):
    for planted in ("ordermill", "json", "uvloop", "typer"):
        (tmp_path / planted).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (tmp_path / planted / file).write_text("raise SystemExit('somebody else')")

    script = Path(sys.executable).parent / "ordermill"
    done = [subprocess.run([*words, "--version"], cwd=tmp_path, check=False) for words in (ORDERMILL, (script,))]

    assert [one.returncode for one in done] == [0, 0]


class Typed(io.StringIO):
    """What somebody types at a terminal."""

    def isatty(self):
        return True


def test_reset_forgets_everything_but_asks_first(state, monkeypatch, capsys):
    state.secret("postgres")
    (state.root / "mailbox").mkdir()
    monkeypatch.setattr(sys, "stdin", Typed("n\n"))

    with pytest.raises(SystemExit) as refused:
        cli.main(["reset"])
    assert refused.value.code == 1
    assert (state.root / "secrets.json").exists()
    with pytest.raises(SystemExit) as done:
        cli.main(["reset", "--yes"])

    assert done.value.code == 0
    assert not (state.root / "secrets.json").exists()
    assert not (state.root / "mailbox").exists()
    assert "empty" in capsys.readouterr().err


def test_doctor_finds_what_is_missing_and_says_how_to_mend_it(state, monkeypatch, capsys):
    monkeypatch.setattr("ordermill.erlang.find_installation", lambda: None)
    monkeypatch.setattr("ordermill.diagnosis.os.geteuid", lambda: 1000)

    with pytest.raises(SystemExit) as unfit:
        cli.main(["doctor", "-o", "json"])

    assert unfit.value.code == Exit.UNHEALTHY
    found = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert found["RabbitMQ"]["ok"] is False
    assert found["RabbitMQ"]["mend"].endswith("ORDERMILL_BROKER_URL=amqp://user:password@host/ make up")
    assert found["Python"]["ok"] is True


def test_only_the_module_that_a_command_needs_is_imported():
    assert cli.needed(["mailbox", "--smtp-port", "1"]) == ["mailbox"]
    assert cli.needed(["ps"]) == ["processes"]
    assert cli.needed(["no-such-command"]) == cli.modules()
    assert cli.needed([]) == cli.modules()


def test_the_logs_of_all_processes_are_shown_with_their_names(state, capsys):
    state.log("one").write_text("a\nb\n")
    state.log("two").write_text("c\n")

    with pytest.raises(SystemExit):
        cli.main(["logs", "-n", "1"])
    with pytest.raises(SystemExit) as unknown:
        cli.main(["logs", "three"])

    assert capsys.readouterr().out.split() == ["one", "b", "two", "c"]
    assert unknown.value.code == Exit.FAILED


async def _restarts(state, count):
    return sum(process["restarts"] for process in (await control.ask(state, "ps"))["processes"]) == count
