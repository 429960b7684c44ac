"""Whether llama.cpp, as it is installed, finds a GPU here; a separate process looks, because native code may crash."""

from __future__ import annotations

import os
import subprocess
import sys

from agentd.host.limits import ChildLimits, child_environment, command

MODULE = "agentd.models.gpu"
SECONDS = 30.0
LIMITS = ChildLimits(processor=30, files=1024, file_size=1 << 30)
"""There is no limit on memory, because the libraries of a GPU map more than they use."""
_FOUND, _NONE = 0, 3


def gpu_found() -> bool | None:
    """None if llama.cpp does not run on this machine. Blocks for as long as its import takes."""
    try:
        asked = subprocess.run(
            command(MODULE, (), LIMITS),
            env=child_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return {_FOUND: True, _NONE: False}.get(asked.returncode)


if __name__ == "__main__":
    from agentd.models.llama.native import finds_gpu

    sys.exit(_FOUND if finds_gpu() else _NONE)
