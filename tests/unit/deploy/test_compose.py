"""compose.yaml and the image fit the code: settings, secrets, and what a container may not do."""

import os
import re
import stat
import subprocess
from urllib.parse import urlsplit

import pytest

from chassis.assertions import GATEWAY, Asserter, Assertions
from gateway.settings import Settings as GatewaySettings
from ordermill.audit.settings import Settings as AuditorSettings
from ordermill.postgres import SETTINGS as OF_POSTGRES
from ordermill.services import SERVICES, load
from ordermill.shares import Servers, hand_out, shares
from ordermill.state import State
from ordermill.told import variables
from payment_service.settings import ProviderSettings
from tests.support import broker_reads, composed
from tests.support.composed import ROOT, mounts, ours, services

EDGES_AND_WORKERS = {f"{service}_{role}" for service in SERVICES for role in ("api", "worker")}
OF_OUR_OWN_MACHINE = {"listen_addresses", "logging_collector", "log_line_prefix"}
TELL_WHAT_IS_FOR_SALE = ("inventory_service_worker", "order_service_worker")
STEPS = ("secrets", "migrate", "topology", "seed")
SERVERS = Servers("postgres:5432", "rabbitmq:5672", ROOT)


@pytest.fixture
def secrets(tmp_path):
    hand_out(State.open(tmp_path / "state"), tmp_path / "secrets", SERVERS)
    return tmp_path / "secrets"


@pytest.fixture
def inside(secrets, monkeypatch):
    """What a process sees in its container."""

    def inside(name):
        for variable in [variable for variable in os.environ if variable.startswith("ORDERMILL_")]:
            monkeypatch.delenv(variable)
        for variable, value in services()[name].get("environment", {}).items():
            monkeypatch.setenv(variable, value)
        volume = mounts(services()[name]).get("/run/secrets:ro")
        monkeypatch.setenv(
            "ORDERMILL_SECRETS_DIR", str(secrets / volume.removeprefix("secrets_") if volume else secrets)
        )

    return inside


def test_every_process_of_the_shop_is_there():
    assert set(ours("run")) == {*EDGES_AND_WORKERS, "gateway", "provider", "auditor"}
    assert {name: ours()[name]["command"].split()[1:4] for name in EDGES_AND_WORKERS} == {
        f"{service}_{role}": [service, "--role", role] for service in SERVICES for role in ("api", "worker")
    }


@pytest.mark.parametrize("name", sorted(EDGES_AND_WORKERS))
def test_a_service_is_told_all_that_it_needs_and_is_who_it_is(inside, name):
    service = name.rpartition("_")[0]
    inside(name)

    settings = load(service).settings()

    for url in (settings.database_url, settings.broker_url):
        assert urlsplit(url.get_secret_value()).username == service
    assert {urlsplit(url).hostname for url in settings.peers.values()} == {f"{service}_api" for service in SERVICES}


@pytest.mark.parametrize("name", sorted(EDGES_AND_WORKERS))
def test_nobody_outside_reaches_a_service(name):
    assert "ports" not in services()[name]


def test_what_is_no_service_is_told_all_that_it_needs(inside):
    inside("provider")
    provider = ProviderSettings()
    assert urlsplit(provider.provider_database_url.get_secret_value()).username == "provider"
    assert provider.webhook_url == "http://payment_service_api:8000/api/v1/payments/webhooks/simulated"

    inside("auditor")
    assert urlsplit(AuditorSettings().database_url.get_secret_value()).username == "auditor"

    inside("gateway")
    assert set(GatewaySettings().peers) == set(SERVICES)
    said = {service: Asserter(GATEWAY, key).said() for service, key in GatewaySettings().peer_keys.items()}
    assert said.keys() == set(SERVICES)
    for service in SERVICES:
        inside(f"{service}_api")
        assert Assertions(service, load(service).settings().edge_key).comes(said[service]) == GATEWAY


def test_the_mailbox_is_told_the_key_that_mails_are_read_with(inside, tmp_path):
    inside("mailbox")

    assert variables()["ORDERMILL_MAILBOX_KEY"] == State(tmp_path / "state").secret("mailbox_key")


def test_a_process_sees_its_own_secrets_and_no_others():
    seen = {name: mounts(service).get("/run/secrets:ro") for name, service in services().items()}

    assert {name: volume for name, volume in seen.items() if volume} == {
        **{f"{service}_{role}": f"secrets_{service}" for service in SERVICES for role in ("api", "worker")},
        **{name: f"secrets_{name}" for name in ("postgres", "rabbitmq", "auditor", "gateway", "mailbox")},
        "provider": "secrets_simulated_provider",
        **dict.fromkeys(("migrate", "topology", "seed", "cli"), "secrets_steps"),
    }


def test_the_first_step_writes_each_folder_into_a_volume_that_the_image_has_a_place_for(tmp_path):
    folders = set(shares(State.open(tmp_path), SERVERS))
    written = {
        place: volume for place, volume in mounts(services()["secrets"]).items() if place.startswith("/secrets/")
    }

    assert written == {f"/secrets/{folder}": f"secrets_{folder}" for folder in folders}
    assert set(re.findall(r"/secrets/\w+", (ROOT / "deploy/Dockerfile").read_text())) == set(written)


def test_no_secret_stands_in_the_file():
    told = [variable for service in services().values() for variable in service.get("environment", ())]

    assert [name for name in told if re.search("PASS|SECRET|TOKEN|KEY", name)] == []
    assert re.findall(r"://[^\s\"/]*@", composed.text()) == []


@pytest.mark.parametrize("name", sorted(set(services()) - {"postgres", "rabbitmq"}))
def test_a_container_may_do_nothing_that_it_need_not(name):
    service = services()[name]

    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "cap_add"} & set(service)


def test_everything_that_runs_is_watched_and_the_steps_come_first():
    steps = {name for name, service in services().items() if service.get("healthcheck", {}).get("disable")}
    unwatched = {name for name, service in services().items() if "healthcheck" not in service} - set(ours())

    assert steps == {*STEPS, "cli"}
    assert {name for name in unwatched if "profiles" not in services()[name]} == set()
    waits = {name: set(service.get("depends_on", ())) for name, service in services().items()}
    assert waits["topology"] == {"migrate", "rabbitmq"}
    assert {name for name in EDGES_AND_WORKERS if waits[name] == {"topology"}} == {f"{s}_worker" for s in SERVICES}
    assert {name for name in EDGES_AND_WORKERS if waits[name] == {"migrate"}} == {f"{s}_api" for s in SERVICES}
    assert waits["gateway"] == {"seed", *TELL_WHAT_IS_FOR_SALE, *(f"{service}_api" for service in SERVICES)}
    assert {services()["gateway"]["depends_on"][name]["condition"] for name in TELL_WHAT_IS_FOR_SALE} == {
        "service_healthy"
    }


def test_nothing_listens_outside_of_this_machine_unless_somebody_says_so():
    published = [port for service in services().values() for port in service.get("ports", ())]

    assert len(published) >= 2
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_postgresql_is_told_what_our_own_is_told():
    words = services()["postgres"]["command"].split()
    told = dict(word.split("=") for word in words if "=" in word)

    assert told == {name: value.strip("'") for name, value in OF_POSTGRES.items() if name not in OF_OUR_OWN_MACHINE}


@pytest.mark.parametrize("before", [None, "made by Erlang"])
def test_rabbitmq_starts_with_the_cookie_of_the_first_step(secrets, tmp_path, before):
    home, programs = tmp_path / "home", tmp_path / "programs"
    for folder in (home, programs):
        folder.mkdir()
    if before:
        (home / ".erlang.cookie").write_text(before)
    (programs / "docker-entrypoint.sh").write_text('#!/bin/sh\necho "$@" $(cat "$HOME/.erlang.cookie")')
    (programs / "docker-entrypoint.sh").chmod(0o700)
    shell, option, script = services()["rabbitmq"]["entrypoint"]
    script = script.replace("/run/secrets", str(secrets / "rabbitmq")).replace("/var/lib/rabbitmq", str(home))

    told = {"HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run([shell, option, script], env=told, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["rabbitmq-server", State(tmp_path / "state").erlang_cookie]
    [cookie] = home.iterdir()
    assert stat.S_IMODE(cookie.stat().st_mode) == 0o400


def test_rabbitmq_does_not_start_without_a_cookie(tmp_path):
    shell, option, script = services()["rabbitmq"]["entrypoint"]

    script = script.replace("/run/secrets", str(tmp_path)).replace("/var/lib/rabbitmq", str(tmp_path))

    done = subprocess.run([shell, option, script.replace("exec", "echo")], capture_output=True, text=True, check=False)
    assert (done.returncode != 0, done.stdout) == (True, "")


def test_rabbitmq_is_replaced_by_a_release_that_changes_what_it_reads_while_it_boots(tmp_path):
    read = broker_reads.in_letters(State.open(tmp_path))

    assert services()["rabbitmq"]["labels"] == {"ordermill.reads": read}


def test_what_may_be_set_is_in_the_example_with_its_default():
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))

    told = dict(composed.VARIABLE.findall(composed.text()))
    assert {name: value for name, value in example.items() if not name.startswith("PIP_")} == told


def test_images_of_others_have_a_version():
    tags = {service["image"].partition(":")[2] for name, service in services().items() if name not in ours()}

    assert {tag for tag in tags if not re.match(r"v?\d", tag)} == set()
