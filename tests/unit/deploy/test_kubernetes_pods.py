"""deploy/k8s is what a cluster takes: valid by the schemas of what it names, and its pods confined and given time."""

import copy

import pytest

from ordermill.serving import ENDS_WITHIN
from tests.support import kubernetes
from tests.support.kubernetes import OVERLAYS, flaws, rendered
from tests.support.pods import of_kind, pods, selects

# Where a mistake is put in, and what is wrong about it.
MISTAKES = {
    (
        "Deployment",
        "order-service-worker",
        "spec/template/spec/containers/0/imagePullPolice",
        "Always",
    ): "imagePullPolice",
    ("Deployment", "gateway", "spec/template/spec/terminationGracePeriodSeconds", "30 s"): "integer",
    ("Deployment", "gateway", "spec/selector", None): "selector",
    ("Job", "migrate", "spec/template/spec/initContainers/0/name", 1): "string",
    ("PodDisruptionBudget", "gateway", "spec/maxUnavailable", True): "maxUnavailable",
    ("NetworkPolicy", "postgres", "spec/ingress/0/ports/0/prot", 5432): "prot",
    ("HTTPRoute", "shop", "spec/rules/0/backendRefs/0/port", "http"): "integer",
    ("ScaledObject", "order-service-worker", "spec/maxReplicas", 4): "maxReplicas",
    ("ScaledObject", "order-service-worker", "spec/maxReplicaCount", "4"): "integer",
    ("ScaledObject", "order-service-worker", "spec/triggers/0/metadata/queueName", None): "rabbitmq",
    ("TriggerAuthentication", "order-service-queue", "spec/secretTargetRef/0/key", None): "key",
    ("Cluster", "postgres", "spec/postgresql/synchronous/dataDurability", "require"): "require",
    ("Cluster", "postgres", "spec/postgresql/parameters/max_connections", 500): "string",
    ("RabbitmqCluster", "rabbitmq", "spec/override/statefulSet/spec/template/spec/volumes/0/secret/name", "x"): "name",
    ("RabbitmqCluster", "rabbitmq", "spec/replicas", "3"): "integer",
    ("ScheduledBackup", "nightly", "spec/schedule", "30 2 * * *"): "schedule",
    ("ObjectStore", "backups", "spec/configuration/destinationPath", None): "destinationPath",
}


def put_in(manifest, path, value):
    """The same with a value at a place, or without what is there."""
    changed = copy.deepcopy(manifest)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    place = changed
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_that_a_cluster_is_told_is_valid(overlay):
    assert flaws(rendered(overlay)) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake[0]} {mistake[2].rpartition('/')[2]}")
def test_a_mistake_is_noticed(mistake):
    kind, name, path, value = mistake

    [flaw] = flaws([put_in(of_kind(rendered("production"), kind)[name], path, value)])

    assert MISTAKES[mistake] in flaw


def test_a_kind_that_nobody_knows_is_noticed():
    [flaw] = flaws([{"apiVersion": "apps/v1", "kind": "Deploymant", "metadata": {"name": "gateway"}}])

    assert "nobody knows this kind" in flaw


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_may_do_nothing_that_it_need_not(overlay):
    for pod in pods(rendered(overlay)).values():
        assert (pod.spec["automountServiceAccountToken"], pod.spec["enableServiceLinks"]) == (False, False)
        rights = pod.spec["securityContext"]
        assert (rights["runAsNonRoot"], rights["runAsUser"], rights["fsGroup"]) == (True, 10001, 10001)
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.containers:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_process_has_time_to_end_and_is_asked_how_it_is(overlay):
    for name, pod in pods(rendered(overlay), "Deployment").items():
        before = pod.process["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod.spec["terminationGracePeriodSeconds"] > before + ENDS_WITHIN
        paths = {
            probe: pod.process[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")
        }
        ready = "/livez" if name == "gateway" else "/readyz"
        assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": ready}


@pytest.mark.parametrize(
    ("overlay", "image"), [("dev", "ordermill:latest"), ("production", "registry.example/ordermill:the-release")]
)
def test_all_containers_are_of_one_image_and_its_user(overlay, image):
    dockerfile = (kubernetes.ROOT / "deploy/Dockerfile").read_text()

    assert {c["image"] for pod in pods(rendered(overlay)).values() for c in pod.containers} == {image}
    assert "\nUSER 10001:10001\n" in dockerfile


def test_pods_are_replaced_one_by_one_and_spread_over_machines():
    deployments = of_kind(rendered("production"), "Deployment")

    for name, deployment in deployments.items():
        spec = deployment["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}, name
        spread = {one["topologyKey"]: one for one in spec["template"]["spec"]["topologySpreadConstraints"]}
        assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        for one in spread.values():
            assert selects(one["labelSelector"], spec["template"]["metadata"]["labels"])
            assert set(one["matchLabelKeys"]) - {"pod-template-hash"} <= set(spec["template"]["metadata"]["labels"])


def test_each_process_of_which_there_are_many_has_a_budget_of_its_own():
    found = pods(rendered("production"), "Deployment")
    budgets = of_kind(rendered("production"), "PodDisruptionBudget")

    meant = {
        name: [pod.name for pod in found.values() if selects(budget["spec"]["selector"], pod.labels)]
        for name, budget in budgets.items()
    }
    assert meant == {name: [name] for name in set(found) - {"auditor"}}
    assert {budget["spec"]["maxUnavailable"] for budget in budgets.values()} == {1}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_has_the_pods_of_one_deployment_and_a_port_that_they_have(overlay):
    found = pods(rendered(overlay), "Deployment")

    for name, service in of_kind(rendered(overlay), "Service").items():
        [pod] = [pod for pod in found.values() if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        assert pod.name == name
        ports = {port["name"]: port["containerPort"] for port in pod.process["ports"]}
        assert {port["port"] for port in service["spec"]["ports"]} == set(ports.values())
        assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)


def test_the_way_in_leads_to_the_gateway():
    [route] = of_kind(rendered("production"), "HTTPRoute").values()
    gateway = of_kind(rendered("production"), "Service")["gateway"]["spec"]

    [rule] = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "gateway", "port": port["port"]} for port in gateway["ports"]]
