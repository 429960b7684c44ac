"""Who somebody is at the way in of a channel, and for whom that channel may speak from then on."""

from __future__ import annotations

import gc
import os
import socket

import pytest

from agentd.errors import UsageError
from agentd.host.peers import Peer
from agentd.records import OWNER, Principal
from agentd.serving.gate import WEB, Gate


def nobody(connection: socket.socket) -> Peer:
    raise AssertionError("nobody connects")


def gate(channel: str = WEB) -> Gate:
    return Gate(channel, [os.getuid()], nobody)


async def test_a_secret_that_was_never_given_out_lets_nobody_in() -> None:
    for secret in ("", "x", "agentd_", "agentd_" + "a" * 43):
        assert await gate().bearer(secret) is None


def test_the_channel_of_the_web_speaks_for_people_as_long_as_they_are_there() -> None:
    web = gate()
    ann = web.person("ann")
    assert ann == Principal(kind="person", id="ann") and web.known(ann) is ann
    again = web.person("ann")
    del ann
    gc.collect()
    assert web.known(again) is again
    del again
    gc.collect()
    with pytest.raises(UsageError, match="may not speak"):
        web.known(Principal(kind="person", id="ann"))


def test_the_channel_of_the_web_speaks_for_nobody_else() -> None:
    web = gate()
    _ann = web.person("ann")
    for other in (OWNER, Principal(kind="person", id="ben"), Principal(kind="user", id="0")):
        with pytest.raises(UsageError, match="may not speak"):
            web.known(other)


def test_no_other_channel_names_people() -> None:
    for name in ("terminal", "mallory"):
        with pytest.raises(UsageError, match="may not name"):
            gate(name).person("ann")
