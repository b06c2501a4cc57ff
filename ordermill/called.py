"""How this program was called, so that a mend can be copied as it stands."""

import re
import shutil
import sys
from pathlib import Path

_NAMED = re.compile(r"(?<![\w/.-])ordermill(?= [a-z])")


def called() -> str:
    """What to type for `ordermill` here: that, where a shell finds it, else where the script is."""
    script = Path(sys.executable).parent / "ordermill"
    found = shutil.which("ordermill")
    if not script.exists() or (found and Path(found).samefile(script)):
        return "ordermill"
    return str(script.relative_to(Path.cwd()) if Path.cwd() in script.parents[1:] else script)


def as_called(text: str) -> str:
    """A text in which every command of ours is written as it can be typed here."""
    return _NAMED.sub(called(), text)
