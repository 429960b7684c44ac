"""What a slash command of `agentd.serving.commands` does, on the daemon's side and for every channel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentd.errors import Forbidden, ModelError, UsageError
from agentd.ids import is_id
from agentd.ports.channels import Stoppable
from agentd.ports.clock import Clock
from agentd.ports.documents import DocumentView
from agentd.ports.house import CommandReply
from agentd.ports.models import ModelChoice
from agentd.ports.sessions import Branch, Selecting, SessionInfo, SessionView
from agentd.ports.status import Status
from agentd.records import Principal
from agentd.rights import may
from agentd.serving.choosing import TITLE_WIDTH, ago, brief, choose, label, row, table
from agentd.serving.commands import NO_MODEL, Invocation, Whom, help_text, parse
from agentd.serving.recall import COLUMNS, Recall
from agentd.status.text import model_words, status_lines
from agentd.storage.marks import Marks, Verdict

LISTED = 50
"""How many conversations /sessions shows, and /resume knows by number."""
BRIEF = 60
"""Characters of a question that say which one it is."""
_NAMES = "/model takes a path; `agentd model use NAME` takes a name of `agentd model list`."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    principal: Principal
    session_id: str
    argument: str

    @property
    def allowed(self) -> tuple[Whom, ...]:
        return ("anyone", "owner") if may(self.principal, "administer") else ("anyone",)


Action = Callable[[_Request], Awaitable[CommandReply]]


class DaemonControl:
    """Finds out which command is meant, and whether its sender may use it."""

    def __init__(self, conversations: ConversationCommands, house: HouseCommands) -> None:
        self._actions: Mapping[str, Action] = {"help": self._help, **conversations.actions, **house.actions}

    async def run(self, text: str, principal: Principal, session_id: str) -> CommandReply:
        """Do what `text` commands; an `AgentdError` says why it could not be done.

        Commands of a terminal, such as /quit, are that terminal's own business.
        """
        invocation = parse(text)
        if invocation is None:
            raise UsageError("a command begins with a slash; /help lists the commands.")
        request = _Request(principal=principal, session_id=session_id, argument=invocation.argument)
        action = self._actions.get(invocation.command.name)
        self._refuse(invocation, request, action is not None)
        assert action is not None
        return await action(request)

    def _refuse(self, invocation: Invocation, request: _Request, known: bool) -> None:
        command = invocation.command
        if not known:
            raise UsageError(f"/{command.name} is a command of the terminal; it does nothing here.")
        if command.whom not in request.allowed:
            raise Forbidden(f"/{command.name} is only for the owner of this agentd.")

    async def _help(self, request: _Request) -> CommandReply:
        return CommandReply(text=help_text(request.allowed, request.argument))


class ConversationCommands:
    """What is said about conversations: which there are, which one goes on, and what was said in it."""

    def __init__(
        self,
        *,
        sessions: SessionView,
        recall: Recall,
        marks: Marks,
        inbox: Stoppable,
        changes: Selecting,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._changes = changes
        self._recall = recall
        self._marks = marks
        self._inbox = inbox
        self._clock = clock
        self.actions: Mapping[str, Action] = {
            "new": self._new,
            "sessions": self._list,
            "resume": self._resume,
            "stop": self._stop,
            "history": self._history,
            "sources": self._sources,
            "retry": self._retry,
            "edit": self._edit,
            "undo": self._undo,
            "branches": self._branches,
            "usage": self._usage,
            "good": lambda request: self._mark(request, "good"),
            "bad": lambda request: self._mark(request, "bad"),
        }

    async def _new(self, request: _Request) -> CommandReply:
        if request.argument and await self._by_name(request, request.argument) is not None:
            raise UsageError(f'the conversation "{request.argument}" exists already; /resume {request.argument}')
        session = await self._sessions.open(request.principal, request.argument or None)
        return CommandReply(text="a new conversation", session=session.id)

    async def _list(self, request: _Request) -> CommandReply:
        sessions = await self._sessions.list(request.principal, limit=LISTED)
        if not sessions:
            return CommandReply(text="there is no conversation yet; ask something.")
        now = self._clock.now()
        rows = [row(n, session, now, current=request.session_id) for n, session in enumerate(sessions, start=1)]
        return CommandReply(text="\n".join(table(rows)))

    async def _resume(self, request: _Request) -> CommandReply:
        if not request.argument:
            raise UsageError("/resume needs the name, the id or the number of a conversation; /sessions lists them.")
        if is_id(request.argument):  # lists leave out those that were for one question
            session = await self._sessions.open(request.principal, request.argument)
        else:
            session = choose(await self._sessions.list(request.principal, limit=LISTED), request.argument)
        return CommandReply(text=f"continuing {label(session, TITLE_WIDTH)}", session=session.id)

    async def _by_name(self, request: _Request, name: str) -> SessionInfo | None:
        sessions = await self._sessions.list(request.principal, limit=LISTED)
        return next((session for session in sessions if session.name == name), None)

    async def _stop(self, request: _Request) -> CommandReply:
        running = await self._inbox.stop(request.session_id, request.principal)
        return CommandReply(text="stopping; what was said is kept" if running else "nothing is running")

    async def _history(self, request: _Request) -> CommandReply:
        return CommandReply(text=await self._recall.history(request.principal, request.session_id, request.argument))

    async def _sources(self, request: _Request) -> CommandReply:
        return CommandReply(text=await self._recall.sources(request.principal, request.session_id))

    async def _usage(self, request: _Request) -> CommandReply:
        if request.argument:
            raise UsageError("/usage on and /usage off are for `agentd chat`; /usage shows what the last answer took.")
        return CommandReply(text=await self._recall.usage(request.principal, request.session_id))

    async def _retry(self, request: _Request) -> CommandReply:
        last = await self._recall.last_question(request.principal, request.session_id)
        return CommandReply(ask=last.text, replaces=last.turn_id)

    async def _edit(self, request: _Request) -> CommandReply:
        if not request.argument:
            raise UsageError("/edit needs what to ask in the place of your last question, as in /edit Who wrote it?")
        last = await self._recall.last_question(request.principal, request.session_id)
        return CommandReply(ask=request.argument, replaces=last.turn_id)

    async def _undo(self, request: _Request) -> CommandReply:
        last = await self._recall.last_question(request.principal, request.session_id)
        await self._changes.select(request.principal, request.session_id, last.turn_id, before=True)
        told = brief(last.text, BRIEF)
        return CommandReply(text=f'your last question is taken back: "{told}"; /branches leads to it again')

    async def _branches(self, request: _Request) -> CommandReply:
        ways = await self._sessions.branches(request.principal, request.session_id, limit=LISTED)
        if request.argument:
            return await self._go_to(request, ways)
        if len(ways) < 2:
            return CommandReply(text="this conversation has one branch; /edit, /retry and /undo begin others.")
        now = self._clock.now()
        rows = [
            (
                f"{'*' if way.shown else ' '}{n:>2}",
                brief(way.question, TITLE_WIDTH),
                brief(way.answer, TITLE_WIDTH),
                ago((now - way.time).total_seconds()),
            )
            for n, way in enumerate(ways, start=1)
        ]
        return CommandReply(text="\n".join(table(rows)))

    async def _go_to(self, request: _Request, ways: Sequence[Branch]) -> CommandReply:
        number = int(request.argument) if request.argument.isdecimal() and len(request.argument) < 4 else 0
        if not 1 <= number <= len(ways):
            raise UsageError("/branches takes the number of a branch; without one it lists them.")
        way = ways[number - 1]
        if not way.shown:
            await self._changes.select(request.principal, request.session_id, way.turn_id)
        return CommandReply(text=f'on the branch that ends with "{brief(way.question, BRIEF)}"')

    async def _mark(self, request: _Request, verdict: Verdict) -> CommandReply:
        answer = await self._recall.last_answer(request.principal, request.session_id)
        await self._marks.set(request.principal, request.session_id, answer.turn_id, verdict, request.argument)
        return CommandReply(text=f"the last answer is marked as {verdict}")


class HouseCommands:
    """What is said about the house: how it is, what answers, and from what.

    Without `models`, no model can be chosen while the daemon runs.
    """

    def __init__(self, *, documents: DocumentView, status: Status, models: ModelChoice | None = None) -> None:
        self._documents = documents
        self._status = status
        self._models = models
        self.actions: Mapping[str, Action] = {
            "status": self._tell_status,
            "model": self._model,
            "docs": self._docs,
        }

    async def _tell_status(self, request: _Request) -> CommandReply:
        snapshot = await self._status.snapshot(request.principal)
        return CommandReply(text="\n".join(status_lines(snapshot, columns=COLUMNS)))

    async def _model(self, request: _Request) -> CommandReply:
        if request.argument:
            chosen = None if request.argument == NO_MODEL else Path(request.argument)
            return CommandReply(text=await self._choose_model(chosen))
        model = (await self._status.snapshot(request.principal)).model
        return CommandReply(
            text=f"{model_words(model)}\n"
            "To choose another one: in a shell, `agentd model list` shows some, `agentd model use NAME` chooses one"
            " for good; /model PATH.gguf uses one until agentd ends, /model none uses none."
        )

    async def _choose_model(self, path: Path | None) -> str:
        if path is not None and not path.is_absolute():
            raise UsageError(f"{path} is not an absolute path; the daemon does not know your directory. {_NAMES}")
        if self._models is None:
            raise UsageError("this daemon cannot change its model while it runs; set `model.path` and restart it.")
        try:
            return await self._models.use(path)
        except ModelError as error:
            if path is None or path.suffix == ".gguf":
                raise
            raise ModelError(f"{error} {_NAMES}") from None

    async def _docs(self, request: _Request) -> CommandReply:
        if request.argument:
            raise UsageError("that is for `agentd chat`; in a shell, `agentd ingest PATH` adds documents.")
        documents, passages = await self._documents.counts(request.principal)
        reads = "/docs add PATH reads"
        if not may(request.principal, "ingest"):
            reads = "in a shell, `agentd ingest --upload FILE` sends"
        if not documents:
            return CommandReply(text=f"there are no documents yet; {reads} some.")
        return CommandReply(text=f"{documents:,} documents ({passages:,} passages); {reads} more.")
