"""A process of another user of this machine: `asks SOCKET FILE` as a client, `answers SOCKET` in the place of a daemon.

It is started as root and becomes that user before it does anything, so that everything it imports can be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentd.errors import AgentdError
from agentd.serving import protocol
from agentd.serving.client import Client

UID, GROUP = 65534, 65534


def become() -> None:
    os.setgroups([])
    os.setgid(GROUP)
    os.setuid(UID)


async def asks(path: Path, note: Path) -> dict[str, Any]:
    """What the daemon lets this user see and do."""
    told: dict[str, Any] = {}
    async with await Client.connect(path, name="another user") as client:
        told["sessions"] = (await client.sessions()).as_json()["sessions"]
        opened = await client.open("diary", history=10)
        told["history"] = [line.text for line in opened.history]
        told["status"] = sorted((await client.status()).as_json())
        told["ingest"] = await refusal(client, note)
        for name, attempt in (
            ("model", client.command("/model none")),
            ("letters", client.letters()),
            ("hand_over", client.hand_over()),
        ):
            try:
                told[name] = repr(await attempt)
            except AgentdError as error:
                told[name] = f"{error.code}: {error}"
        await client.post(opened.session, "What is the zebrakey?")
        async for message in client.messages():
            if isinstance(message, protocol.Answer):
                told["answer"] = message.text
                await client.ack(message.id)
                return told
    raise AssertionError("the connection ended")


async def refusal(client: Client, note: Path) -> str:
    try:
        async for state in client.ingest([note]):
            if state.finished:
                return f"{state.added} added"
    except AgentdError as error:
        return f"{error.code}: {error}"
    return "nothing"


def answers(path: str) -> None:
    """Listen, and take in whatever one client sends until it goes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        print("listening", flush=True)
        connection, _ = listener.accept()
        with connection:
            welcome = protocol.Welcome(server="agentd", epoch="e", pid=1)
            got = b""
            with suppress(ConnectionError):
                connection.sendall(protocol.encode(welcome))
                while data := connection.recv(65536):
                    got += data
    print(json.dumps(got.decode()), flush=True)


if __name__ == "__main__":
    become()
    if sys.argv[1] == "asks":
        print(json.dumps(asyncio.run(asks(Path(sys.argv[2]), Path(sys.argv[3])))))
    else:
        answers(sys.argv[2])
