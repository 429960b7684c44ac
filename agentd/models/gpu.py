"""Whether llama.cpp, as it is installed, finds a GPU here; asked in a process of its own, which native code may end."""

from __future__ import annotations

import os
import subprocess
import sys

from agentd.limits import child_environment

SECONDS = 30.0
_ASK = "import sys; from agentd.models.llama.native import finds_gpu; sys.exit(0 if finds_gpu() else 3)"
_FOUND, _NONE = 0, 3


def gpu_found() -> bool | None:
    """None where llama.cpp cannot say: it does not run on this machine. Blocks for as long as its import takes."""
    try:
        asked = subprocess.run(
            [sys.executable, "-P", "-c", _ASK],
            env=child_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return {_FOUND: True, _NONE: False}.get(asked.returncode)
