"""Tokens in a real database: who is let in by which secret, until when, and what is kept of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from agentd.errors import NotFound, UsageError
from agentd.ports.tokens import Token, Way
from agentd.records import OWNER, SCOPES, Principal, Scope
from agentd.storage import tokens as module
from agentd.storage.store import Store
from agentd.storage.tokens import MAX_SECRET, PREFIX, Tokens, Wanted
from agentd.testing.clock import FakeClock
from tests.storage.kept import ANN, spoil

HOUR = 3600.0


@pytest.fixture
def tokens(store: Store, clock: FakeClock) -> Tokens:
    return Tokens(store, clock)


async def made(
    tokens: Tokens,
    name: str,
    principal: Principal = OWNER,
    *,
    way: Way = "token",
    scopes: Collection[Scope] = frozenset({"chat"}),
    hours: float | None = None,
) -> tuple[Token, str]:
    life = None if hours is None else timedelta(hours=hours)
    return await tokens.make(Wanted(way=way, name=name, principal=principal, scopes=scopes, life=life))


async def test_a_secret_finds_its_token_and_no_other_one_does(tokens: Tokens) -> None:
    mine, secret = await made(tokens, "laptop", scopes=("events", "chat"))
    other, _ = await made(tokens, "phone", ANN)
    assert await tokens.find(secret) == mine
    assert (mine.name, mine.principal, mine.scopes, mine.used) == ("laptop", OWNER, ("chat", "events"), None)
    assert mine.id != other.id and len(secret) == len(PREFIX) + 43
    for wrong in ("", PREFIX, secret[:-1], secret + "x", secret.swapcase(), secret.removeprefix(PREFIX), "\ud800"):
        assert await tokens.find(wrong) is None
    assert await tokens.find(PREFIX + "x" * MAX_SECRET) is None


async def test_of_a_secret_nothing_is_kept_that_lets_anybody_in(tmp_path: Path, tokens: Tokens) -> None:
    _, secret = await made(tokens, "laptop")
    kept = b"".join(map(Path.read_bytes, [tmp_path / "agentd.db", tmp_path / "agentd.db-wal"]))
    assert secret.encode() not in kept and secret.removeprefix(PREFIX).encode() not in kept


async def test_what_was_revoked_lets_nobody_in_and_gives_its_name_back(tokens: Tokens) -> None:
    first, secret = await made(tokens, "laptop")
    with pytest.raises(UsageError, match="already"):
        await made(tokens, "laptop", ANN)
    revoked = await tokens.revoke("laptop")
    assert revoked.id == first.id and revoked.revoked is not None
    assert await tokens.find(secret) is None
    with pytest.raises(NotFound, match="agentd token list"):
        await tokens.revoke("laptop")
    second, newer = await made(tokens, "laptop")
    assert await tokens.find(newer) == second
    assert {token.id for token in await tokens.list()} == {first.id, second.id}


async def test_what_has_expired_lets_nobody_in_and_gives_its_name_back(tokens: Tokens, clock: FakeClock) -> None:
    _, secret = await made(tokens, "laptop", hours=24)
    clock.advance(24 * HOUR - 1)
    assert await tokens.find(secret) is not None
    clock.advance(1)
    assert await tokens.find(secret) is None
    _, newer = await made(tokens, "laptop")
    assert await tokens.find(newer) is not None and await tokens.find(secret) is None


async def test_when_a_token_was_used_is_noted_once_an_hour(tokens: Tokens, clock: FakeClock) -> None:
    token, _ = await made(tokens, "laptop")
    times = []
    for _ in range(3):
        await tokens.note_use([token])
        [token] = await tokens.list()
        times.append(token.used)
        clock.advance(HOUR / 2)
    assert times[0] == times[1] and times[2] == times[0] + timedelta(hours=1)  # type: ignore[operator]
    assert token.expires is None, "a token lives as long as it was made to"


async def test_a_page_is_let_in_as_long_as_it_is_used(tokens: Tokens, clock: FakeClock) -> None:
    page, secret = await made(tokens, "page-1", way="page", hours=12)
    for _ in range(3):
        clock.advance(11 * HOUR)
        found = await tokens.find(secret)
        assert found is not None
        await tokens.note_use([found])
    clock.advance(12 * HOUR)
    assert await tokens.find(secret) is None
    await tokens.note_use([page])
    assert [token.expires for token in await tokens.list()] != [None]


async def test_of_too_many_pages_of_somebody_the_one_that_was_used_longest_ago_goes(
    tokens: Tokens, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PAGES", 2)
    pages = []
    for n in range(2):
        pages.append(await made(tokens, f"page-{n}", ANN, way="page", hours=12))
        clock.advance(HOUR)
    await made(tokens, "page-owner", way="page", hours=12)
    await tokens.note_use([pages[0][0]])
    await made(tokens, "page-2", ANN, way="page", hours=12)
    assert await tokens.find(pages[0][1]) is not None and await tokens.find(pages[1][1]) is None
    assert len([token for token in await tokens.list() if token.revoked is None]) == 3


async def test_there_is_a_limit_to_the_tokens(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 2)
    await made(tokens, "a")
    await made(tokens, "b")
    with pytest.raises(UsageError, match="2 tokens"):
        await made(tokens, "c")
    await tokens.revoke("a")
    await made(tokens, "c")


async def test_what_ended_is_forgotten_a_page_at_once_and_a_token_after_a_month(
    tokens: Tokens, clock: FakeClock
) -> None:
    await made(tokens, "kept", scopes=SCOPES)
    await made(tokens, "expires", hours=1)
    await made(tokens, "page", way="page", hours=1)
    await made(tokens, "revoked")
    await tokens.revoke("revoked")
    clock.advance(HOUR)
    assert await tokens.purge() == 1
    clock.advance(30 * 24 * HOUR)
    assert await tokens.purge() == 2
    assert [token.name for token in await tokens.list()] == ["kept"]


@pytest.mark.parametrize("column", ["expires", "revoked"])
@pytest.mark.parametrize("value", [b"\xff", 5, "soon"])
async def test_a_damaged_row_lets_nobody_in(tokens: Tokens, store: Store, column: str, value: object) -> None:
    _, secret = await made(tokens, "laptop")
    await spoil(store, f"UPDATE tokens SET {column} = ?", value)
    assert await tokens.find(secret) is None


async def test_a_damaged_row_has_no_scope_and_no_owner(tokens: Tokens, store: Store) -> None:
    _, secret = await made(tokens, "laptop", scopes=SCOPES)
    await spoil(store, "UPDATE tokens SET scopes = ?, principal_kind = ?", "root admins", "root")
    found = await tokens.find(secret)
    assert found is not None and found.scopes == () and found.principal == Principal(kind="chat")
