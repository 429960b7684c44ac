"""Turns the replies of a run into rows and a picture; pure.

right                 of the questions whose answer was read: the reply holds a gold answer
right_vs_extractive   the same beside the extractive model, on the same questions
right_passage         of the right ones: a citation names the paragraph of the answer
false_refusals        of the questions whose answer was read: the reply refuses and holds no gold answer
right_refusals        of the questions whose answer was not read: the reply refuses; also near and far alone
prompt_tokens         of a question, median
first_text, answer    seconds, median and 90th percentile, of the questions that both sides were asked without --busy
first_text_8, _4      seconds to the first text of the second question of a daemon with that `model.first_text`, median
sums                  the reply holds what the sum comes to
hello                 prompt tokens of "hello" with all tools and a context of 4,096
follow_ups            the right document is among the passages of the second question of a conversation
follow_ups_right      the reply to it holds a gold answer
stood_in              another model than the one asked answered
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.answers_data import SUMS, Collection, FollowUp, Question, page
from bench.answers_journal import Part, Reply, Who
from bench.answers_judge import Estimate, holds_number, is_right, quantile, refuses, share
from bench.report import Panel, Row

EXTRACTIVE = "extractive"
PEER = "plain prompt"
MOST = 99.0
"""The ratio if the peer has nothing at all."""

Better = Literal["more", "less"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """The facts by which the replies are judged."""

    gold: Mapping[str, Sequence[str]]
    document: Mapping[str, str]

    @classmethod
    def of(cls, collection: Collection, follow_ups: Sequence[FollowUp]) -> Known:
        both: list[Question | FollowUp] = [*collection.questions, *follow_ups]
        return cls(
            gold={each.id: each.gold for each in both},
            document={each.id: page(each.document) for each in both},
        )

    def right(self, reply: Reply) -> bool:
        return is_right(reply.text, self.gold[reply.id])

    def refused(self, reply: Reply) -> bool:
        return refuses(reply.text) and not (reply.kind == "known" and self.right(reply))

    def cited(self, reply: Reply) -> bool:
        return self.document[reply.id] in reply.cited

    def found(self, reply: Reply) -> bool:
        return self.document[reply.id] in reply.found


def rows(replies: Iterable[Reply], known: Known) -> list[Row]:
    """All rows of all models that were asked, by model."""
    table = _Table(replies, known)
    found: list[Row] = []
    for model in dict.fromkeys(reply.model for reply in table.replies):
        found += [*_quality(table, model), *_cost(table, model), *_others(table, model)]
    return [row for row in found if row.n]


class _Table:
    """The replies by part, model and side."""

    def __init__(self, replies: Iterable[Reply], known: Known) -> None:
        self.replies = list(replies)
        self.known = known

    def of(self, part: Part, model: str, who: Who = "agentd", *kinds: str) -> dict[tuple[str, str], Reply]:
        """By kind and question."""
        return {
            (reply.kind, reply.id): reply
            for reply in self.replies
            if (reply.part, reply.model, reply.who) == (part, model, who) and (not kinds or reply.kind in kinds)
        }

    def pairs(self, part: Part, model: str, *kinds: str) -> tuple[list[Reply], list[Reply]]:
        """Our replies and the peer's to questions that both answered; without a peer, all of ours."""
        ours, theirs = self.of(part, model, "agentd", *kinds), self.of(part, model, "peer", *kinds)
        both = [key for key in ours if key in theirs] if theirs else list(ours)
        return [ours[key] for key in both], [theirs[key] for key in both if key in theirs]

    def timed(self, part: Part, model: str) -> tuple[list[Reply], list[Reply]]:
        """The pairs whose seconds were measured on both sides."""
        ours, theirs = self.pairs(part, model)
        whole = [at for at, one in enumerate(ours) if one.timed and (not theirs or theirs[at].timed)]
        return [ours[at] for at in whole], [theirs[at] for at in whole if theirs]


def _quality(table: _Table, model: str) -> list[Row]:
    known = table.known
    ours, theirs = table.pairs("questions", model, "known")
    found = [_share(f"{model}.right", ours, theirs, known.right, "more")]
    if model != EXTRACTIVE:
        simple = table.of("questions", EXTRACTIVE, "agentd", "known")
        same = [reply for reply in ours if (reply.kind, reply.id) in simple]
        beside = [simple[reply.kind, reply.id] for reply in same]
        if beside:
            found.append(_share(f"{model}.right_vs_extractive", same, beside, known.right, "more", peer=EXTRACTIVE))
    right = [reply for reply in table.of("questions", model, "agentd", "known").values() if known.right(reply)]
    found += [
        _share(f"{model}.right_passage", right, [], known.cited, "more"),
        _share(f"{model}.false_refusals", ours, theirs, known.refused, "less"),
    ]
    for name, kinds in (("", ("near", "far")), ("_near", ("near",)), ("_far", ("far",))):
        ours, theirs = table.pairs("questions", model, *kinds)
        found.append(_share(f"{model}.right_refusals{name}", ours, theirs, known.refused, "more"))
    return found


def _cost(table: _Table, model: str) -> list[Row]:
    ours, theirs = table.pairs("questions", model)
    counted = all(reply.prompt_tokens for reply in ours)
    found = [_quantile(f"{model}.prompt_tokens", "tokens", ours, theirs, _tokens, 0.5)] if counted else []
    ours, theirs = table.timed("questions", model)
    for q, suffix in ((0.5, "p50"), (0.9, "p90")):
        found.append(_quantile(f"{model}.first_text_{suffix}", "s", ours, theirs, _first_text, q))
    for q, suffix in ((0.5, "p50"), (0.9, "p90")):
        found.append(_quantile(f"{model}.answer_{suffix}", "s", ours, theirs, _seconds, q))
    return found


def _others(table: _Table, model: str) -> list[Row]:
    known, found = table.known, []
    parts: tuple[Part, ...] = ("first_text_8", "first_text_4")
    for part in parts:
        ours, theirs = table.timed(part, model)
        found.append(_quantile(f"{model}.{part}", "s", ours, theirs, _first_text, 0.5))
    values = dict(SUMS)
    sums = list(table.of("sums", model).values())
    found.append(_share(f"{model}.sums", sums, [], lambda reply: holds_number(reply.text, values[reply.id]), "more"))
    hello = [reply for reply in table.of("hello", model).values() if reply.prompt_tokens]
    found.append(_quantile(f"{model}.hello", "tokens", hello, [], _tokens, 0.5))
    second = list(table.of("follow_ups", model).values())
    found.append(_share(f"{model}.follow_ups", second, [], known.found, "more"))
    found.append(_share(f"{model}.follow_ups_right", second, [], known.right, "more"))
    asked = list(table.of("questions", model).values())
    found.append(_share(f"{model}.stood_in", asked, [], lambda reply: reply.by in ("", EXTRACTIVE), "less"))
    return found if model != EXTRACTIVE else found[:-1]


def _tokens(reply: Reply) -> float:
    return reply.prompt_tokens


def _first_text(reply: Reply) -> float:
    return reply.first_text


def _seconds(reply: Reply) -> float:
    return reply.seconds


def _share(
    name: str,
    ours: Sequence[Reply],
    theirs: Sequence[Reply],
    holds: Callable[[Reply], bool],
    better: Better,
    *,
    peer: str = PEER,
) -> Row:
    value, peer_value = share([holds(reply) for reply in ours]), share([holds(reply) for reply in theirs])
    if better == "less":
        # If a share should be small, the rest is compared.
        return _row(name, "of 1", value, peer_value, peer, (1 - value.value, 1 - peer_value.value))
    return _row(name, "of 1", value, peer_value, peer, (value.value, peer_value.value))


def _quantile(
    name: str, unit: str, ours: Sequence[Reply], theirs: Sequence[Reply], of: Callable[[Reply], float], q: float
) -> Row:
    value, peer_value = quantile([of(reply) for reply in ours], q), quantile([of(reply) for reply in theirs], q)
    return _row(name, unit, value, peer_value, PEER, (peer_value.value, value.value))


def _row(name: str, unit: str, value: Estimate, theirs: Estimate, peer: str, compared: tuple[float, float]) -> Row:
    if not theirs.n:
        return Row(name=name, value=value.value, unit=unit, n=value.n, interval=(value.low, value.high))
    over, under = compared
    return Row(
        name=name,
        value=value.value,
        unit=unit,
        peer=peer,
        peer_value=theirs.value,
        ratio=over / under if under else (1.0 if not over else MOST),
        n=value.n,
        interval=(value.low, value.high),
        peer_interval=(theirs.low, theirs.high),
    )


def paired(replies: Iterable[Reply], known: Known) -> list[str]:
    """For each model, the number of questions that both sides, agentd alone, the peer alone and neither got right."""
    table = _Table(replies, known)
    lines = []
    for model in dict.fromkeys(reply.model for reply in table.replies):
        ours, theirs = table.pairs("questions", model, "known")
        if not theirs:
            continue
        sides = [(known.right(one), known.right(other)) for one, other in zip(ours, theirs, strict=True)]
        both, alone, peer, neither = (sides.count(side) for side in _SIDES)
        lines.append(f"{model}: both right {both}, agentd alone {alone}, plain prompt alone {peer}, neither {neither}")
    return lines


_SIDES = ((True, True), (True, False), (False, True), (False, False))


def panels(measured: Sequence[Row]) -> list[Panel]:
    """The panels of the picture: what was measured on both sides."""
    by_name = {row.name: row for row in measured}
    models = list(dict.fromkeys(row.name.rpartition(".")[0] for row in measured))
    shown = (
        ("right answers", "right", "of 1"),
        ("right refusals", "right_refusals", "of 1"),
        ("false refusals", "false_refusals", "of 1"),
        ("first text, median", "first_text_p50", "s"),
        ("first text with `model.first_text = 8`", "first_text_8", "s"),
        ("first text with `model.first_text = 4`", "first_text_4", "s"),
        ("answer, median", "answer_p50", "s"),
    )
    return [_panel(title, name, unit, models, by_name) for title, name, unit in shown if _some(name, models, by_name)]


def _some(name: str, models: Sequence[str], by_name: Mapping[str, Row]) -> bool:
    return any((row := by_name.get(f"{model}.{name}")) is not None and row.peer for model in models)


def _panel(title: str, name: str, unit: str, models: Sequence[str], by_name: Mapping[str, Row]) -> Panel:
    found = [(model, by_name[f"{model}.{name}"]) for model in models if f"{model}.{name}" in by_name]
    return Panel(
        title=title,
        unit=unit,
        groups=[model.replace("-", "\n", 1) for model, _ in found],
        series={
            "agentd": [row.value for _, row in found],
            PEER: [row.peer_value if row.peer else math.nan for _, row in found],
        },
    )
