"""PostgreSQL, RabbitMQ and what scales, in a cluster: as the code wants them, and with room for every pod."""

import copy

from chassis.consumer import PREFETCH
from contracts.envelope import MESSAGE_BYTES
from ordermill.postgres import SETTINGS as OF_POSTGRES
from ordermill.services import SERVICES, load
from ordermill.setup import listeners
from ordermill.state import State
from tests.support import broker_reads, composed
from tests.support.kubernetes import contents, rendered
from tests.support.pods import of_kind, pods

OF_OUR_OWN_MACHINE = {"listen_addresses", "logging_collector", "log_line_prefix"}
OF_A_LARGER_ONE = {"max_connections", "shared_buffers", "max_wal_size"}
BESIDE_THE_POOL = 2  # a worker's relay, an edge's LISTEN: one each, and one to come when a connection is replaced
KEPT_BY_OPERATOR = 20  # of max_connections: replication, superusers, the auditor, the steps


def scaled(manifests):
    """What is scaled, by the name of its Deployment."""
    return {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in of_kind(manifests, "ScaledObject").values()}


def test_postgresql_is_told_what_our_own_is_told():
    told = of_kind(rendered("production"), "Cluster")["postgres"]["spec"]["postgresql"]["parameters"]

    ours = {name: value.strip("'") for name, value in OF_POSTGRES.items() if name not in OF_OUR_OWN_MACHINE}
    assert told.keys() == ours.keys()
    assert {name for name in told if told[name] != ours[name]} == OF_A_LARGER_ONE


def test_no_accepted_order_is_lost_with_a_primary():
    cluster = of_kind(rendered("production"), "Cluster")["postgres"]["spec"]

    assert cluster["instances"] == 3
    assert cluster["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
        "failoverQuorum": True,
    }
    assert cluster["affinity"]["podAntiAffinityType"] == "required"


def test_the_owner_may_make_roles_and_is_no_superuser():
    cluster = of_kind(rendered("production"), "Cluster")["postgres"]["spec"]

    assert cluster["bootstrap"]["initdb"]["owner"] == cluster["bootstrap"]["initdb"]["database"] == "ordermill"
    assert cluster["bootstrap"]["initdb"]["postInitSQL"] == ["ALTER ROLE ordermill CREATEROLE"]
    assert cluster["enableSuperuserAccess"] is False


def test_backups_go_to_a_store_that_is_there():
    manifests = rendered("production")
    [plugin] = of_kind(manifests, "Cluster")["postgres"]["spec"]["plugins"]
    [nightly] = of_kind(manifests, "ScheduledBackup").values()

    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"]["barmanObjectName"] in of_kind(manifests, "ObjectStore")
    assert nightly["spec"]["pluginConfiguration"]["name"] == plugin["name"]
    assert nightly["spec"]["cluster"]["name"] == "postgres"


def test_rabbitmq_has_a_majority_and_loads_the_definitions_that_are_made(secrets):
    broker = of_kind(rendered("production"), "RabbitmqCluster")["rabbitmq"]["spec"]
    pod = broker["override"]["statefulSet"]["spec"]["template"]["spec"]
    [mount], [volume] = pod["containers"][0]["volumeMounts"], pod["volumes"]
    [item] = volume["secret"]["items"]

    assert broker["replicas"] == 3
    assert f"load_definitions = {mount['mountPath']}/{item['path']}\n" in broker["rabbitmq"]["additionalConfig"]
    assert f"max_message_size = {MESSAGE_BYTES}\n" in broker["rabbitmq"]["additionalConfig"]
    made = of_kind(secrets, "Secret")
    assert item["key"] in contents(made[volume["secret"]["secretName"]])
    assert broker["secretBackend"]["externalSecret"]["name"] in made
    assert broker["image"] == composed.services()["rabbitmq"]["image"]


def test_rabbitmq_is_restarted_by_a_release_that_changes_what_it_reads_while_it_boots(tmp_path):
    broker = of_kind(rendered("production"), "RabbitmqCluster")["rabbitmq"]["spec"]

    noted = broker["override"]["statefulSet"]["spec"]["template"]["metadata"]["annotations"]

    assert noted == {"ordermill/reads": broker_reads.in_letters(State.open(tmp_path))}


def queues_of_nobody(manifests):
    """Scaled workers whose queue is not the one that they read."""
    found = pods(manifests, "Deployment")
    read = {name: pod.process["args"][1] for name, pod in found.items() if "worker" in pod.process["args"]}
    heard = {service for service, topics in listeners().items() if topics}
    return {
        name: trigger["metadata"]["queueName"]
        for name, spec in scaled(manifests).items()
        for trigger in spec["triggers"]
        if trigger["type"] == "rabbitmq" and trigger["metadata"]["queueName"] not in heard & {read.get(name)}
    }


def test_workers_are_scaled_on_the_queue_that_they_read():
    manifests = rendered("production")
    hearing = {f"{service.replace('_', '-')}-worker" for service, topics in listeners().items() if topics}

    found = scaled(manifests)

    assert {name for name in found if name.endswith("worker")} == hearing
    assert set(found) == set(pods(manifests, "Deployment")) - {"auditor", "auth-service-worker"}
    assert queues_of_nobody(manifests) == {}
    values = {trigger["metadata"]["value"] for name in hearing for trigger in found[name]["triggers"]}
    assert values == {str(PREFETCH)}


def test_where_the_shop_is_tried_nothing_scales_and_one_server_is_enough():
    manifests = rendered("dev")

    assert {manifest["kind"] for manifest in manifests if manifest["apiVersion"].startswith("keda")} == set()
    assert of_kind(manifests, "Cluster")["postgres"]["spec"]["instances"] == 1
    assert "synchronous" not in of_kind(manifests, "Cluster")["postgres"]["spec"]["postgresql"]
    assert of_kind(manifests, "RabbitmqCluster")["rabbitmq"]["spec"]["replicas"] == 1


def test_a_queue_that_nobody_reads_is_noticed():
    manifests = rendered("production")
    [trigger] = scaled(manifests)["order-service-worker"]["triggers"]

    for wrong in ("order-service", "payment_service"):
        trigger["metadata"]["queueName"] = wrong
        assert queues_of_nobody(manifests) == {"order-service-worker": wrong}


def test_keda_asks_as_the_service_itself(secrets):
    made = of_kind(secrets, "Secret")
    manifests = rendered("production")

    for name, spec in scaled(manifests).items():
        for trigger in spec["triggers"]:
            if trigger["type"] == "rabbitmq":
                about = of_kind(manifests, "TriggerAuthentication")[trigger["authenticationRef"]["name"]]
                [asked] = about["spec"]["secretTargetRef"]
                address = contents(made[asked["name"]])[asked["key"]]
                assert address.startswith(f"amqp://{name.removesuffix('-worker').replace('-', '_')}:")
                assert address.endswith("@rabbitmq.ordermill.svc:5672/")


def connections(manifests):
    """Those that all pods hold at most, with one more of each Deployment while they are replaced."""
    at_most = {name: spec["maxReplicaCount"] for name, spec in scaled(manifests).items()}
    deployed = of_kind(manifests, "Deployment")
    count = {name: at_most.get(name, one["spec"].get("replicas", 1)) + 1 for name, one in deployed.items()}
    pool = {s.replace("_", "-"): load(s).settings.model_fields["database_connections"].default for s in SERVICES}
    return sum(count[name] * (pool[service] + BESIDE_THE_POOL) for name, service in _of_services(deployed, pool))


def _of_services(deployed, services):
    return [(name, service) for name in deployed for service in services if name.startswith(f"{service}-")]


def test_all_pods_at_once_find_room_in_the_database():
    manifests = rendered("production")
    room = int(of_kind(manifests, "Cluster")["postgres"]["spec"]["postgresql"]["parameters"]["max_connections"])

    assert connections(manifests) <= room - KEPT_BY_OPERATOR
    more = copy.deepcopy(manifests)
    scaled(more)["order-service-worker"]["maxReplicaCount"] = 60
    assert connections(more) > room
