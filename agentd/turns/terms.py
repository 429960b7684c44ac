"""What the caller of a turn brings, as its requests have it: the conversation, the tools, how to sample.

All of it is untrusted: no text of it can hold a model's control tags, whatever role a message claims.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agentd.events import InboundEvent, OutboundEvent
from agentd.ports.generation import Message, Part, Sampling, TextPart, ToolCallPart, ToolResultPart, ToolSpec
from agentd.ports.sessions import History, StoredMessage
from agentd.records import SaidMessage, SamplingTerms, Terms
from agentd.text.untrusted import neutral, neutral_data

SEEDS = 2**32 - 1
"""So many seeds there are: a caller's number is taken modulo that."""
ORDINARY = Terms(continues=True)
"""The terms of somebody who only asks: the session goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """The conversation that a caller tells: `system` texts at its beginning, its `turns`, each with its question first,
    and what came `after` the question that is asked now, or only the `results` of calls in that, as text.
    """

    system: tuple[str, ...] = ()
    turns: tuple[tuple[Message, ...], ...] = ()
    after: tuple[Message, ...] = ()
    results: str = ""

    def without_calls(self) -> Transcript:
        """For a model that only calls again when it sees its calls: their results go with the question."""
        parts = [part for message in self.after for part in message.parts if isinstance(part, ToolResultPart)]
        results = "\n\n".join(f"{part.tool}: {part.text}" for part in parts)
        return replace(self, after=(), results=results) if results else self


NOTHING_TOLD = Transcript()


def terms_of(inbound: InboundEvent) -> Terms:
    return inbound.terms or ORDINARY


def transcript(terms: Terms) -> Transcript:
    start = next((n for n, said in enumerate(terms.before) if said.role != "system"), len(terms.before))
    messages = tuple(_messages((*terms.before[start:], *terms.after)))
    before, after = messages[: len(terms.before) - start], messages[len(terms.before) - start :]
    return Transcript(
        system=tuple(said.text for said in terms.before[:start] if said.text),
        turns=tuple(map(tuple, _turns(before))),
        after=after,
    )


def _messages(said: Sequence[SaidMessage]) -> Iterator[Message]:
    """One for each."""
    tools: dict[str, str] = {}
    for each in said:
        if each.role == "tool":
            result = ToolResultPart(call_id=each.call_id, tool=tools.get(each.call_id, ""), text=each.text)
            yield Message(role="tool", parts=(result,))
            continue
        tools |= {call.call_id: call.tool for call in each.calls}
        calls = [ToolCallPart(call_id=c.call_id, tool=c.tool, arguments=c.arguments) for c in each.calls]
        text: tuple[Part, ...] = (TextPart(text=each.text),) if each.text or not calls else ()
        yield Message(role=each.role, parts=(*text, *calls))


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    turns: list[list[Message]] = []
    for message in messages:
        if not turns or message.role == "user":
            turns.append([])
        turns[-1].append(message)
    return turns


async def heard(history: History, inbound: InboundEvent, *, limit: int) -> Sequence[StoredMessage]:
    """What was said before the question: in the session, if the turn continues it, and as the caller tells it."""
    terms = terms_of(inbound)
    stored = await history.context(inbound.session_id, limit=limit) if terms.continues else ()
    return [*stored, *_as_stored(inbound, terms)][-limit:]


def _as_stored(inbound: InboundEvent, terms: Terms) -> Iterator[StoredMessage]:
    turn = 0
    for said in terms.before:
        turn += said.role == "user"
        if said.text and (said.role == "user" or said.role == "assistant"):
            yield StoredMessage(turn_id=f"{turn}", role=said.role, text=said.text, time=inbound.time)


def told_with(inbound: InboundEvent) -> tuple[SaidMessage, ...]:
    """The question in the conversation that its caller tells, without what the system says there."""
    terms = terms_of(inbound)
    return (*_without_system(terms.before), SaidMessage(role="user", text=inbound.text), *terms.after)


def resumed(text: str, terms: Terms, handed_back: OutboundEvent) -> tuple[str, Terms]:
    """The question and the terms with what they resume. A `text` is a new question, otherwise the earlier one goes on.

    `ValueError` if they do not go together.
    """
    called = SaidMessage(role="assistant", text=handed_back.text, calls=handed_back.calls)
    earlier, results = (*handed_back.asked, called), _without_system(terms.before)
    if text:
        before, after = (*earlier, *results), terms.after
    else:
        asked = max(n for n, said in enumerate(earlier) if said.role == "user")
        text, before, after = earlier[asked].text, earlier[:asked], (*earlier[asked + 1 :], *results, *terms.after)
    system = tuple(said for said in terms.before if said.role == "system")
    fields = {name: getattr(terms, name) for name in Terms.model_fields}
    return text, Terms(**{**fields, "before": (*system, *before), "after": after, "resumes": ""})


def _without_system(said: Sequence[SaidMessage]) -> tuple[SaidMessage, ...]:
    return tuple(each for each in said if each.role != "system")


def offered_by(terms: Terms) -> tuple[ToolSpec, ...]:
    """The caller's own tools that may be called."""
    if terms.calling == "none":
        return ()
    return tuple(
        ToolSpec(name=tool.name, description=neutral(tool.description), parameters=neutral_data(tool.parameters))
        for tool in terms.tools
    )


def answered(calls: Sequence[ToolCallPart], terms: Terms) -> bool:
    """Whether a model only repeats calls whose results it has just read, as small models do without end.

    The bare model may: some tools are called until something has changed.
    """
    said = next((said for said in reversed(terms.after) if said.calls), None)
    if terms.plain or said is None:
        return False
    made = [(call.tool, _read(call.arguments)) for call in said.calls]
    return bool(calls) and all((call.tool, _read(call.arguments)) in made for call in calls)


def _read(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def sampled(settings: Sampling, terms: SamplingTerms) -> Sampling:
    """The settings, and what the caller says otherwise."""
    return replace(
        settings,
        temperature=settings.temperature if terms.temperature is None else terms.temperature,
        top_p=settings.top_p if terms.top_p is None else terms.top_p,
        max_tokens=min(terms.max_tokens or settings.max_tokens, 1_000_000),
        stop=terms.stop or settings.stop,
        seed=settings.seed if terms.seed is None else terms.seed % SEEDS,
    )
