"""What this process is told from outside: files in the folder that ORDERMILL_SECRETS_DIR names, and its environment.

For commands, which look for single variables; a service reads the same as its Settings (chassis/settings.py).
"""

import os
from collections.abc import Mapping
from pathlib import Path

PREFIX = "ORDERMILL_"


def variables() -> Mapping[str, str]:
    """Variables of the environment, and those that a file stands for; where there are both, the environment's."""
    folder = os.environ.get("ORDERMILL_SECRETS_DIR")
    files = Path(folder).glob(f"{PREFIX}*") if folder else ()
    return {**{file.name: file.read_text().strip() for file in files}, **os.environ}
