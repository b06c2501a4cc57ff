"""The pods of deploy/k8s: what runs in each, what it is told in variables and in files, and who may reach whom."""

import os
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.kubernetes import Manifest, contents

SECRETS = "/run/secrets"
OUTSIDE = "203.0.113.7"  # an address for documents: nobody's


class NotThere(Exception):
    """A pod asks for what nobody has made: it would never start."""


class Pod(NamedTuple):
    """A pod as its owner, a Deployment or a Job, describes it."""

    name: str
    labels: dict[str, str]
    spec: Manifest

    @property
    def process(self) -> Manifest:
        """The container that serves, or does the last step."""
        [container] = self.spec["containers"]
        found: Manifest = container
        return found

    @property
    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def of_kind(manifests: Iterable[Manifest], kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def pods(manifests: list[Manifest], *kinds: str) -> dict[str, Pod]:
    """By the name of their owner; of Deployments and of Jobs unless it is said which."""
    owners = (of_kind(manifests, kind) for kind in kinds or ("Deployment", "Job"))
    return {name: _pod(name, owner["spec"]["template"]) for found in owners for name, owner in found.items()}


def _pod(name: str, template: Manifest) -> Pod:
    return Pod(name, template["metadata"]["labels"], template["spec"])


def files(pod: Pod, secrets: list[Manifest]) -> dict[str, str]:
    """What it finds in /run/secrets. Raises NotThere for a Secret or a key that is not there."""
    mounts = {mount["mountPath"]: mount["name"] for mount in pod.process.get("volumeMounts", ())}
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    found: dict[str, str] = {}
    for source in _sources(volumes[mounts[SECRETS]]) if SECRETS in mounts else ():
        found |= _read(source, of_kind(secrets, "Secret"))
    return found


def _sources(volume: Manifest) -> list[Manifest]:
    if "projected" in volume:
        return [source["secret"] for source in volume["projected"]["sources"]]
    return [volume["secret"] | {"name": volume["secret"]["secretName"]}]


def _read(source: Manifest, secrets: dict[str, Manifest]) -> dict[str, str]:
    if source["name"] not in secrets:
        raise NotThere(source["name"])
    there = contents(secrets[source["name"]])
    wanted = {item["key"]: item["path"] for item in source.get("items", ())} or {name: name for name in there}
    if missing := set(wanted) - set(there):
        raise NotThere(source["name"], *missing)
    return {path: there[key] for key, path in wanted.items()}


def environment(pod: Pod, manifests: list[Manifest]) -> dict[str, str]:
    """The variables of its process."""
    maps = of_kind(manifests, "ConfigMap")
    told: dict[str, str] = {}
    for source in pod.process.get("envFrom", ()):
        told |= maps[source["configMapRef"]["name"]]["data"]
    return told


def step_into(pod: Pod, manifests: list[Manifest], secrets: list[Manifest], folder: Path, patch: pytest.MonkeyPatch):
    """This process sees what the pod's would."""
    for variable in [variable for variable in os.environ if variable.startswith("ORDERMILL_")]:
        patch.delenv(variable)
    for variable, value in environment(pod, manifests).items():
        patch.setenv(variable, value)
    for name, content in files(pod, secrets).items():
        (folder / name).write_text(content)
    patch.setenv("ORDERMILL_SECRETS_DIR", str(folder))


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector means what has these labels."""
    equal = selector.get("matchLabels", {}).items() <= labels.items()
    return equal and all(
        (labels.get(one["key"]) in one["values"]) == (one["operator"] == "In")
        for one in selector.get("matchExpressions", ())
    )


class Place(NamedTuple):
    """A pod of the namespace, or of another one, or an address."""

    name: str
    labels: dict[str, str] | None = None
    namespace: str | None = None


Way = tuple[str, str, int]


def ways(manifests: list[Manifest], places: list[Place], ports: Iterable[int]) -> set[Way]:
    """Who reaches whom at which port, by the network policies. Places that are not ours let everybody in and out."""
    policies = [policy["spec"] for policy in of_kind(manifests, "NetworkPolicy").values()]
    out, into = ({each.name: _rules(policies, each, way) for each in places} for way in ("egress", "ingress"))
    return {
        (source.name, target.name, port)
        for source, target, port in product(places, places, ports)
        if (source.labels is not None or target.labels is not None)
        and _lets(out[source.name], target, port, "to")
        and _lets(into[target.name], source, port, "from")
    }


def _rules(policies: list[Manifest], mine: Place, way: str) -> list[Manifest] | None:
    """What lets anybody in, or out; None where no policy is about it, and so nothing is kept away."""
    about = [
        policy
        for policy in policies
        if mine.labels is not None
        and way.capitalize() in policy["policyTypes"]
        and selects(policy["podSelector"], mine.labels)
    ]
    return [rule for policy in about for rule in policy.get(way, ())] if about else None


def _lets(rules: list[Manifest] | None, other: Place, port: int, side: str) -> bool:
    return rules is None or any(_is_at(rule, port) and _means(rule.get(side), other) for rule in rules)


def _is_at(rule: Manifest, port: int) -> bool:
    return port in [one["port"] for one in rule["ports"]]


def _means(peers: list[Any] | None, place: Place) -> bool:
    return peers is None or any(_is(peer, place) for peer in peers)


def _is(peer: Manifest, place: Place) -> bool:
    if "ipBlock" in peer:
        return place.labels is None and place.namespace is None and _within(peer["ipBlock"])
    if "namespaceSelector" in peer:
        return selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": place.namespace or ""})
    return place.labels is not None and selects(peer["podSelector"], place.labels)


def _within(block: Manifest) -> bool:
    address = ip_address(OUTSIDE)
    inside: Iterator[bool] = (address in ip_network(one) for one in block.get("except", ()))
    return address in ip_network(block["cidr"]) and not any(inside)
