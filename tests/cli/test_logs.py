"""A record of the log is one line that nobody else can write."""

from __future__ import annotations

import logging

import pytest

from agentd.cli.logs import PlainFormatter, StandardError


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("agentd", logging.WARNING, "", 0, message, arguments, None)


def test_words_of_strangers_neither_steer_the_terminal_nor_make_a_record_of_their_own() -> None:
    written = PlainFormatter("%(levelname)s %(message)s").format(
        record("it said: %s", "\x1b[2Jno\udcff\nERROR all is lost\u2028ERROR again")
    )
    assert written == "WARNING it said: no\ufffd\n    ERROR all is lost\n    ERROR again"


def test_records_go_to_what_standard_error_is_at_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    StandardError("%(message)s").emit(record("here"))
    assert capsys.readouterr().err == "here\n"
