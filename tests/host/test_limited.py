"""What a child does to itself; what the limits do then is tried in test_limits.py."""

from __future__ import annotations

import asyncio
import json
import os
import sys

APPLY = """
import resource
from agentd.host.limited import apply
apply(memory=None, processor=None, files=50, file_size=None)
apply(memory=None, processor=7, files=60, file_size=None)
kinds = (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_CORE)
print(*(resource.getrlimit(kind) for kind in kinds))
"""


async def said(*command: str) -> tuple[str, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await child.communicate()
    return out.decode().strip(), err.decode().strip()


async def test_a_limit_is_a_hard_one_and_does_not_rise_above_what_this_process_may() -> None:
    assert await said("-c", APPLY) == ("(50, 50) (7, 8) (0, 0)", "")


async def test_a_child_whose_parent_is_gone_does_not_begin() -> None:
    limits = json.dumps({"memory": None, "processor": None, "files": None, "file_size": None})
    out, err = await said("-m", "agentd.host.limited", "this", str(os.getpid() + 1), limits)
    assert out == "" and err.endswith(" gone")
    out, err = await said("-m", "agentd.host.limited", "this", str(os.getpid()), limits)
    assert out.startswith("The Zen of Python")
