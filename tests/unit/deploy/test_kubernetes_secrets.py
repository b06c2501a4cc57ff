"""Who is told what in secret, in a cluster; what is missing keeps a pod from starting."""

import re
import stat
from urllib.parse import urlsplit

import pytest

from chassis.assertions import GATEWAY, Asserter, Assertions
from gateway.settings import Settings as GatewaySettings
from ordermill.rabbitmq import ADMINISTRATOR
from ordermill.services import SERVICES, load
from ordermill.shares import Servers, shares
from ordermill.state import State
from ordermill.told import variables
from tests.architecture import documents
from tests.support.kubernetes import BY_HAND, K8S, OVERLAYS, contents, rendered
from tests.support.pods import NotThere, environment, files, of_kind, pods

KNOWS_EVERYTHING = {"migrate", "seed"}
SHARED = {"payment_service": {"payment_service", "provider"}}


def test_the_steps_know_the_owner_and_the_passwords_that_roles_are_given(inside, tmp_path):
    inside("production", "migrate")

    told = variables()
    assert urlsplit(told["ORDERMILL_DATABASE_URL"]).username == "ordermill"
    kept = State(tmp_path)
    for service in SERVICES:
        assert (
            kept.secret(f"{service}.database") == urlsplit(told[f"ORDERMILL_{service.upper()}_DATABASE_URL"]).password
        )
        assert kept.secret(f"{service}.broker") == urlsplit(told[f"ORDERMILL_{service.upper()}_BROKER_URL"]).password
    mounts = {mount["mountPath"]: mount for mount in pods(rendered("production"))["migrate"].process["volumeMounts"]}
    assert mounts["/var/lib/ordermill/secrets.json"]["subPath"] == "secrets.json"


def test_the_operators_are_told_the_same_passwords(secrets):
    made = {name: contents(secret) for name, secret in of_kind(secrets, "Secret").items()}
    owner, administrator = (urlsplit(made["steps"][f"ORDERMILL_{name}_URL"]) for name in ("DATABASE", "BROKER"))

    assert made["postgres-owner"] == {"username": owner.username, "password": owner.password}
    assert made["rabbitmq-administrator"] == {
        "username": ADMINISTRATOR,
        "password": administrator.password,
        "default_user.conf": f"default_user = {ADMINISTRATOR}\ndefault_pass = {administrator.password}\n",
    }


def test_rabbitmq_has_the_cookie_of_its_operator_and_none_of_ours(secrets):
    made = contents(of_kind(secrets, "Secret")["rabbitmq"])

    assert set(made) == {"definitions.json", "rabbitmq.conf"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_gateway_is_known_at_each_edge_and_does_not_start_without_its_keys(overlay, inside, secrets):
    inside(overlay, "gateway")
    said = {service: Asserter(GATEWAY, key).said() for service, key in GatewaySettings().peer_keys.items()}

    assert said.keys() == set(SERVICES)
    for service in SERVICES:
        inside(overlay, f"{service.replace('_', '-')}-api")
        assert Assertions(service, load(service).settings().edge_key).comes(said[service]) == GATEWAY
    with pytest.raises(NotThere, match="gateway"):
        inside(overlay, "gateway", [secret for secret in secrets if secret["metadata"]["name"] != "gateway"])


def test_the_mailbox_has_a_key_and_nobody_else_knows_it(inside, secrets):
    inside("dev", "mailbox")

    key = variables()["ORDERMILL_MAILBOX_KEY"]

    assert len(key) >= 32
    told = {name: "".join(contents(secret).values()) for name, secret in of_kind(secrets, "Secret").items()}
    assert {name for name, content in told.items() if key in content} == {"mailbox", "steps"}


def test_in_production_money_and_mails_go_outside_or_nothing_starts(inside, secrets):
    inside("production", "payment-service-worker")
    assert load("payment_service").settings().provider_url == "https://psp.example"
    inside("production", "notification-service-worker")
    assert load("notification_service").settings().smtp_url.get_secret_value() == "https://psp.example"

    for name, missing in (("payment-service-api", "provider"), ("notification-service-worker", "mail")):
        made = [secret for secret in secrets if secret["metadata"]["name"] != missing]
        with pytest.raises(NotThere, match=missing):
            inside("production", name, made)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_process_sees_its_own_secrets_and_no_environment_holds_any(overlay, secrets):
    manifests = rendered(overlay)

    for name, pod in pods(manifests).items():
        process = re.sub("-(api|worker)$", "", name).replace("-", "_")
        users = {urlsplit(value).username for value in files(pod, secrets).values() if urlsplit(value).password}
        assert name in KNOWS_EVERYTHING or users <= SHARED.get(process, {process}), name
        told = environment(pod, manifests)
        assert [name for name in told if re.search("PASS|SECRET|TOKEN|KEY", name)] == []
        assert not any(urlsplit(value).password for value in told.values())
        assert not any("env" in container for container in pod.containers)


def test_no_secret_stands_in_the_manifests_and_nobody_else_may_read_those_that_are_made(folder, secrets):
    assert [made for overlay in OVERLAYS for made in of_kind(rendered(overlay), "Secret")] == []
    kept = (folder / "home", folder / "told", folder / "told/steps")
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in kept} == {0}
    assert {secret["metadata"]["namespace"] for secret in secrets} == {"ordermill"}


def test_the_readme_says_what_a_person_has_to_write():
    readme = K8S / "README.md"
    mounted = {source["name"] for pod in pods(rendered("production")).values() for source in projected(pod)}
    stored = of_kind(rendered("production"), "ObjectStore")["backups"]["spec"]["configuration"]["s3Credentials"]

    told = {tuple(path.split("/")) for path in re.findall(r"`((?:provider|mail|backups)/\w+)`", readme.read_text())}

    assert told == {*BY_HAND.items(), ("backups", "SECRET_ACCESS_KEY")}
    assert {name for name, _ in told} == mounted - {"payment-service", "notification-service"} | {"backups"}
    assert {(one["name"], one["key"]) for one in stored.values()} == {one for one in told if one[0] == "backups"}
    assert [path for path, _ in documents.links(readme) if not path.exists()] == []


def test_what_a_person_writes_is_never_written_over(tmp_path):
    written = shares(State.open(tmp_path), Servers("postgres:1", "rabbitmq:2", tmp_path))

    assert written.keys().isdisjoint({*BY_HAND, "backups"})


def projected(pod):
    volumes = (volume for volume in pod.spec["volumes"] if "projected" in volume)
    return [source["secret"] for volume in volumes for source in volume["projected"]["sources"]]
