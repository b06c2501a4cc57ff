"""Who may reach whom in a cluster: what the network policies let pass is this table, and nothing else."""

from itertools import product

import pytest

from tests.support.kubernetes import rendered
from tests.support.pods import Place, of_kind, pods, ways

EDGES = {f"{service}-service-api" for service in ("auth", "inventory", "order", "payment", "notification")}
WORKERS = {edge.replace("-api", "-worker") for edge in EDGES}
AUTH, EXPORTED = "auth-service-api", {f"{service}-service-api" for service in ("order", "payment", "notification")}
PORTS = (25, 443, 465, 587, 2525, 4369, 5432, 5672, 6443, 8000, 9187, 15672, 15692, 25672)
OTHERS = ("ingress", "keda", "monitoring", "cnpg-system", "rabbitmq-system", "somebody-else")


def places(overlay):
    """Ours, the servers', those of other namespaces, and the world."""
    ours = [Place(name, pod.labels) for name, pod in pods(rendered(overlay)).items()]
    servers = [
        Place("postgres", {"cnpg.io/cluster": "postgres"}),
        Place("rabbitmq", {"app.kubernetes.io/name": "rabbitmq"}),
    ]
    return [*ours, *servers, *(Place(name, namespace=name) for name in OTHERS), Place("outside")]


def each(sources, targets, *ports):
    return set(product(sources, targets, ports))


IN_ANY_CLUSTER = (
    each({"gateway"}, EDGES, 8000)
    | each(EDGES | WORKERS, {AUTH}, 8000)
    | each({AUTH}, EXPORTED, 8000)
    | each({"order-service-api"}, {"inventory-service-api"}, 8000)
    | each(EDGES | WORKERS | {"auditor", "migrate"}, {"postgres"}, 5432)
    | each(WORKERS | {"migrate"}, {"rabbitmq"}, 5672)
    | each({"postgres"}, {"postgres"}, 5432, 8000)
    | each({"rabbitmq"}, {"rabbitmq"}, 4369, 25672)
    | each({"cnpg-system"}, {"postgres"}, 5432, 8000)
    | each({"rabbitmq-system"}, {"rabbitmq"}, 15672)
    | each({"keda"}, {"rabbitmq"}, 5672)
    | each({"postgres", "rabbitmq"}, {"outside", *OTHERS}, 443, 6443)
)
EXPECTED = {
    "production": IN_ANY_CLUSTER
    | each({"ingress"}, {"gateway"}, 8000)
    | each({"monitoring"}, EDGES | WORKERS | {"auditor"}, 8000)
    | each({"monitoring"}, {"postgres"}, 9187)
    | each({"monitoring"}, {"rabbitmq"}, 15692)
    | each({"payment-service-api", "payment-service-worker"}, {"outside"}, 443)
    | each({"notification-service-worker"}, {"outside"}, 465, 587),
    "dev": IN_ANY_CLUSTER
    | each({"seed", "provider"}, {"postgres"}, 5432)
    | each({"seed"}, {"rabbitmq"}, 5672)
    | each({"payment-service-api", "payment-service-worker"}, {"provider"}, 8000)
    | each({"provider"}, {"payment-service-api"}, 8000)
    | each({"notification-service-worker"}, {"mailbox"}, 2525),
}


@pytest.mark.parametrize("overlay", EXPECTED)
def test_whoever_has_to_reach_somebody_does_and_nobody_else(overlay):
    assert ways(rendered(overlay), places(overlay), PORTS) == EXPECTED[overlay]


@pytest.mark.parametrize("overlay", EXPECTED)
def test_no_policy_is_there_for_nothing(overlay):
    manifests = rendered(overlay)
    names = set(of_kind(manifests, "NetworkPolicy")) - {"names-are-looked-up"}

    for name in names:
        others = [one for one in manifests if (one["kind"], one["metadata"]["name"]) != ("NetworkPolicy", name)]
        assert ways(others, places(overlay), PORTS) != EXPECTED[overlay], name


def test_names_are_looked_up_by_everybody():
    dns = [Place("kube-dns", namespace="kube-system")]
    ours = [place for place in places("production") if place.labels is not None]

    found = ways(rendered("production"), [*ours, *dns], [53])

    assert found == {(place.name, "kube-dns", 53) for place in ours}
