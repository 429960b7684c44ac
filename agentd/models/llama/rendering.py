"""An untrusted chat template is a program, so it runs in a copy of the process, with limits on time and memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentd.errors import ModelError
from agentd.host.limits import Crashed
from agentd.models.llama.isolate import Copy
from agentd.text.plain import plain

LONGEST_SOURCE, LONGEST_PROMPT = 262_144, 4_194_304
"""Characters of a template, and of its result without the untrusted text, which is inserted afterwards."""
SECONDS = 2.0
"""Processor time for one prompt; templates in use take some milliseconds."""
MEMORY = 256 << 20
_LONGEST_WORDS = 200


class OwnTemplate:
    """One of our templates, which runs in this process."""

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        from agentd.models.llama.jinja import environment

        self._template, self._names = environment().from_string(source), names

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> str:
        return self._template.render(
            messages=messages, tools=tools, documents=None, add_generation_prompt=True, **self._names
        )


class UntrustedTemplate:
    """Make it before a model is loaded, because it is a copy of the process as it is then. `close` ends it.

    If `adopt` or `render` raises `Crashed`, the template has exceeded a limit and cannot be used any more.
    """

    def __init__(self) -> None:
        self._copy = Copy(_Worker().work, seconds=SECONDS, memory=MEMORY)
        self.close = self._copy.close

    def adopt(self, source: str, names: Mapping[str, str]) -> None:
        """Use this template; `ModelError` if it is not a template."""
        if len(source) > LONGEST_SOURCE:
            raise ModelError(f"it has {len(source)} characters, more than {LONGEST_SOURCE}")
        self._copy.ask(json.dumps([source, dict(names)]).encode())

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> str:
        return self._copy.ask(json.dumps({"messages": messages, "tools": tools}).encode()).decode()


class _Worker:
    """Runs in the copy."""

    def __init__(self) -> None:
        self._template: OwnTemplate | None = None

    def work(self, data: bytes) -> bytes:
        """Every error of the template counts as its refusal, because it is an untrusted program."""
        try:
            asked = json.loads(data)
            if isinstance(asked, list):
                self._template = OwnTemplate(*asked)
                return b""
            assert self._template is not None
            prompt = self._template.render(**asked)
        except MemoryError:
            raise Crashed(f"it needs more than {MEMORY >> 20} MiB of memory") from None
        except Exception as error:
            raise ModelError(plain(str(error) or type(error).__name__)[:_LONGEST_WORDS]) from None
        if len(prompt) > LONGEST_PROMPT:
            raise Crashed(f"it makes a prompt of {len(prompt)} characters, more than {LONGEST_PROMPT}")
        return prompt.encode("utf-8", "replace")
