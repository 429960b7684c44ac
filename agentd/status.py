"""The figures that say whether a daemon is well, and if not, what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from agentd import __version__
from agentd.conversation import Conversations
from agentd.events import OWNER
from agentd.ports import DocumentView, Entry
from agentd.supervisor import ChannelState

EXTRACTIVE_NOTE = "no language model is configured; answers are sentences of your documents"


class _Pending(Protocol):
    def entries(self) -> Mapping[str, Entry]: ...

    @property
    def healthy(self) -> bool: ...

    @property
    def problem(self) -> str: ...


class _Channels(Protocol):
    @property
    def states(self) -> Mapping[str, ChannelState]: ...


class _Model(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def problem(self) -> str: ...


class DaemonStatus:
    """Implements `ports.Status`."""

    def __init__(
        self,
        *,
        state_dir: Path,
        in_process: bool,
        pending: _Pending,
        conversations: Conversations,
        documents: DocumentView,
        model: _Model,
        supervisor: _Channels,
    ) -> None:
        self._state_dir = state_dir
        self._in_process = in_process
        self._pending = pending
        self._conversations = conversations
        self._documents = documents
        self._model = model
        self._channels = supervisor

    async def snapshot(self) -> Mapping[str, Any]:
        documents, chunks = await self._documents.counts(OWNER)
        free, dead = await asyncio.to_thread(self._disk)
        owed = [entry for entry in self._pending.entries().values() if entry.outbound_id]
        busy = self._conversations.busy().values()
        return {
            "daemon": {
                "version": __version__,
                "pid": os.getpid(),
                "in_process": self._in_process,
                "state_dir": str(self._state_dir),
                "free_mb": free // 1_000_000,
            },
            "model": {"name": self._model.name, "note": self._model_note()},
            "documents": {"documents": documents, "chunks": chunks},
            "turns": {
                "running": sum(bool(state.running) for state in busy),
                "waiting": sum(len(state.waiting) for state in busy),
            },
            "pending": {
                "unanswered": len(self._pending.entries()) - len(owed),
                "undelivered": len(owed),
                "dead": dead,
            },
            "channels": [
                {"name": name, "state": state.state, "reason": state.reason}
                for name, state in sorted(self._channels.states.items())
            ],
            "problems": self._problems(),
        }

    def _model_note(self) -> str:
        if self._model.name == "extractive":
            return EXTRACTIVE_NOTE
        return self._model.problem or self._model.state

    def _disk(self) -> tuple[int, int]:
        dead = self._state_dir / "dead"
        letters = sum(path.suffix == ".event" for path in dead.iterdir()) if dead.is_dir() else 0
        return shutil.disk_usage(self._state_dir).free, letters

    def _problems(self) -> list[str]:
        problems = [] if self._pending.healthy else [self._pending.problem]
        if self._model.problem:
            problems.append(f"model {self._model.name}: {self._model.problem}")
        for name, state in sorted(self._channels.states.items()):
            if state.state in ("degraded", "down"):
                problems.append(f"channel {name} is {state.state}: {state.reason}")
        return problems
