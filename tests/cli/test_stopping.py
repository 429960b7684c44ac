"""SIGTERM ends the daemon within its two limits, whatever hangs, and nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.errors import AgentdError
from agentd.host.deadline import EXIT_CODE
from agentd.serving.client import Client
from tests.daemons import DaemonProcess
from tests.house import next_answer

LIMITS = ("--set", "daemon.grace=0.5", "--set", "daemon.hard_limit=0.5")


def hanging(tmp_path: Path) -> DaemonProcess:
    environment = {"HANGING_AT": str(tmp_path / "hangs")}
    return DaemonProcess(tmp_path / "s", *LIMITS, program="tests.hanging_daemon", environment=environment)


async def post(client: Client, session: str, text: str) -> None:
    """Offered to a disk that hangs, so that nobody ever says whether it was taken."""
    try:
        await client.post(session, text)
    except AgentdError:
        return


@pytest.mark.parametrize("what", ["sync", "commit", "loop", "interpreter"])
async def test_what_hangs_does_not_hold_up_the_end(tmp_path: Path, what: str) -> None:
    async with hanging(tmp_path) as daemon:
        async with daemon.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            await client.ack((await next_answer(client)).id)
            (tmp_path / "hangs").write_text(what)
            lost = asyncio.create_task(post(client, session, "once more"), name="a message for what hangs")
            if what != "interpreter":
                assert daemon.process.stdout is not None
                assert (await daemon.process.stdout.readline()).startswith(f"{what} hangs".encode())
            code = await daemon.end(signal.SIGTERM)
            await lost
        assert code == (-signal.SIGALRM if what == "interpreter" else EXIT_CODE)
        if what != "interpreter":
            assert "end within 1 s" in daemon.log.read_text()
    (tmp_path / "hangs").unlink()
    async with hanging(tmp_path) as daemon, daemon.client() as client:
        told = (await client.open(session, history=10)).history
        assert [message.text for message in told[:1]] == ["hello"]


FOLLOWING = """
import asyncio, signal
from agentd.cli.stopping import StopSignals

async def main():
    over = asyncio.Event()

    def asked(name):
        print(name, flush=True)
        if name == "SIGTERM":
            over.set()

    StopSignals(grace=60, hard_limit=60).follow(asked)
    print("ready", flush=True)
    await over.wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_closes_asks_once_and_not_at_all_under_nohup(ignored: bool) -> None:
    """The shell and the kernel both send SIGHUP, and only a person who asks again is in a hurry."""
    begin = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" if ignored else ""
    said = []
    with subprocess.Popen([sys.executable, "-c", begin + FOLLOWING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        if not ignored:
            said.append(process.stdout.readline().strip())
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        said += process.stdout.read().split()
    assert said == (["SIGTERM"] if ignored else ["SIGHUP", "SIGTERM"])
    assert process.returncode == 0
