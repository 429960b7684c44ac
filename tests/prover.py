"""Runs parts of the proof in a process of their own, as a user does: they fork, and a process with threads may not."""

from __future__ import annotations

import os
import subprocess
import sys


def prove(*parts: str, **environment: str) -> str:
    """What it printed; it must not have found anything wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.prove", *parts],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout
