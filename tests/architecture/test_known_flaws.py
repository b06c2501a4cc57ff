"""The step that asks for known flaws fails for a flaw, and for nothing else."""

import json
import sys

import pytest

from tests.support.known_flaws import LOCK, main

SOUND = {"name": "sound", "version": "1", "vulns": []}
FLAWED = {"name": "flawed", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}
AUDITOR = """
import pathlib, re, sys
asked = re.findall("^[a-z].*==", pathlib.Path(sys.argv[-1]).read_text(), re.M)
print({report!r} if len(asked) > 1 else {first!r})
sys.exit(1)
"""


@pytest.fixture
def auditor(tmp_path, first, report):
    path = tmp_path / "auditor.py"
    path.write_text(AUDITOR.format(report=report, first=first))
    return sys.executable, str(path)


def told(*packages):
    return json.dumps({"dependencies": packages})


@pytest.mark.parametrize(
    ("first", "report", "code", "said"),
    [
        (told(SOUND), told(SOUND, SOUND), 0, "known flaws: none, of 2 packages"),
        (told(SOUND), told(SOUND, FLAWED), 1, "flawed 2: PYSEC-1"),
        (told(SOUND), told(SOUND, UNKNOWN, FLAWED), 1, "flawed 2: PYSEC-1"),
        (told(FLAWED), told(FLAWED, SOUND), 1, "flawed 2: PYSEC-1"),
        (told(SOUND), told(SOUND, UNKNOWN), 0, "not audited"),
        (told(UNKNOWN), told(FLAWED), 0, "not audited"),
        ("", told(FLAWED), 0, "not audited"),
        (told(SOUND), "Traceback", 0, "not audited"),
    ],
)
def test_a_flaw_fails_the_step_and_silence_is_called_by_its_name(auditor, capsys, code, said):
    assert main(LOCK, auditor) == code
    assert said in capsys.readouterr().out
