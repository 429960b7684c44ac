"""What is built keeps to the ports: the type checker compares each with its protocol here, the tests run the rest."""

from __future__ import annotations

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.ports.bus import Bus
from agentd.ports.channels import Draining, Listening
from agentd.ports.clock import Clock
from agentd.ports.models import ChatModel, Embedder
from agentd.ports.work import Pending, PendingTurn, Progress, WorkList
from agentd.testing.clock import FakeClock
from agentd.testing.embedder import WordEmbedder
from agentd.testing.model import ScriptedModel
from agentd.testing.pending import MemoryPending
from channels.terminal.channel import TerminalChannel
from tests.builders import address
from tests.unfinished import unfinished


async def test_the_parts_of_the_house_are_what_their_ports_say() -> None:
    memory = MemoryPending()
    pending: Pending = memory
    progress: Progress = memory
    work: WorkList = memory
    bus: Bus = EventBus(pending)
    model: ChatModel = ScriptedModel()
    embedder: Embedder = WordEmbedder()
    clocks: list[Clock] = [SystemClock(), FakeClock()]
    assert all((pending, progress, bus, model, embedder, clocks)) and (await unfinished(work)) == {}


def test_the_terminal_channel_listens_before_it_runs_and_drains_before_it_ends() -> None:
    assert issubclass(TerminalChannel, Listening)
    assert issubclass(TerminalChannel, Draining)


def test_a_pending_turn_begins_unanswered_and_untried() -> None:
    turn = PendingTurn(id="i", kind="message", session_id="s", dedupe_key="k", address=address())
    assert (turn.outbound_id, turn.starts, turn.running, turn.attempts, turn.sending) == ("", 0, False, 0, False)
