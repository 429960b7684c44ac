from __future__ import annotations

import logging

import pytest

from agentd.models.llama.native import begin, native, reason


def test_why_a_call_failed_is_told_once_and_everything_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    begin()
    reason()
    caplog.set_level(logging.WARNING, "agentd.models.llama.native")
    assert not native.llama_model_load_from_file(b"/nowhere.gguf", native.llama_model_default_params())
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    assert "/nowhere.gguf" in reason()
    assert reason() == "it gives no reason"
