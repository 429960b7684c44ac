"""Brings what happens in a session into order: one answer after another, each shown once even if it comes again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from agentd.cli.repl.display import Display
from agentd.cli.repl.drafts import Draft
from agentd.records import Citation
from agentd.serving import protocol
from agentd.status.usage import reading_line, usage_line
from agentd.text.plain import plain

WORKING, STOPPING = "working…", "stopping…"
HERE, EMPTY = "the conversation goes on from here:", "the conversation is at its beginning again"
REPLACED = "somebody asks in the place of an earlier question:"
RECENT = 6
"""How many messages of the history are shown when a session or another branch of it is opened."""
REMEMBERED = 1000
"""How many ids of answers and turns are kept to recognise repeats."""


class _Turn:
    def __init__(self) -> None:
        self.attempt = 0
        self.draft = Draft()
        self.answer: protocol.Answer | None = None
        self.read: int | None = None
        """How many tokens of its prompt are read; None before the reading begins."""


@dataclass(slots=True)
class _Asked:
    """A question that is not shown yet; `here` if it was typed here."""

    text: str
    here: bool
    replaces: bool = False


@dataclass(slots=True)
class _Typed:
    text: str
    shown: bool


class _Seen:
    """A bounded set of the newest ids."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._ids

    def add(self, identifier: str) -> None:
        self._ids[identifier] = None
        if len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)


class Transcript:
    """Takes the messages of one session and calls the display; `status` says what is going on.

    A message that is typed during another answer is shown when its own turn begins, so that each question stands above
    its answer.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._turns: OrderedDict[str, _Turn] = OrderedDict()
        """Turns whose answers have not been shown, in the order in which they began."""
        self._waiting: dict[str, None] = {}
        self._typed: dict[str, _Typed] = {}
        """Our messages that are not accepted yet, by their own ids."""
        self._questions: dict[str, _Asked] = {}
        """Our messages that are accepted but not shown yet, by turn."""
        self._owed: dict[str, None] = {}
        """Our turns whose answers have not been shown."""
        self._answers, self._answered, self._ours, self._told = _Seen(), _Seen(), _Seen(), _Seen()
        """Ids of answers; turns that were answered, that are ours, and whose questions we know."""
        self._said, self._noticed = _Seen(), _Seen()
        """The last messages of turns, and turns that a notice ended: they may be answered after all."""
        self._doing, self._last = "", ""
        """What goes on, and the turn that was shown last."""
        self.shows_usage = False
        """Whether the display shows after each answer what it took."""

    # --- what goes on ---

    @property
    def running(self) -> bool:
        """Whether a turn is being answered."""
        return any(turn.answer is None for turn in self._turns.values())

    @property
    def stopping(self) -> bool:
        return self.running and self._doing == STOPPING

    @property
    def idle(self) -> bool:
        """Whether every question has been answered."""
        return not (self._turns or self._waiting or self._typed or self._owed)

    @property
    def status(self) -> str:
        """One line for the person, "" if nothing is going on."""
        waiting = len(self._waiting) + sum(not typed.shown for typed in self._typed.values())
        doing = (self._doing or WORKING) if self.running else ""
        return " · ".join(filter(None, (doing, f"queued, {waiting} waiting" if waiting else "")))

    # --- what we ask ---

    def typed(self, message_id: str, text: str) -> None:
        """Our message is on its way."""
        shown = self.idle
        self._typed[message_id] = _Typed(text, shown)
        if shown:
            self._display.asked(text)

    def accepted(self, accepted: protocol.Accepted) -> None:
        """Our message is a turn now; it waits unless it runs already."""
        turn_id, typed = accepted.turn, self._typed.pop(accepted.re, None)
        self._ours.add(turn_id)
        if turn_id in self._answered:
            return
        if typed is not None and not typed.shown:
            self._questions[turn_id] = _Asked(typed.text, here=True)
        self._owed[turn_id] = None
        if turn_id not in self._turns and self.running:
            self._waiting[turn_id] = None
        self._advance()

    def refused(self, message_id: str, reason: str) -> None:
        """Our message was not accepted."""
        typed = self._typed.pop(message_id, None)
        if typed is not None and not typed.shown:
            self._display.asked(typed.text)
        self._display.error(reason)
        self._advance()

    # --- what happens ---

    def opened(self, session: protocol.SessionOpened) -> None:
        """Another session is followed from now on: show its last messages."""
        for unanswered in (self._turns, self._typed, self._questions, self._owed):
            unanswered.clear()
        self._ours, self._told = _Seen(), _Seen()
        self._doing = ""
        self._waiting = dict.fromkeys(session.waiting)
        for message in session.history:
            self._end_of(message)
        self._remember(session.history)

    def reopened(self, session: protocol.SessionOpened, *, restarted: bool = False) -> None:
        """The same session is followed again: show only what was missed.

        A daemon that `restarted` makes unfinished answers again, and knows only its own attempts at them.
        """
        for turn in self._turns.values() if restarted else ():
            turn.attempt = 0
        self._waiting = dict.fromkeys(turn for turn in session.waiting if turn not in self._turns)
        missed = [message for message in session.history if not self._is_shown(message)]
        for message in missed:
            if message.role == "user":
                self._missed_question(message)
            else:
                self._missed_answer(message, session.session)
        for message in missed:
            self._end_of(message)
        if session.history and not missed and session.history[-1].turn != self._last:
            self.branched(session.history[-RECENT:])
        self._advance()

    def branched(self, history: tuple[protocol.HistoryMessage, ...]) -> None:
        """The session shows another branch from now on: show its last messages."""
        self._display.note(HERE if history else EMPTY)
        for message in history:
            self._end_of(message)
        self._remember(history)

    def _is_shown(self, message: protocol.HistoryMessage) -> bool:
        if message.role == "user":
            return message.turn in self._answered or message.turn in self._noticed
        return _saying(message) in self._said

    def _end_of(self, message: protocol.HistoryMessage) -> None:
        self._answered.add(message.turn)
        self._last = message.turn
        if message.role == "assistant":
            self._said.add(_saying(message))

    def _missed_question(self, message: protocol.HistoryMessage) -> None:
        """Our question may be on the screen even if the daemon's reply that it has the question did not arrive."""
        if message.turn in self._ours or message.turn in self._turns or message.turn in self._questions:
            return
        for typed in self._typed.values():
            if typed.text == message.text and typed.shown:
                return
            typed.shown = typed.shown or typed.text == message.text
        self._remember((message,))

    def _missed_answer(self, message: protocol.HistoryMessage, session: str) -> None:
        if message.turn in self._turns or message.turn in self._questions:
            self._answer(_answer_from(message, session))
        else:
            self._waiting.pop(message.turn, None)
            self._owed.pop(message.turn, None)
            self._remember((message,))

    def _remember(self, messages: tuple[protocol.HistoryMessage, ...]) -> None:
        if messages:
            self._display.remembered(tuple(cleaned(message) for message in messages))

    def happened(self, message: protocol.ServerMessage) -> None:
        """A live message of the session."""
        match message:
            case protocol.State():
                self._state(message)
            case protocol.Question():
                self._question(message)
            case protocol.Found():
                self._turn(message.turn).draft.known = frozenset(c.n for c in message.citations) or None
                self._now("reading…")
            case protocol.Reading():
                self._reading(message)
            case protocol.Chunk():
                self._chunk(message)
            case protocol.Answer():
                self._answer(message)

    def _now(self, doing: str) -> None:
        if self._doing != STOPPING:
            self._doing = doing

    def _question(self, question: protocol.Question) -> None:
        """A question that was typed here is known already, whether it is accepted or not."""
        turn_id = question.turn
        if question.id in self._typed or turn_id in self._ours or turn_id in self._told or turn_id in self._answered:
            return
        self._told.add(turn_id)
        self._questions[turn_id] = _Asked(plain(question.text), here=False, replaces=bool(question.replaces))
        self._advance()

    def _reading(self, reading: protocol.Reading) -> None:
        turn = self._attempt(reading.turn, reading.attempt)
        if reading.attempt < turn.attempt:
            return
        line = reading_line(reading.done, reading.total, reading.seconds)
        self._now(line if reading.done < reading.total else WORKING)
        if turn.read is None or reading.done < turn.read:
            self._display.reading(line)
        turn.read = reading.done

    def _state(self, state: protocol.State) -> None:
        match state.state:
            case "queued":
                if state.turn not in self._turns and state.turn not in self._answered:
                    self._waiting[state.turn] = None
            case "running":
                self._doing = WORKING
                self._attempt(state.turn, state.attempt, state.detail)
                self._advance()
                if state.detail:  # the answer begins again, or another model took over: shown beside the answer
                    self._display.note(plain(state.detail))
            case "tool":
                self._now(plain(f"using {state.detail}…"))
            case "stopping":
                self._doing = STOPPING
            case "done":
                self._waiting.pop(state.turn, None)

    def _turn(self, turn_id: str) -> _Turn:
        self._waiting.pop(turn_id, None)
        if turn_id in self._answered:
            return _Turn()
        return self._turns.setdefault(turn_id, _Turn())

    def _attempt(self, turn_id: str, attempt: int, why: str = "") -> _Turn:
        """The turn in this attempt; if it has one more, the person is told so, unless `why` is shown anyway."""
        turn = self._turn(turn_id)
        if attempt > turn.attempt:
            turn.attempt = attempt
            self._void(turn, why)
        return turn

    def _void(self, turn: _Turn, why: str = "") -> None:
        shown, turn.draft = turn.draft, Draft()
        turn.draft.known = shown.known
        if self._front() is not turn:
            return
        self._display.restarted()
        if shown.text and not why:
            self._display.note(protocol.BEGINS_AGAIN)

    def _chunk(self, chunk: protocol.Chunk) -> None:
        turn = self._attempt(chunk.turn, chunk.attempt)
        if chunk.attempt < turn.attempt:
            return
        self._now("thinking…" if chunk.reasoning else "answering…")
        if not chunk.reasoning:
            turn.draft.add(chunk.n, chunk.text)
            if self._front() is turn:
                self._advance()

    def _front(self) -> _Turn | None:
        """The oldest turn whose answer has not been shown; later ones wait for it."""
        return next(iter(self._turns.values()), None)

    def _advance(self) -> None:
        """Show what there is of the front turn, once its question is known and whether that was typed here."""
        front = next(iter(self._turns), "")
        if not front or (front not in self._ours and any(not typed.shown for typed in self._typed.values())):
            return
        self._show_question(front)
        turn = self._turns[front]
        if turn.answer is not None:
            self._show_answer(turn.answer)
            self._advance()
        elif text := turn.draft.text:
            self._display.draft(text)

    def _show_question(self, turn_id: str) -> None:
        if (question := self._questions.pop(turn_id, None)) is not None:
            if question.replaces:
                self._display.note(REPLACED)
            self._display.asked(question.text, here=question.here)

    def _answer(self, answer: protocol.Answer) -> None:
        if answer.id in self._answers:
            return
        self._answers.add(answer.id)
        if answer.outcome == "notice" or not answer.answers:
            self._notice(answer)
        elif _saying(answer) not in self._said:
            # A turn that ended before may get an answer after all, if it was set aside and then retried.
            for turn_id in answer.answers:
                self._waiting.pop(turn_id, None)
                self._turns.setdefault(turn_id, _Turn()).answer = answer
            self._advance()

    def _notice(self, notice: protocol.Answer) -> None:
        self._show_question(notice.turn)
        if self._turns.pop(notice.turn, None) is not None:
            self._display.restarted()
        self._waiting.pop(notice.turn, None)
        self._owed.pop(notice.turn, None)
        if _saying(notice) not in self._said:
            self._said.add(_saying(notice))
            self._noticed.add(notice.turn)
            self._last = notice.turn
            shown = self._display.error if notice.outcome == "error" else self._display.note
            shown(plain(notice.text))
        self._advance()

    def _show_answer(self, answer: protocol.Answer) -> None:
        turn = self._turns.get(answer.turn)
        if turn is not None and not turn.attempt and not plain(answer.text).startswith(turn.draft.text):
            self._void(turn)
        for turn_id in answer.answers:
            self._turns.pop(turn_id, None)
            self._owed.pop(turn_id, None)
            self._answered.add(turn_id)
        self._said.add(_saying(answer))
        self._last = answer.turn
        citations = tuple(c.model_copy(update=_plain_citation(c)) for c in answer.citations)
        self._display.answered(answer.model_copy(update={"text": plain(answer.text), "citations": citations}))
        if self.shows_usage and answer.usage is not None:
            self._display.note(usage_line(answer.usage))
        if not self._turns:
            self._doing = ""


def _saying(said: protocol.Answer | protocol.HistoryMessage) -> str:
    """One text for an answer and for its message of the history."""
    return f"{said.turn} {hash(said.text)}"


def _answer_from(message: protocol.HistoryMessage, session: str) -> protocol.Answer:
    """The answer that a message of the history was."""
    return protocol.Answer(
        id=f"history of {message.turn}",
        session=session,
        turn=message.turn,
        answers=(message.turn,),
        outcome="interrupted" if message.interrupted else "answer",
        text=message.text,
        citations=message.citations,
    )


def _plain_citation(citation: Citation) -> dict[str, str]:
    return {name: plain(getattr(citation, name)) for name in ("title", "source", "heading")}


def cleaned(message: protocol.HistoryMessage) -> protocol.HistoryMessage:
    citations = tuple(c.model_copy(update=_plain_citation(c)) for c in message.citations)
    return message.model_copy(update={"text": plain(message.text), "citations": citations})
