"""Import strings."""

from __future__ import annotations

import pytest

from agentd.daemon import Daemon
from agentd.host.imports import named


def test_an_import_string_names_an_attribute() -> None:
    assert named("agentd.daemon:Daemon") is Daemon


@pytest.mark.parametrize("name", ["no.such.module:x", "agentd.daemon:Nothing"])
def test_what_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises((ImportError, AttributeError)):
        named(name)
