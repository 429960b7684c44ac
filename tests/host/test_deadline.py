"""A process that does not end is ended, with a word on what held it up."""

from __future__ import annotations

import signal
import subprocess
import sys

from agentd.host.deadline import EXIT_CODE

HANGING = """
import threading
from agentd.host.deadline import Deadline

def hang_in_the_disk():
    threading.Event().wait()

threading.Thread(target=hang_in_the_disk, name="pending 7").start()
deadline = Deadline()
deadline.arm(3600)
deadline.arm(0.1)
"""
COMPUTING = """
import ctypes
from agentd.host.deadline import Deadline

Deadline().arm(0.1)
ctypes.PyDLL(None).sleep(3600)
"""
IN_TIME = """
import signal
from agentd.host.deadline import Deadline

deadline = Deadline()
deadline.disarm()
deadline.arm(0.5)
deadline.disarm()
print(signal.getitimer(signal.ITIMER_REAL))
"""


def ended(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_a_thread_that_hangs_is_named_and_left() -> None:
    done = ended(HANGING)
    assert done.returncode == EXIT_CODE
    assert "end within 0.1 s" in done.stderr
    assert "pending 7: wait (threading.py" in done.stderr and "hang_in_the_disk" in done.stderr


def test_a_thread_that_keeps_the_interpreter_ends_with_the_process() -> None:
    assert ended(COMPUTING).returncode == -signal.SIGALRM


def test_what_ended_in_time_goes_on() -> None:
    done = ended(IN_TIME)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(0.0, 0.0)\n", "")
