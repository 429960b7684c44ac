from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agentd.models.llama.native import begin, native, reason
from agentd.testing.gguf import write_random_model, write_table_model

pytestmark = pytest.mark.native


def test_why_a_call_failed_is_told_once_and_everything_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    begin()
    reason()
    caplog.set_level(logging.WARNING, "agentd.models.llama.native")
    assert not native.llama_model_load_from_file(b"/nowhere.gguf", native.llama_model_default_params())
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    assert "/nowhere.gguf" in reason()
    assert "/nowhere.gguf" not in reason()


def test_what_is_told_by_the_way_is_at_debug_level(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    write_random_model(tmp_path / "small.gguf")
    begin()
    caplog.set_level(logging.DEBUG, "agentd.models.llama.native")
    model = native.llama_model_load_from_file(
        str(tmp_path / "small.gguf").encode(), native.llama_model_default_params()
    )
    native.llama_model_free(model)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert any("loaded meta data" in record.getMessage() for record in caplog.records)


def test_a_fault_of_a_file_that_llama_cpp_mends_itself_is_at_debug_level(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """The file calls a token a word that ends answers."""
    write_table_model(tmp_path / "small.gguf", {"<|endoftext|>": "a"})
    begin()
    caplog.set_level(logging.DEBUG, "agentd.models.llama.native")
    model = native.llama_model_load_from_file(
        str(tmp_path / "small.gguf").encode(), native.llama_model_default_params()
    )
    native.llama_model_free(model)
    mended = [record for record in caplog.records if "control-looking" in record.getMessage()]
    assert mended and {record.levelno for record in caplog.records} == {logging.DEBUG}
