"""A handful of kills in turns that call tools, and what counts as a call that ran twice."""

from __future__ import annotations

import subprocess
import sys

from tests.prover import prove

FORGETFUL = """
import random, sys, tempfile
from pathlib import Path
from agentd.host.files import OsFiles
from tests.prove import calls

class Forgetful(calls.PendingDirectory):
    async def stepped(self, turn_id, steps, *, durable):
        pass

calls.PendingDirectory = Forgetful
calls.DyingFiles = lambda death: OsFiles()  # only what the tool does, and the commits, are operations then
with tempfile.TemporaryDirectory() as folder:
    rounds = calls.Rounds(Path(folder), random.Random(1))
    at = 1
    while not rounds.totals["run twice"] and rounds.round(at, waits=False):
        at += 1
    print(rounds.totals["run twice"])
"""


def test_a_few_kills_run_no_call_twice() -> None:
    shown = prove("calls", CALL_KILLS="4")
    assert "run twice 0" in shown and "told wrongly 0" in shown and "kills 0" not in shown


def test_a_turn_that_does_not_note_what_it_does_is_noticed() -> None:
    found = subprocess.run(
        [sys.executable, "-c", FORGETFUL], stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    assert int(found.stdout) > 0
