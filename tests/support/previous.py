"""The previous version of our own code: what was released last, as files that run beside what is in the checkout."""

import subprocess
import sys
from pathlib import Path
from shutil import which

ROOT = Path(__file__).parents[2]
# Until something is released: before auth_service got five migrations, and processes and events much that is new.
BEFORE = "21c3baad3b96a57bfac14783039f66b3d8ab0da1"


def unpacked(folder: Path) -> Path:
    """The files of the version before this one, in a folder."""
    folder.mkdir(parents=True)
    packed = folder.with_suffix(".tar")
    _git("archive", "--format=tar", f"--output={packed}", commit())
    subprocess.run([str(which("tar")), "--extract", "--file", str(packed)], cwd=folder, check=True)
    return folder


def commit() -> str:
    """The last release that is not this one, else a commit that we chose, else the oldest of a shallow clone."""
    released = _git("tag", "--list", "v*", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-version:refname")
    for candidate in (*released.split()[:1], BEFORE):
        if _is_here(candidate):
            return candidate
    oldest = _git("rev-list", "HEAD").split()[-1]
    sys.__stderr__.write(f"\nthis clone has no previous version; {oldest[:7]}, its oldest commit, stands in for it\n")
    return oldest


def _is_here(name: str) -> bool:
    asked = ["cat-file", "-e", f"{name}^{{commit}}"]
    return subprocess.run([str(which("git")), *asked], cwd=ROOT, capture_output=True, check=False).returncode == 0


def _git(*words: str) -> str:
    asked = [str(which("git")), *words]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
