"""deploy/k8s fits the code: its processes, their commands and their settings."""

from urllib.parse import urlsplit

import pytest
import typer.main

from chassis.settings import LogSettings
from gateway.settings import Settings as GatewaySettings
from ordermill import cli
from ordermill.audit.settings import Settings as AuditorSettings
from ordermill.services import SERVICES, load
from payment_service.settings import ProviderSettings
from tests.support.kubernetes import OVERLAYS, rendered
from tests.support.pods import of_kind, pods

DASHED = {service: service.replace("_", "-") for service in SERVICES}
EDGES_AND_WORKERS = {f"{dashed}-{role}" for dashed in DASHED.values() for role in ("api", "worker")}
OURS = {*EDGES_AND_WORKERS, "gateway", "auditor"}
STAND_INS = {"provider", "mailbox", "seed"}


def test_every_process_of_the_shop_is_there_and_stand_ins_only_where_it_is_tried():
    found = {overlay: set(pods(rendered(overlay))) for overlay in OVERLAYS}

    assert found == {"production": {*OURS, "migrate"}, "dev": {*OURS, "migrate", *STAND_INS}}
    told = {name: pod.process["args"] for name, pod in pods(rendered("production")).items()}
    assert {name: args[1:4] for name, args in told.items() if name in EDGES_AND_WORKERS} == {
        f"{dashed}-{role}": [service, "--role", role]
        for service, dashed in DASHED.items()
        for role in ("api", "worker")
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_pods_are_told_to_run_is_a_command_with_options_that_it_has(overlay):
    program = typer.main.get_command(cli.build(cli.modules()))

    for pod in pods(rendered(overlay)).values():
        for name, *rest in (container["args"] for container in pod.containers):
            program.commands[name].make_context(name, rest)


def test_migrations_come_before_the_topology():
    [job] = pods(rendered("production"), "Job").values()

    assert [container["args"] for container in job.containers] == [["initdb"], ["topology"]]
    assert job.spec["restartPolicy"] == "OnFailure"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", sorted(EDGES_AND_WORKERS))
def test_a_service_is_told_all_that_it_needs_and_is_who_it_is(inside, overlay, name):
    [service] = [service for service, dashed in DASHED.items() if name.startswith(dashed)]
    inside(overlay, name)

    settings = load(service).settings()

    database, broker = (urlsplit(url.get_secret_value()) for url in (settings.database_url, settings.broker_url))
    assert (database.username, database.hostname) == (service, "postgres-rw.ordermill.svc")
    assert (broker.username, broker.hostname) == (service, "rabbitmq.ordermill.svc")
    assert settings.peers == {peer: f"http://{dashed}-api:8000" for peer, dashed in DASHED.items()}
    assert settings.profile == ("local" if overlay == "dev" else "production")


def test_what_is_no_service_is_told_all_that_it_needs(inside):
    inside("production", "auditor")
    assert urlsplit(AuditorSettings().database_url.get_secret_value()).username == "auditor"

    inside("production", "gateway")
    gateway = GatewaySettings()
    assert set(gateway.peers) == set(SERVICES)
    assert gateway.trusted_proxies
    assert set(gateway.peer_keys) == set(SERVICES)
    assert gateway.limited == ""

    inside("dev", "provider")
    assert ProviderSettings().webhook_url.endswith("/api/v1/payments/webhooks/simulated")


def test_a_setting_that_is_missing_is_noticed(inside, secrets):
    poorer = [secret | {"data": secret["data"].copy()} for secret in secrets]
    del of_kind(poorer, "Secret")["order-service"]["data"]["ORDERMILL_ORDER_SERVICE_EDGE_KEY"]
    inside("production", "order-service-api", poorer)

    with pytest.raises(ValueError, match="EDGE_KEY"):
        load("order_service").settings()


def unknown(manifests):
    """Variables of the settings that no process reads."""
    maps = (one["data"] for one in of_kind(manifests, "ConfigMap").values())
    return {name for told in maps for name in told} - known()


def known():
    read = (GatewaySettings, *(load(name).settings for name in SERVICES))
    fields = [field for settings in read for field in settings.model_fields.values()]
    logs = {f"ORDERMILL_{name}".upper() for name in LogSettings.model_fields}
    return logs | {choice for field in fields for choice in field.validation_alias.choices}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_that_is_set_is_read(overlay):
    manifests = rendered(overlay)
    assert unknown(manifests) == set()

    next(iter(of_kind(manifests, "ConfigMap").values()))["data"]["ORDERMILL_ISSUR"] = "https://shop.example"
    assert unknown(manifests) == {"ORDERMILL_ISSUR"}
