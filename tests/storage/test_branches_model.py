"""Whatever is asked, edited, asked again, taken back and selected: the history is that of a list of branches."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.records import OWNER
from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock
from tests.storage.kept import Kept, answered, asked

Step = tuple[str, int]
STEPS = st.tuples(st.sampled_from(["ask", "replace", "killed", "undo", "select"]), st.integers(0, 50))


class Model:
    """`paths` are the branches to each turn, in the order in which the turns ended; `shown` is one of them."""

    def __init__(self) -> None:
        self.paths: list[tuple[str, ...]] = []
        self.shown: tuple[str, ...] = ()

    def ends(self, turn: str, before: tuple[str, ...]) -> None:
        self.shown = (*before, turn)
        self.paths.append(self.shown)

    def newest_through(self, path: tuple[str, ...]) -> tuple[str, ...]:
        return [each for each in self.paths if each[: len(path)] == path][-1]

    def beside(self, path: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(each[-1] for each in self.paths if each[:-1] == path[:-1])
        return found if len(found) > 1 else ()


@given(st.lists(STEPS, max_size=12))
@settings(max_examples=40, deadline=None)
def test_what_is_shown_is_what_a_list_of_branches_says(steps: list[Step]) -> None:
    asyncio.run(_live(steps))


async def _live(steps: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        async with Store(Path(folder) / "agentd.db", load_migrations("agentd.storage")) as store:
            sessions, model = Kept(store, FakeClock()), Model()
            session_id = (await sessions.open(OWNER, None)).id
            for what, n in steps:
                await _step(sessions, session_id, model, what, n)
                lines = [line for line in await sessions.history(OWNER, session_id, limit=100) if line.role == "user"]
                assert tuple(line.turn_id for line in lines) == model.shown
                paths = [model.shown[:length] for length in range(1, len(model.shown) + 1)]
                assert [line.branches for line in lines] == [model.beside(path) for path in paths]
                parents = ["", *model.shown[:-1]][: len(lines)]
                assert [line.parent for line in lines] == parents


async def _step(sessions: Kept, session_id: str, model: Model, what: str, n: int) -> None:
    target = model.paths[n % len(model.paths)] if model.paths else ()
    if what == "ask" or not target:
        question = asked(session_id)
        await sessions.turns.finish([question], answered(question))
        model.ends(question.turn_id, model.shown)
    elif what in ("replace", "killed"):
        question = asked(session_id).model_copy(update={"replaces": target[-1]})
        for _ in range(2 if what == "killed" else 1):  # it runs again after a restart
            await sessions.turns.make_way(question)
        await sessions.turns.finish([question], answered(question))
        model.ends(question.turn_id, target[:-1])
    elif what == "undo" and model.shown:
        await sessions.select(OWNER, session_id, model.shown[-1], before=True)
        model.shown = model.shown[:-1]
    else:
        end = await sessions.select(OWNER, session_id, target[-1])
        model.shown = model.newest_through(target)
        assert end == model.shown[-1]
