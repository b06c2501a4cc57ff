"""deploy/k8s as a cluster would be told it: rendered by kustomize, and held to the schemas of what it names."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy/k8s"
KUBECTL = Path(sys.executable).with_name("kubectl")
VERSION = "1.34"
OVERLAYS = ("dev", "production")
# What a person writes beside the secrets that are made.
BY_HAND = {"provider": "ORDERMILL_PROVIDER_URL", "mail": "ORDERMILL_SMTP_URL", "backups": "ACCESS_KEY_ID"}
OTHERS = ROOT / "tests/unit/deploy/custom_resources.yaml"

Manifest = dict[str, Any]


def rendered(overlay: str) -> list[Manifest]:
    """The resources of an overlay; each caller has copies of their own."""
    return _read(_kustomized(overlay))


@cache
def _kustomized(overlay: str) -> str:
    return _output(str(KUBECTL), "kustomize", str(K8S / overlay))


def secrets(folder: Path) -> list[Manifest]:
    """What deploy/k8s/secrets.sh makes of a folder."""
    told = {
        "PATH": f"{KUBECTL.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ORDERMILL": f"{sys.executable} -m ordermill",
    }
    return _read(_output(str(K8S / "secrets.sh"), str(folder), env=told))


def contents(secret: Manifest) -> dict[str, str]:
    """What a process reads in a Secret."""
    return {name: base64.b64decode(value).decode() for name, value in secret.get("data", {}).items()}


def _output(*command: str, env: dict[str, str] | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


def _read(text: str) -> list[Manifest]:
    return [manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest]


def flaws(manifests: list[Manifest]) -> list[str]:
    """What the schemas of Kubernetes and of the operators refuse."""
    return [f"{name_of(manifest)}: {flaw}" for manifest in manifests for flaw in _flaws(manifest)]


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _flaws(manifest: Manifest) -> Iterator[str]:
    kind = f"{manifest['apiVersion']}/{manifest['kind']}"
    if kind in _of_others():
        for flaw in _validator(kind).iter_errors(manifest):
            yield f"{flaw.json_path}: {flaw.message}"
        return
    try:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as flaw:
        yield f"{flaw.json_path}: {flaw.message}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{kind}: nobody knows this kind"


@cache
def _of_others() -> Manifest:
    kinds: Manifest = yaml.safe_load(OTHERS.read_text())
    return kinds


@cache
def _validator(kind: str) -> Any:
    """Of a kind that is not Kubernetes' own: what every resource has, and its own spec."""
    metadata = {"$ref": f"{_definitions().id()}#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    schema = {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {"apiVersion": {}, "kind": {}, "metadata": metadata, "spec": _of_others()[kind]},
    }
    return jsonschema.Draft202012Validator(schema, registry=_definitions() @ Registry())


@cache
def _definitions() -> Any:
    """Kubernetes' own types, which the schemas of others refer to."""
    folder = Path(kubernetes_validate.__file__).parent / f"kubernetes-json-schema/v{VERSION}.0-local-strict"
    return Resource.from_contents(yaml.load((folder / "_definitions.json").read_text(), yaml.CSafeLoader))
