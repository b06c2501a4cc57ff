"""The Secrets of a cluster, made as deploy/k8s/README.md says, and a look into a pod."""

import pytest

from tests.support import kubernetes
from tests.support.kubernetes import BY_HAND, rendered
from tests.support.pods import pods, step_into


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    for name, key in BY_HAND.items():
        (folder / "told" / name).mkdir(parents=True)
        (folder / "told" / name / key).write_text("https://psp.example")
    return folder


@pytest.fixture(scope="session")
def secrets(folder):
    return kubernetes.secrets(folder)


@pytest.fixture
def inside(secrets, tmp_path, monkeypatch):
    """What a process sees in its pod."""

    def inside(overlay, name, made=secrets):
        manifests = rendered(overlay)
        step_into(pods(manifests)[name], manifests, made, tmp_path, monkeypatch)

    return inside
