"""`agentd docs`, beside a daemon and without one."""

from __future__ import annotations

import asyncio
import json
import pwd
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.cli.docs import listed, named
from agentd.clock import SystemClock
from agentd.records import OWNER
from agentd.retrieval.ingest import DocumentIngest
from agentd.storage.store import Store, load_migrations
from tests.house import running


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder with one note, which the state directory `s` beside it has read."""
    (folder := tmp_path / "notes").mkdir()
    (folder / "otters.md").write_text("# Otters\n\nAn otter sleeps on its back.\n")
    (tmp_path / "s").mkdir(0o700)

    async def read() -> None:
        async with Store(tmp_path / "s" / "documents.db", load_migrations("agentd.retrieval")) as store:
            async for _ in DocumentIngest(store, SystemClock()).ingest([folder], OWNER):
                pass

    asyncio.run(read())
    return folder


def docs(state: Path, *arguments: str) -> int:
    return main(["docs", *arguments, "--state-dir", str(state)])


def test_a_folder_is_shared_listed_and_shared_no_longer_without_a_daemon(
    notes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = notes.parent / "s"
    monkeypatch.chdir(notes.parent)
    assert docs(state, "shares") == 0
    assert "agentd docs share PATH" in capsys.readouterr().out
    assert docs(state, "share", "notes", "--with", "everyone") == 0
    assert f"{notes} is shared with everyone: 1 document, " in capsys.readouterr().out
    assert docs(state, "share", "notes", "--with", "person:ann", "--json") == 0
    assert json.loads(capsys.readouterr().out)["shares"][0]["whom"] == "person:ann"
    assert docs(state, "shares") == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:3] for row in rows] == [[str(notes), "everyone", "1"], [str(notes), "person:ann", "1"]]
    assert docs(state, "unshare", "notes", "--with", "person:ben") == 1
    assert "agentd docs shares" in capsys.readouterr().err
    assert docs(state, "unshare", "notes") == 0
    assert capsys.readouterr().out.count(" no longer\n") == 2
    assert docs(state, "share", "nowhere", "--with", "everyone") == 1
    assert docs(state, "share", "notes", "--with", "user:no-such-user-here") == 2
    assert docs(state, "share", "notes") == 2


async def test_beside_a_daemon_it_shares_for_the_next_question(notes: Path) -> None:
    async with running(notes.parent / "s") as house, house.client() as client:
        command = ["share", str(notes), "--with", "everyone"]
        assert await asyncio.to_thread(docs, notes.parent / "s", *command) == 0
        (share,) = (await client.share("list")).shares
        assert (share.path, share.whom) == (str(notes), "everyone")


def test_a_user_of_the_machine_is_shown_with_a_name() -> None:
    assert named("user:0") == f"user:0 ({pwd.getpwuid(0).pw_name})"
    assert (named("user:99999999999999"), named("person:0"), named("everyone")) == (
        "user:99999999999999",
        "person:0",
        "everyone",
    )
    assert len(listed([])) == 1
