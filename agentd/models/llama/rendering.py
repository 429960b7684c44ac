"""The chat template of a stranger is a program: it runs in a copy of the process, with limits on what it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentd.errors import ModelError
from agentd.host.limits import Crashed
from agentd.models.llama.isolate import Copy
from agentd.text.plain import plain

LONGEST_SOURCE, LONGEST_PROMPT = 262_144, 4_194_304
"""Characters of a template, and of what it may make: untrusted text does not count, as it is put in afterwards."""
SECONDS = 2.0
"""Of processor time for one prompt; templates in use take some milliseconds."""
MEMORY = 256 << 20
_LONGEST_WORDS = 200


class Renders(Protocol):
    """A template that is given."""

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> str:
        """The prompt; `ModelError` says why there is none."""
        ...


class Own:
    """A template of ours, here and now."""

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        from agentd.models.llama.jinja import environment

        self._template, self._names = environment().from_string(source), names

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> str:
        return self._template.render(
            messages=messages, tools=tools, documents=None, add_generation_prompt=True, **self._names
        )


class Stranger:
    """Begin it before a model is loaded: it is a copy of the process as it is then. `close` ends it.

    `Crashed` from `adopt` or `render`: the template went too far, and cannot be used any more.
    """

    def __init__(self) -> None:
        self._copy = Copy(_Worker().work, seconds=SECONDS, memory=MEMORY)
        self.close = self._copy.close

    def adopt(self, source: str, names: Mapping[str, str]) -> None:
        """`ModelError` where it is no template."""
        if len(source) > LONGEST_SOURCE:
            raise ModelError(f"it has {len(source)} characters, more than {LONGEST_SOURCE}")
        self._copy.ask(json.dumps([source, dict(names)]).encode())

    def render(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> str:
        return self._copy.ask(json.dumps({"messages": messages, "tools": tools}).encode()).decode()


class _Worker:
    """In the copy."""

    def __init__(self) -> None:
        self._template: Own | None = None

    def work(self, data: bytes) -> bytes:
        """What a template does wrong is its refusal, whatever it is: it is a program of a stranger."""
        try:
            asked = json.loads(data)
            if isinstance(asked, list):
                self._template = Own(*asked)
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
