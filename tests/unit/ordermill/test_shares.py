"""Who is told what in secret, where processes run in containers."""

import base64
import hashlib
import json
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest

from chassis.assertions import key_of
from chassis.broker import dead_letters_of
from ordermill.cli import main
from ordermill.errors import Failure
from ordermill.needs import COMES_TO
from ordermill.services import SERVICES
from ordermill.shares import Servers, hand_out, shares
from ordermill.state import State
from ordermill.told import variables
from tests.support.another_user import as_nobody

SERVERS = Servers("db:1", "broker:2", Path("/etc/seen"))

OF_THE_PROVIDER = {"ORDERMILL_WEBHOOK_SECRET", "ORDERMILL_PROVIDER_KEY"}


def passwords(files):
    return {password for url in files.values() if (password := urlsplit(url).password)}


def test_a_service_knows_its_own_passwords_and_keys_and_those_of_nobody_else(tmp_path):
    told = shares(State.open(tmp_path), SERVERS)

    for service in SERVICES:
        own = {
            f"ORDERMILL_{service.upper()}_{what}" for what in ("DATABASE_URL", "BROKER_URL", "EDGE_KEY", "PEER_KEYS")
        }
        more = OF_THE_PROVIDER if service == "payment_service" else set()
        assert set(told[service]) == {*own, *more}
        others = [passwords(told[other]) for other in (*SERVICES, "auditor") if other != service]
        assert not passwords(told[service]) & set().union(*others)
    assert set(told["auditor"]) == {"ORDERMILL_AUDITOR_DATABASE_URL"}
    assert told["order_service"]["ORDERMILL_ORDER_SERVICE_BROKER_URL"].endswith("@broker:2/")


def test_only_payment_service_and_the_provider_know_the_key_that_one_shows_the_other(tmp_path):
    state = State.open(tmp_path)
    told = shares(state, SERVERS)

    key = told["payment_service"]["ORDERMILL_PROVIDER_KEY"]

    assert key == state.secret("provider_key") != told["payment_service"]["ORDERMILL_WEBHOOK_SECRET"]
    knowing = {folder for folder, files in told.items() if key in "".join(files.values())}
    assert knowing == {"payment_service", "simulated_provider", "steps"}
    assert set(told["simulated_provider"]) == {*OF_THE_PROVIDER, "ORDERMILL_PROVIDER_DATABASE_URL"}
    assert "ORDERMILL_PROVIDER_DATABASE_URL" not in told["payment_service"]
    assert {urlsplit(url).username for url in told["simulated_provider"].values()} == {"provider", None}


def test_the_gateway_knows_nothing_but_its_keys_at_the_services_doors(tmp_path):
    told = shares(State.open(tmp_path), SERVERS)

    assert set(told["gateway"]) == {"ORDERMILL_GATEWAY_PEER_KEYS"}


def test_an_edge_key_is_its_services_and_a_key_at_an_edge_is_of_the_one_who_comes(tmp_path):
    state = State.open(tmp_path)
    told = shares(state, SERVERS)
    edges = {service: state.secret(f"{service}.edge") for service in SERVICES}
    keys = {(by, at): key_of(edges[at], by, at) for by in ("gateway", *SERVICES) for at in SERVICES}

    def knowing(secret):
        return {folder for folder, files in told.items() if secret in "".join(files.values())} - {"steps"}

    assert {service: knowing(key) for service, key in edges.items()} == {service: {service} for service in SERVICES}
    comes = {(by, at) for by, at in keys if knowing(keys[by, at]) == {by}}
    assert comes == {(by, at) for by, edges in COMES_TO.items() for at in edges}
    assert all(knowing(keys[way]) == set() for way in keys.keys() - comes)


def test_what_all_services_shared_is_told_where_an_earlier_release_has_made_it_and_by_nobody_made_anew(tmp_path):
    fresh, state = State.open(tmp_path / "fresh"), State.open(tmp_path / "upgraded")
    token = state.secret("service_token")

    told = shares(state, SERVERS)

    assert {folder for folder, files in told.items() if token in files.values()} == {*SERVICES, "steps"}
    assert not any("ORDERMILL_SERVICE_TOKEN" in files for files in shares(fresh, SERVERS).values())
    assert fresh.kept_secret("service_token") is None


def test_only_the_mailbox_knows_the_key_that_mails_are_read_with(tmp_path):
    state = State.open(tmp_path)
    told = shares(state, SERVERS)

    assert told["mailbox"] == {"ORDERMILL_MAILBOX_KEY": state.secret("mailbox_key")}
    knowing = {folder for folder, files in told.items() if state.secret("mailbox_key") in "".join(files.values())}
    assert knowing == {"mailbox"}


def test_nobody_but_the_steps_and_the_server_knows_the_owner(tmp_path):
    told = shares(State.open(tmp_path), SERVERS)
    owner = urlsplit(told["steps"]["ORDERMILL_DATABASE_URL"])

    knowing = {folder for folder, files in told.items() if owner.password in "".join(files.values())}

    assert (owner.username, owner.hostname, owner.port) == ("ordermill", "db", 1)
    assert knowing == {"steps", "postgres"}


def test_nobody_but_rabbitmq_knows_its_cookie(tmp_path):
    state = State.open(tmp_path)
    told = shares(state, SERVERS)

    assert told["rabbitmq"]["erlang.cookie"] == state.erlang_cookie
    assert {folder for folder, files in told.items() if state.erlang_cookie in "".join(files.values())} == {"rabbitmq"}


def test_rabbitmq_reads_hashes_and_boots_with_them(tmp_path):
    told = shares(State.open(tmp_path), SERVERS)
    users = {user["name"]: user for user in json.loads(told["rabbitmq"]["definitions.json"])["users"]}

    hashed = base64.b64decode(users["order_service"]["password_hash"])
    [password] = {urlsplit(told["order_service"]["ORDERMILL_ORDER_SERVICE_BROKER_URL"]).password}
    assert hashed[4:] == hashlib.sha256(hashed[:4] + password.encode()).digest()
    assert "load_definitions = /etc/seen/definitions.json\n" in told["rabbitmq"]["rabbitmq.conf"]


def test_no_queue_takes_more_than_a_broker_can_keep_or_drops_what_it_has_taken(tmp_path):
    told = json.loads(shares(State.open(tmp_path), SERVERS)["rabbitmq"]["definitions.json"])
    policies = {policy["name"]: policy["definition"] for policy in told["policies"]}

    assert policies.keys() == {queue for service in SERVICES for queue in (service, dead_letters_of(service))}
    assert {(each["max-length-bytes"], each["overflow"]) for each in policies.values()} == {(2**28, "reject-publish")}


def test_a_second_time_changes_nobodys_password(tmp_path):
    for _ in range(2):
        hand_out(State.open(tmp_path / "state"), tmp_path / "out", SERVERS)
        first = shares(State.open(tmp_path / "state"), SERVERS)

    read = {folder: {file.name: file.read_text() for file in (tmp_path / "out" / folder).iterdir()} for folder in first}
    assert {name: files for name, files in read.items() if name != "rabbitmq"} == {
        name: files for name, files in first.items() if name != "rabbitmq"
    }
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert modes == {0o444}


def test_a_shop_of_an_earlier_release_is_given_what_this_one_adds_and_keeps_the_rest(tmp_path):
    first = shares(State.open(tmp_path), SERVERS)
    kept = json.loads((tmp_path / "secrets.json").read_text())
    earlier = {name: secret for name, secret in kept.items() if not name.endswith(".edge")}
    (tmp_path / "secrets.json").write_text(json.dumps({**earlier, "gateway_key": "of the release before"}))

    now = shares(State.open(tmp_path), SERVERS)

    changed = {file for name in now if name != "rabbitmq" for file in now[name] if now[name][file] != first[name][file]}
    edges = {f"ORDERMILL_{service.upper()}_EDGE_KEY" for service in SERVICES}
    assert changed == {*edges, *(f"ORDERMILL_{by.upper()}_PEER_KEYS" for by in COMES_TO)}


def test_a_step_that_was_killed_while_it_wrote_is_done_by_the_next_one():
    with TemporaryDirectory() as folder:
        volume = Path(folder)
        volume.chmod(0o1777)

        def twice():
            hand_out(State.open(volume / "state"), volume / "out", SERVERS)
            file = volume / "out/gateway/ORDERMILL_GATEWAY_PEER_KEYS"
            file.rename(file.with_name(f".{file.name}"))
            hand_out(State.open(volume / "state"), volume / "out", SERVERS)

        assert as_nobody(twice)
        assert [file.name for file in (volume / "out/gateway").iterdir()] == ["ORDERMILL_GATEWAY_PEER_KEYS"]


def test_what_a_release_before_has_left_there_goes(tmp_path):
    out = tmp_path / "out"
    (out / "gateway").mkdir(parents=True)
    out.chmod(0o700)
    for left in ("ORDERMILL_GATEWAY_KEY", "ORDERMILL_RATES_URL"):  # the second one is a person's
        (out / "gateway" / left).touch()

    hand_out(State.open(tmp_path / "state"), out, SERVERS)

    kept = {file.name for file in (out / "gateway").iterdir()}
    assert kept == {"ORDERMILL_GATEWAY_PEER_KEYS", "ORDERMILL_RATES_URL"}
    assert "ORDERMILL_PROVIDER_DATABASE_URL" not in {file.name for file in (out / "payment_service").iterdir()}


@pytest.mark.parametrize("taken", ["by a folder that others get into", "by a link"])
def test_nothing_is_written_where_others_would_read_it(tmp_path, taken):
    out = tmp_path / "out"
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    out.symlink_to(tmp_path / "elsewhere") if taken == "by a link" else out.mkdir(mode=0o755)

    with pytest.raises(Failure, match="out: it is not ours alone"):
        hand_out(State.open(tmp_path / "state"), out, SERVERS)

    assert not any(out.iterdir())


def test_the_command_writes_the_folders_and_keeps_its_own_counsel(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path / "state"))

    with pytest.raises(SystemExit) as end:
        main(["secrets", "--into", str(tmp_path / "out"), "--postgres", "elsewhere:5"])

    assert end.value.code == 0
    url = (tmp_path / "out/steps/ORDERMILL_DATABASE_URL").read_text()
    said = capsys.readouterr()
    assert urlsplit(url).hostname == "elsewhere"
    assert urlsplit(url).password not in said.out + said.err


def test_a_command_reads_files_and_the_environment_first(tmp_path, monkeypatch):
    monkeypatch.setenv("ORDERMILL_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("ORDERMILL_BROKER_URL", "amqp://environment")
    monkeypatch.delenv("ORDERMILL_DATABASE_URL", raising=False)
    (tmp_path / "ORDERMILL_BROKER_URL").write_text("amqp://file")
    (tmp_path / "ORDERMILL_DATABASE_URL").write_text("postgresql://file\n")

    assert variables()["ORDERMILL_BROKER_URL"] == "amqp://environment"
    assert variables()["ORDERMILL_DATABASE_URL"] == "postgresql://file"
    assert State.open(tmp_path / "state").database_url == "postgresql://file"
