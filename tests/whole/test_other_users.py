"""Another user of the machine, for real: as a client of a daemon that a group shares, and in the place of a daemon."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.errors import Impostor
from agentd.serving.client import Client
from tests.daemons import DEADLINE, DaemonProcess
from tests.house import next_answer
from tests.other_user import GROUP

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; .ci/run does")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user reaches, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="agentd-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def shared(public: Path) -> Path:
    """A directory in which every user may write."""
    public.chmod(0o777)
    return public


async def other_user(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.other_user", *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )


@pytest.fixture
def run(public: Path) -> Path:
    """A runtime directory of a group, as systemd makes it."""
    folder = public / "run"
    folder.mkdir()
    os.chown(folder, 0, GROUP)
    folder.chmod(0o2750)
    return folder


@pytest.fixture
def note(public: Path) -> Path:
    path = public / "config.toml"
    path.write_text('api_key = "SK-OWNER"  # the zebrakey of the owner')
    path.chmod(0o600)
    return path


async def test_another_user_of_the_socket_s_group_has_what_is_theirs_and_nothing_else(
    public: Path, run: Path, note: Path
) -> None:
    async with DaemonProcess(public / "state", environment={"RUNTIME_DIRECTORY": str(run)}) as daemon:
        async with daemon.client() as owner:
            async for _ in owner.ingest([note]):
                pass
            session = (await owner.open("diary")).session
            await owner.post(session, "What is the zebrakey?")
            answer = await next_answer(owner)
            await owner.ack(answer.id)
            assert "SK-OWNER" in answer.text
        asking = await other_user("asks", str(run / "agentd.sock"), str(note))
        async with asyncio.timeout(4 * DEADLINE):
            output, _ = await asking.communicate()
    told = json.loads(output)
    assert (told["sessions"], told["history"], told["status"]) == ([], [], ["daemon", "model", "problems", "yours"])
    assert "SK-OWNER" not in output.decode()
    assert "--upload" in told["ingest"]
    for name in ("model", "letters", "hand_over"):
        assert told[name].startswith("forbidden: ") and "owner" in told[name]
    assert "--upload" in told["answer"]


async def test_nothing_is_sent_to_another_user_who_listens_where_a_daemon_should(shared: Path) -> None:
    path = shared / "agentd.sock"
    listening = await other_user("answers", str(path))
    assert listening.stdout is not None
    async with asyncio.timeout(4 * DEADLINE):
        assert await listening.stdout.readline() == b"listening\n"
        with pytest.raises(Impostor, match=r"is served by nobody \(uid 65534\)"):
            await Client.connect(path)
        output, _ = await listening.communicate()
    assert json.loads(output) == ""
