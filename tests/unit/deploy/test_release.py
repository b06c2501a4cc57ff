"""A release: of what is committed, the same bytes each time, with a bill of materials that names no registry."""

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from zipfile import ZipFile

import pytest

from chassis.health import release as running
from tests.support.composed import ROOT

SECTION = re.compile(rf"^## \[{re.escape(running())}\].*$", re.MULTILINE)
REGISTRIES = re.compile(r"https?://(?!cyclonedx\.org/schema/)")


@pytest.fixture(scope="module")
def releasing():
    spec = importlib.util.spec_from_file_location("release", ROOT / "deploy/release.py")
    module = sys.modules["release"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["release"]


def git(folder, *words):
    """What git says in a folder, without settings of this machine; commits are made in 2020."""
    told = {"GIT_COMMITTER_DATE": "2020-02-02T02:02:02Z", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.environ["PATH"]}
    argv = [str(shutil.which("git")), "-c", "user.name=a", "-c", "user.email=a@b.example", *words]
    return subprocess.run(argv, cwd=folder, env=told, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
    """A repository with what a release needs, in one commit."""
    folder = tmp_path / "checkout"
    (folder / "ordermill").mkdir(parents=True)
    (folder / "ordermill/__init__.py").write_text("x = 1\n")
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock", "CHANGELOG.md"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    changes = (folder / "CHANGELOG.md").read_text()
    (folder / "CHANGELOG.md").write_text(SECTION.sub(f"## [{running()}] - 2020-02-02", changes))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def made(releasing, checkout, folder):
    folder.mkdir()
    names = releasing.make(releasing.committed(checkout, folder), checkout, folder / "dist")
    return {name: (folder / "dist" / name).read_bytes() for name in names}


def test_what_is_built_twice_is_the_same_and_its_digests_are_told(releasing, checkout, tmp_path, monkeypatch):
    # given
    monkeypatch.setattr(releasing, "_engine_answers", lambda: False)
    name = f"ordermill-{running()}"

    # when
    first = made(releasing, checkout, tmp_path / "first")
    (checkout / "ordermill/left_over.py").write_text("lies about\n")
    second = made(releasing, checkout, tmp_path / "second")

    # then
    assert list(first) == [f"{name}-py3-none-any.whl", f"{name}.cdx.json", f"{name}.tar.gz", "SHA256SUMS"]
    assert [each for each in first if first[each] != second[each]] == []
    told = dict(reversed(line.split("  ")) for line in first.pop("SHA256SUMS").decode().splitlines())
    with ZipFile(io.BytesIO(first[f"{name}-py3-none-any.whl"])) as wheel:
        assert {each.date_time for each in wheel.infolist()} == {(2020, 2, 2, 2, 2, 2)}
    assert told == {each: hashlib.sha256(content).hexdigest() for each, content in first.items()}


def test_the_bill_of_materials_names_what_is_locked_and_no_place(releasing, checkout, tmp_path):
    # given
    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)

    # when
    text = releasing.bill(releasing.committed(checkout, tmp_path))

    # then
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["metadata"]["timestamp"]) == ("CycloneDX", "2020-02-02T02:02:02+00:00")
    assert [(part["name"], part["version"]) for part in bill["components"]] == locked
    assert all(part["externalReferences"][0]["hashes"] for part in bill["components"])
    assert REGISTRIES.findall(text) == []


def test_a_checkout_that_differs_from_its_commit_is_not_released(releasing, checkout):
    (checkout / "README.md").write_text("changed")

    with pytest.raises(releasing.Refused, match="1 files differ"):
        releasing.refuse_changes(checkout)


def test_a_version_that_the_changelog_does_not_know_is_not_released(releasing, checkout, tmp_path):
    # given
    text = (checkout / "pyproject.toml").read_text()
    (checkout / "pyproject.toml").write_text(text.replace(f'version = "{running()}"', 'version = "77.7.7"'))
    git(checkout, "commit", "--quiet", "--all", "--message", "next")

    # then
    with pytest.raises(releasing.Refused, match=r"no section of version 77\.7\.7"):
        releasing.committed(checkout, tmp_path)


def test_a_version_whose_section_has_no_day_is_not_released(releasing, checkout, tmp_path):
    # given
    text = (checkout / "CHANGELOG.md").read_text()
    (checkout / "CHANGELOG.md").write_text(SECTION.sub(f"## [{running()}] - Unreleased", text))
    git(checkout, "commit", "--quiet", "--all", "--message", "not yet")

    # then
    with pytest.raises(releasing.Refused, match=r"on which day") as refused:
        releasing.committed(checkout, tmp_path)
    assert re.search(rf"## \[{re.escape(running())}\] - \d{{4}}-\d\d-\d\d$", refused.value.args[1])


def test_the_version_is_said_in_one_place():
    said = re.compile(rf"(?<![\d.]){re.escape(running())}(?![\d.]*\d)")
    files = git(ROOT, "ls-files", "-z").split("\0")
    texts = [ROOT / name for name in files if name and not name.endswith((".lock", "CHANGELOG.md"))]

    assert [str(file.relative_to(ROOT)) for file in texts if file.is_file() and said.search(file.read_text())] == [
        "pyproject.toml"
    ]
