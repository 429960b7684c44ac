"""The status in words: one line for each thing, and only what says something."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from agentd.ports.status import StatusReport
from agentd.records import TurnUsage
from agentd.status import text


def status_lines(told: dict[str, Any], columns: int | None = None) -> list[str]:
    return text.status_lines(StatusReport.model_validate(told), columns=columns)


def answers_line(told: dict[str, Any]) -> str:
    return text.answers_line(StatusReport.model_validate(told))


def status(**changes: Any) -> dict[str, Any]:
    delivery = {
        "waiting": 0,
        "in_flight": 0,
        "unconfirmed": 0,
        "deferred": 0,
        "oldest_age": None,
        "breaker_open": False,
        "last_delivered": None,
        "last_failed": None,
        "last_error": "",
    }
    pending: dict[str, Any] = {
        "unanswered": 0,
        "undelivered": 0,
        "deferred": 0,
        "oldest_age": None,
        "dead": 0,
        "dead_by_reason": {},
    }
    return {
        "daemon": {"version": "1", "pid": 7, "in_process": False, "state_dir": "/s", "free_mb": 1234},
        "model": {"name": "m", "note": "ready", "read_tps": None, "write_tps": None, **changes.get("model", {})},
        "documents": {"documents": 2, "chunks": 3000},
        "turns": {"running": 0, "waiting": 0},
        "usage": {"answers": 0, **changes.get("usage", {})},
        "pending": {**pending, **changes.get("pending", {})},
        "channels": [
            {"name": "c", "state": "connected", "reason": "", "delivery": {**delivery, **changes.get("delivery", {})}}
        ],
        "problems": changes.get("problems", []),
    }


def line(name: str, **changes: Any) -> str:
    (found,) = [told for told in status_lines(status(**changes)) if told.startswith(name)]
    return found.removeprefix(name).strip()


def test_where_nothing_is_owed_it_says_no_more_than_that() -> None:
    assert line("pending") == "0 unanswered, 0 undelivered, 0 dead"
    assert line("channel c") == "connected"
    assert line("health") == "well"
    assert line("agentd") == "1, pid 7"


def test_what_answers_took_is_told_once_there_is_one() -> None:
    assert not any(told.startswith("tokens") for told in status_lines(status()))
    usage = {"prompt_tokens": 8120, "cached_tokens": 220, "completion_tokens": 640, "read_seconds": 65.3}
    took = TurnUsage(**usage, write_seconds=58.0).model_dump()
    assert (
        line("tokens", usage={"answers": 12, **took})
        == "8,120 tokens read (7,900 new) at 121/s, 640 written at 11/s, in 12 answers since the start"
    )


def test_it_says_who_answers_from_how_many_documents() -> None:
    assert answers_line(status()) == "m answers (ready), from 2 documents"
    found = {**status(), "documents": {"documents": 1, "chunks": 1}, "model": {"name": "extractive", "note": "n"}}
    none = {**found, "documents": {"documents": 0, "chunks": 0}}
    theirs = {**found, "documents": None, "yours": {"documents": 1, "chunks": 1}}
    assert all(answers_line(told).startswith("no language model ") for told in (found, none, theirs))
    assert " 1 document; `agentd model list`" in answers_line(found)
    assert " none yet; `agentd model list`" in answers_line(none)
    assert answers_line(theirs).endswith(" 1 document")
    assert answers_line({**status(), "documents": {"documents": 0, "chunks": 0}}) == "m answers (ready), no documents"
    broken = {**status(problems=["model m: no such file"]), "model": {"name": "m", "note": "no such file"}}
    assert answers_line(broken) == "m cannot answer: no such file"


def test_a_person_is_not_told_the_name_of_the_model_without_weights() -> None:
    model = {"name": "extractive", "note": "no language model is chosen"}
    assert line("model", model=model).startswith(f"{model['note']}; `agentd model list`")
    report = StatusReport.model_validate(status(model=model))
    assert text.model_words(report.model) == model["note"]


def test_it_says_who_runs_the_agent() -> None:
    def told(**daemon: Any) -> str:
        return text.daemon_line(StatusReport.model_validate({**status(), "daemon": daemon}))

    assert told(pid=7).startswith("a daemon runs (pid 7)")
    assert told(pid=os.getpid(), in_process=True).startswith("no daemon runs")
    assert told(pid=7, in_process=True).startswith("a chat or ")


def test_how_fast_the_model_is_is_told_as_far_as_it_is_known() -> None:
    assert line("model") == "m: ready"
    assert line("model", model={"read_tps": 1234.5, "write_tps": 8.26}) == (
        "m: ready, reads 1,234 tokens/s, writes 8.3 tokens/s"
    )


def test_what_is_owed_is_told_with_its_age() -> None:
    pending = {"unanswered": 1, "undelivered": 4, "deferred": 3, "oldest_age": 7300.0}
    assert (
        line("pending", pending=pending)
        == "1 unanswered, 4 undelivered, 3 of them deferred, the oldest for 2 h, 0 dead"
    )


def test_a_channel_tells_what_went_and_what_failed() -> None:
    ago = (datetime.now(UTC) - timedelta(seconds=125)).isoformat()
    figures = {"waiting": 2, "in_flight": 1, "oldest_age": 90.0, "last_delivered": ago}
    told = line("channel c", delivery={**figures, "last_failed": ago, "last_error": "no route"})
    assert re.findall(r"\d+(?: min)?|connected|undelivered|delivered|failed|no route", told) == [
        *("connected", "3", "undelivered", "2 min"),
        *("delivered", "2 min", "failed", "2 min", "no route"),
    ]


def test_dead_letters_are_told_by_reason_and_the_verdict_comes_last() -> None:
    lines = status_lines(status(pending={"dead": 3, "dead_by_reason": {"blocked": 2, "gone": 1}}, problems=["a", "b"]))
    assert [text.strip() for text in lines if " dead: " in text] == ["2 dead: blocked", "1 dead: gone"]
    assert lines[-1].endswith("a; b")


def test_long_lines_go_on_below_their_beginning_and_no_word_is_broken() -> None:
    path = "/a/very/long/path/" * 4
    problem = f"channel telegram is degraded: it does not reach its server, see {path} for the log of it"
    shown = status(problems=[problem])
    lines = status_lines(shown, columns=50)
    assert [line for line in lines if len(line) > 50] == [" " * 11 + path]
    health = lines[next(n for n, line in enumerate(lines) if line.startswith("health")) :]
    assert " ".join(" ".join(health).split()) == f"health {problem}"
    assert all(line.startswith(" " * 11) for line in health[1:])
    assert status_lines(shown)[-1].endswith(problem)
