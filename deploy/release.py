"""`make release`: wheel, sources, bill of materials and image of the last commit, into dist/; the same bytes each time.

Everything is made of what is committed, in a folder of its own: what lies about in a checkout cannot get in.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from pip_requirements_parser import InstallRequirement, RequirementsFile
from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
SUMS = "SHA256SUMS"
DOCKERFILE = "deploy/Dockerfile"
PLACES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


class Refused(Exception):
    """Why there is no release, and what to do about it."""


class Release(NamedTuple):
    """What is released: ``source`` holds the files of the commit, ``epoch`` is its time in seconds since 1970."""

    source: Path
    version: str
    revision: str
    epoch: int

    @property
    def name(self) -> str:
        """What the files are called."""
        return f"ordermill-{self.version}"

    @property
    def environment(self) -> dict[str, str]:
        """What builders are told, so that they put no other time into what they build."""
        return {**os.environ, "SOURCE_DATE_EPOCH": str(self.epoch)}


def main() -> None:
    """Makes the release; one line each for what is made."""
    try:
        refuse_changes(ROOT)
        with tempfile.TemporaryDirectory() as folder:
            release = committed(ROOT, Path(folder))
            for made in make(release, ROOT, ROOT / "dist"):
                sys.stdout.write(f"dist/{made}\n")
    except Refused as refused:
        sys.exit("\n→ ".join(refused.args))


def refuse_changes(checkout: Path) -> None:
    """Raises Refused when the checkout is not what its last commit says."""
    if changed := _git(checkout, "status", "--porcelain", "--untracked-files=no"):
        message = f"{len(changed.splitlines())} files differ from the last commit, which is what is released."
        raise Refused(message, "Commit them first, or put them aside: git stash")


def committed(checkout: Path, folder: Path) -> Release:
    """The release of the last commit, its files below a folder. Raises Refused when the changelog does not know it."""
    source = folder / "source"
    source.mkdir()
    packed = folder / "source.tar"
    _run(*_archive("--format=tar", f"--output={packed}"), cwd=checkout)
    _run("tar", "--extract", "--file", str(packed), cwd=source)
    version = tomllib.loads((source / "pyproject.toml").read_text())["project"]["version"]
    refuse_undated(version, (source / "CHANGELOG.md").read_text())
    return Release(
        source, version, _git(checkout, "rev-parse", "HEAD"), int(_git(checkout, "log", "-1", "--format=%ct"))
    )


def refuse_undated(version: str, changelog: str) -> None:
    """Raises Refused when the changelog has no section of the version, or one without the day of its release."""
    wanted = f"## [{version}] - {datetime.now(UTC):%F}"
    section = re.search(rf"^## \[{re.escape(version)}\](.*)$", changelog, re.MULTILINE)
    if section is None:
        message = f"CHANGELOG.md has no section of version {version}."
        raise Refused(message, f"Say there what has changed, below: {wanted}")
    if not re.fullmatch(r" - \d{4}-\d\d-\d\d", section[1]):
        message = f"CHANGELOG.md does not say on which day version {version} is released."
        raise Refused(message, f"Let its section begin with: {wanted}")


def make(release: Release, checkout: Path, into: Path) -> list[str]:
    """Everything of a release, into a folder that holds nothing else afterwards; the names of the files."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    built = wheel(release, into)
    sources(release, checkout, built, into)
    (into / f"{release.name}.cdx.json").write_text(bill(release))
    if _engine_answers():
        image(release, into)
    else:
        sys.stdout.write("no image: no Docker engine answers here\n")
    files = sorted(into.iterdir())
    (into / SUMS).write_text("".join(f"{_digest(file)}  {file.name}\n" for file in files))
    return [*(file.name for file in files), SUMS]


def wheel(release: Release, into: Path) -> Path:
    """The wheel, by the setuptools that requirements-dev.lock names: nothing is asked for on a network."""
    how = ("--wheel", "--no-build-isolation", "--offline", "--quiet", "--python", sys.executable)
    _run(find_uv_bin(), "build", *how, "--out-dir", str(into), ".", cwd=release.source, env=release.environment)
    (into / ".gitignore").unlink(missing_ok=True)
    return next(into.glob(f"{release.name}-*.whl"))


def sources(release: Release, checkout: Path, built: Path, into: Path) -> None:
    """All that is committed, with what a source distribution says of itself; git puts no time of its own in."""
    about = release.source.parent / "PKG-INFO"
    with ZipFile(built) as packed:
        about.write_bytes(packed.read(f"{release.name}.dist-info/METADATA"))
    prefix = (f"--prefix={release.name}/", f"--add-file={about}")
    _run(*_archive("--format=tar.gz", *prefix, f"--output={into / release.name}.tar.gz"), cwd=checkout)


def bill(release: Release) -> str:
    """The bill of materials in CycloneDX: what requirements.lock names, with the digests that it allows."""
    ours = Component(name="ordermill", version=release.version, type=ComponentType.APPLICATION, bom_ref="ordermill")
    parts = [_part(each) for each in RequirementsFile.from_file(str(release.source / "requirements.lock")).requirements]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:ordermill:{release.version}:{release.revision}")
    bom = Bom(components=parts, serial_number=serial)
    bom.metadata.component = ours
    bom.metadata.timestamp = datetime.fromtimestamp(release.epoch, UTC)
    bom.metadata.properties.add(Property(name="ordermill:revision", value=release.revision))
    bom.dependencies.add(Dependency(ours.bom_ref, [Dependency(part.bom_ref) for part in parts]))
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _part(requirement: InstallRequirement) -> Component:
    """A package by its name, its version, and the digests of its files; it says nothing about where it comes from."""
    version = requirement.get_pinned_version
    url = PackageURL("pypi", name=requirement.name, version=version)
    digests = [
        HashType(alg=HashAlgorithm.SHA_256, content=each.rpartition(":")[2]) for each in requirement.hash_options
    ]
    files = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(url)), hashes=digests)
    where = [Property(name="ordermill:where", value=str(requirement.marker))] if requirement.marker else []
    return Component(
        name=requirement.name,
        version=version,
        purl=url,
        bom_ref=f"{url}#{requirement.marker}" if requirement.marker else str(url),
        external_references=[files],
        properties=where,
    )


def image(release: Release, into: Path) -> None:
    """The image, tagged with the version, as `docker load` takes it."""
    told = {"VERSION": release.version, "REVISION": release.revision, "SOURCE_DATE_EPOCH": str(release.epoch)}
    told |= {name: os.environ[name] for name in PLACES if name in os.environ}
    arguments = [word for name, value in told.items() for word in ("--build-arg", f"{name}={value}")]
    tag = f"ordermill:{release.version}"
    build = ("docker", "build", "--quiet", "--network", "host", "--file", DOCKERFILE)
    _run(*build, *arguments, "--tag", tag, ".", cwd=release.source)
    _run("docker", "save", "--output", str(into / f"{release.name}.image.tar"), tag, cwd=into)


def _engine_answers() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def _archive(*options: str) -> list[str]:
    return ["git", "-c", "tar.umask=0022", "archive", *options, "HEAD"]


def _git(checkout: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()


def _run(*argv: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    """The permissions of files are part of what is built: the umask is always the same."""
    subprocess.run(argv, cwd=cwd, env=env, check=True, stdout=sys.stderr, umask=0o022)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
