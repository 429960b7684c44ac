"""Questions that a tool answers alone: a sum, the time, the day. No language model is asked, so none gets it wrong.

The whole message must be such a question. Years, dates, versions, telephone numbers and what merely has numbers in it
are left to the documents and the model.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from agentd.errors import ToolError
from agentd.ports.generation import ToolCallPart
from agentd.tools.arithmetic import NoValue, evaluate
from agentd.tools.calls import FAILED
from agentd.tools.sums import sum_of

CALL_ID = "plain-1"
LONGEST = 200
"""Characters; a longer message is more than a plain question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainCall(ToolCallPart):
    """The call that answers a plain question.

    `shown` is the sum as its asker wrote it, without the words around it.
    """

    asks: Literal["sum", "time", "day", "year"]
    shown: str = ""
    german: bool = False


def call_for(message: str) -> PlainCall | None:
    """The call that answers this message; None if the message is anything but a plain question."""
    said = " ".join(message.split()).replace("\u2019", "'")
    if not said or len(said) > LONGEST:
        return None
    return _moment(said) or _sum(said)


def plain_answer(call: PlainCall, result: str) -> str:
    """What the tool gave for the call, also that there is nothing to give, as a sentence for the asker."""
    if result.startswith(FAILED):
        reason = result.removeprefix(FAILED)
        return f"{call.shown}: {reason}" if call.shown else reason
    return _sum_told(call, result) if call.asks == "sum" else _moment_told(call, result)


# --- Sums ------------------------------------------------------------------------------------------------------------


def _sum(said: str) -> PlainCall | None:
    found = sum_of(said)
    if found is None:
        return None
    try:
        evaluate(found.expression)
    except NoValue:
        pass  # that is an answer, too
    except ToolError:
        return None
    arguments = json.dumps({"expression": found.expression}, ensure_ascii=False)
    return PlainCall(
        call_id=CALL_ID, tool="calculate", arguments=arguments, asks="sum", shown=found.shown, german=found.german
    )


def _sum_told(call: PlainCall, result: str) -> str:
    value = result.removesuffix(" (rounded)")
    sign = "=" if value == result else "≈"
    return f"{call.shown} {sign} {value.replace('.', ',') if call.german else value}"


# --- Time ------------------------------------------------------------------------------------------------------------

_NOW = r"(?: (?:right )?now| at the moment| currently| today)?"
_Moment = Literal["time", "day", "year"]
_ENGLISH: dict[_Moment, str] = {
    "time": rf"what(?:'s| is) the (?:current |present )?time{_NOW}|what time is it{_NOW}|(?:the )?current time|time now"
    r"|do you know (?:what time it is|the time)|(?:can you |could you )?tell me (?:the time|what time it is)",
    "day": r"what(?:'s| is) (?:today's date|the date today|the (?:current|present) date|today|the date right now)"
    rf"|(?:what|which) (?:date|day|weekday|day of the week|month) is (?:it{_NOW}|today)"
    r"|what(?:'s| is) (?:the )?(?:day|weekday|day of the week) today|(?:the )?current date|today's date"
    r"|tell me today's date",
    "year": rf"(?:what|which) year is it{_NOW}|what(?:'s| is) the current year",
}
_GERMAN: dict[_Moment, str] = {
    "time": r"wie spät ist es(?: jetzt| gerade)?|wie ?viel uhr (?:ist es(?: jetzt| gerade)?|haben wir)"
    r"|(?:die )?aktuelle uhrzeit",
    "day": r"welche[rn] (?:wochen)?tag (?:ist|haben wir) heute|welches datum (?:ist|haben wir) heute"
    r"|welches datum ist es|de[rn] wie ?vielte[nr]? (?:ist|haben wir) heute|was ist heute für ein tag",
    "year": r"welches jahr (?:ist es|haben wir|ist jetzt)",
}
_POLITE = r"(?:please |hey |hi |hello |bitte |sag mir )?"
_MOMENTS = [
    (asks, german, re.compile(rf"{_POLITE}(?:{form})(?:,? please|,? bitte)?[?.! ]*", re.IGNORECASE))
    for german, forms in ((False, _ENGLISH), (True, _GERMAN))
    for asks, form in forms.items()
]
_WEEKDAYS = "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split()
_MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()
_TOLD = re.compile(r"\w+, (\S+ \S+) \((.*)\)")


def _moment(said: str) -> PlainCall | None:
    for asks, german, form in _MOMENTS:
        if form.fullmatch(said):
            return PlainCall(call_id=CALL_ID, tool="current_time", arguments="{}", asks=asks, german=german)
    return None


def _moment_told(call: PlainCall, result: str) -> str:
    told = _TOLD.fullmatch(result)
    if told is None:
        return result
    now, zone = datetime.fromisoformat(told[1]), told[2]
    match call.asks, call.german:
        case "time", german:
            return f"Es ist {now:%H:%M} Uhr ({zone})." if german else f"It is {now:%H:%M} ({zone})."
        case "year", german:
            return f"Wir haben das Jahr {now.year}." if german else f"It is the year {now.year}."
        case _, german:
            return f"Heute ist {_german_day(now)}." if german else f"Today is {now:%A}, {now.day} {now:%B} {now.year}."


def _german_day(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()]}, der {day.day}. {_MONTHS[day.month - 1]} {day.year}"
