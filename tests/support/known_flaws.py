"""Whether a flaw is known of what `requirements.lock` names, as a step of `make test`: `not audited` where nobody says.

A flaw fails the step. That the database of flaws cannot be asked does not: a build must not depend on a network.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements.lock"
WITHIN = 120
_PACKAGE = re.compile(r"^[^\s#-].*?(?=^[^\s#-]|\Z)", re.DOTALL | re.MULTILINE)
NOT_AUDITED = "known flaws: not audited, the database of flaws does not answer about"


def main(lock: Path = LOCK, auditor: Sequence[str] = (sys.executable, "-m", "pip_audit")) -> int:
    """Asks about one package first: where nobody answers, the others need not be asked about."""
    first, *_ = _PACKAGE.findall(lock.read_text())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as single:
        single.write(first)
        single.flush()
        code, said = verdict(_report(auditor, Path(single.name)))
    if NOT_AUDITED not in said:
        code, said = verdict(_report(auditor, lock))
    sys.stdout.write(f"{said}\n")
    return code


def verdict(report: str) -> tuple[int, str]:
    """The exit code for a report of pip-audit, and what to say."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return 0, f"{NOT_AUDITED} anything"
    flaws = [f"{each['name']} {each['version']}: {flaw['id']}" for each in packages for flaw in each.get("vulns", ())]
    if flaws:
        return 1, "\n".join(["known flaws:", *flaws])
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    if unknown:
        return 0, f"{NOT_AUDITED} {', '.join(unknown)}"
    return 0, f"known flaws: none, of {len(packages)} packages"


def _report(auditor: Sequence[str], requirements: Path) -> str:
    argv = [*auditor, "--disable-pip", "--require-hashes", "--format", "json", "--requirement", str(requirements)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=WITHIN, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
