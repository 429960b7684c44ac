"""What an attack of long messages does to waiting and to memory is seen by tests/hostile/test_hostile.py."""

from __future__ import annotations

import subprocess
import sys

HEAP = """
import re, sys, threading
from agentd.host.threads import share
share()
barrier = threading.Barrier(8)
def work():
    barrier.wait()
    held.append(b"".join([bytes(70_000)]))
    barrier.wait()
held = []
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
# An arena that is not the first one is a mapping of 64 MiB, most of it reserved (malloc(3)).
maps = open("/proc/self/maps").read()
sizes = [int(end, 16) - int(start, 16) for start, end in re.findall(r"(\\w+)-(\\w+) ---p .* 0 $", maps, re.M)]
print(sys.getswitchinterval(), sum(60 << 20 <= size < 64 << 20 for size in sizes))
"""


def test_threads_take_turns_quickly_and_share_one_arena() -> None:
    said = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["0.001", "0"]
