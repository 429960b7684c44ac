"""The figures of `ports.status` as text for people."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime

from agentd.delivery.decisions import duration
from agentd.ports.models import EXTRACTIVE, answering
from agentd.ports.status import ChannelFigures, ModelFigures, PendingFigures, StatusReport, UsageFigures
from agentd.status.usage import tokens_told
from agentd.text.plain import ENDLESS, plain_line

MODELS_ADVICE = "`agentd model list` shows language models"


def status_lines(status: StatusReport, *, columns: int | None = None) -> list[str]:
    """One line for each thing that can be well or not, and the verdict last.

    A line that is longer than `columns` continues below its own beginning; a word, such as a path, is never broken.
    """
    rows = list(_rows(status))
    width = max(len(name) for name, _ in rows)
    lines = (f"{name:<{width}}  {plain_line(value, ENDLESS)}".rstrip() for name, value in rows)
    return list(lines) if columns is None else [part for line in lines for part in _wrapped(line, columns, width + 2)]


def answers_line(status: StatusReport) -> str:
    """Which model answers, and from how many documents."""
    model, found = status.model, status.documents or status.yours
    if found is None:
        return f"{model.name} answers ({model.note})"
    count = found.documents
    documents = "1 document" if count == 1 else f"{count:,} documents"
    if model.name == EXTRACTIVE:
        words = "no language model is chosen: answers are sentences of"
        told = f"{words} {documents}" if count else f"{words} your documents, and there are none yet"
        return told if status.documents is None else f"{told}; {MODELS_ADVICE}"
    if any(problem.startswith(f"model {model.name}: ") for problem in status.problems):
        return f"{model.name} cannot answer: {model.note}"
    return f"{model.name} answers ({model.note}), " + (f"from {documents}" if count else "no documents")


def who_answers(status: StatusReport) -> str:
    """The same in a few words."""
    return answering(status.model.name)


def daemon_line(status: StatusReport) -> str:
    """Who runs the agent, for a person in a chat: a daemon that stays, this chat, or another command."""
    pid = status.daemon.pid
    if not status.daemon.in_process:
        return f"a daemon runs (pid {pid}); it goes on when you leave"
    if pid == os.getpid():
        return "no daemon runs, so this chat runs agentd itself until you leave; `agentd run` can take over"
    return f"a chat or another command runs agentd (pid {pid}); when that ends, this chat runs it itself"


def model_words(model: ModelFigures) -> str:
    """Which model answers, and how it is."""
    return model.note if model.name == EXTRACTIVE else f"{model.name} answers: {model.note}"


def _wrapped(line: str, columns: int, indent: int) -> list[str]:
    if len(line) <= columns:
        return [line]
    # The name and the blanks after it stay as they are.
    name, value = line[:indent], line[indent:]
    parts = textwrap.wrap(value, max(20, columns - indent), break_long_words=False, break_on_hyphens=False)
    return [name + parts[0], *(" " * indent + part for part in parts[1:])]


def _rows(status: StatusReport) -> Iterator[tuple[str, str]]:
    daemon, model = status.daemon, status.model
    where = "no daemon runs" if daemon.pid is None else f"pid {daemon.pid}"
    if daemon.in_process:
        here = daemon.pid == os.getpid()
        where = "in this process; no daemon runs" if here else f"in a chat or another command, {where}"
    yield "agentd", f"{daemon.version}, {where}"
    if daemon.state_dir:
        room = "nothing is there yet" if daemon.free_mb is None else f"{daemon.free_mb:,} MB free"
        yield "state", f"{daemon.state_dir}, {room}"
    if model.name == EXTRACTIVE:
        yield "model", f"{model.note}; {MODELS_ADVICE}" if status.documents is not None else model.note
    else:
        yield "model", f"{model.name}: {', '.join((model.note, *_speeds(model)))}"
    if (documents := status.documents or status.yours) is not None:
        yield "documents", f"{documents.documents:,} ({documents.chunks:,} passages)"
    yield from _work(status)
    yield "health", "; ".join(status.problems) or "well"


def _work(status: StatusReport) -> Iterator[tuple[str, str]]:
    """The lines for the owner alone."""
    if status.turns is not None:
        yield "turns", f"{status.turns.running} running, {status.turns.waiting} waiting"
    if status.usage is not None and status.usage.answers:
        yield "tokens", _usage(status.usage)
    if status.pending is not None:
        yield "pending", _pending(status.pending)
        for reason, count in status.pending.dead_by_reason.items():
            yield "", f"{count} dead: {reason}"
    for channel in status.channels:
        yield f"channel {channel.name}", _channel(channel)


def _usage(usage: UsageFigures) -> str:
    answers = "1 answer" if usage.answers == 1 else f"{usage.answers:,} answers"
    return f"{', '.join(tokens_told(usage))}, in {answers} since the start"


def _speeds(model: ModelFigures) -> Iterator[str]:
    for what, speed in (("reads", model.read_tps), ("writes", model.write_tps)):
        if speed:
            yield f"{what} {speed:,.0f} tokens/s" if speed >= 10 else f"{what} {speed:.1f} tokens/s"


def _pending(pending: PendingFigures) -> str:
    told = [f"{pending.unanswered} unanswered", f"{pending.undelivered} undelivered"]
    if pending.deferred:
        told.append(f"{pending.deferred} of them deferred")
    if pending.oldest_age is not None:
        told.append(f"the oldest for {duration(pending.oldest_age)}")
    return ", ".join([*told, f"{pending.dead} dead"])


def _channel(channel: ChannelFigures) -> str:
    state = f"{channel.state} at {channel.address}" if channel.address else channel.state
    told = [": ".join(filter(None, (state, channel.reason)))]
    figures = channel.delivery
    owed = figures.waiting + figures.in_flight + figures.unconfirmed
    if owed:
        told.append(f"{owed} undelivered for up to {duration(figures.oldest_age or 0.0)}")
    if figures.last_delivered:
        told.append(f"last delivered {_ago(figures.last_delivered)}")
    if figures.last_failed:
        told.append(f"last failed {_ago(figures.last_failed)}: {figures.last_error}")
    return ", ".join(told)


def _ago(time: datetime) -> str:
    return f"{duration(max(0.0, (datetime.now(UTC) - time).total_seconds()))} ago"
