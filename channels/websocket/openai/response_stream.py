"""The stream of `POST /v1/responses`: its events in the order that clients rely on, each with its number."""

from __future__ import annotations

from typing import Any

from agentd.serving.protocol import Answer
from channels.websocket.openai.events import event
from channels.websocket.openai.respond import ResponseRequest
from channels.websocket.openai.response import (
    OutputCall,
    OutputMessage,
    OutputText,
    Reported,
    ResponseObject,
    calls_of,
    message_id,
    message_of,
    status_of,
)
from channels.websocket.openai.turned import Turned


class ResponseReply:
    """Of one turn; a stream is `begin`, any number of `more`, and `end`."""

    def __init__(self, turned: Turned, request: ResponseRequest) -> None:
        self._turned = turned
        self._request = request
        self._number = 0
        self._items = 0
        self._text: list[str] = []
        """What was sent of the message; its item was added with the first piece."""

    def whole(self, answer: Answer) -> ResponseObject:
        return Reported(turned=self._turned, request=self._request, status=status_of(answer), answer=answer).shown()

    def accepted(self) -> ResponseObject | None:
        """Of one in the background nothing is known yet but that there will be an answer."""
        if not self._request.background:
            return None
        return Reported(turned=self._turned, request=self._request, status="queued").shown()

    def begin(self) -> bytes:
        shown = Reported(turned=self._turned, request=self._request, status="in_progress").shown()
        return self._event("created", response=shown) + self._event("in_progress", response=shown)

    def more(self, text: str) -> bytes:
        added = b"" if self._text else self._add_message()
        self._text.append(text)
        return added + self._event("output_text.delta", **self._part, delta=text, logprobs=[])

    def end(self, answer: Answer) -> bytes:
        """After all of the text."""
        events = [self.more(ending)] if (ending := self._turned.ending(answer)) else []
        if self._text or not answer.calls:
            events.append(self._end_message(answer))
        events += [self._call(call) for call in calls_of(self._turned, answer)]
        shown = self.whole(answer)
        return b"".join([*events, self._event(shown.status, response=shown)])

    # --- the message ---

    @property
    def _part(self) -> dict[str, Any]:
        return {"item_id": message_id(self._turned), "output_index": 0, "content_index": 0}

    def _add_message(self) -> bytes:
        self._items = 1
        item = OutputMessage(id=message_id(self._turned), status="in_progress", content=())
        return self._event("output_item.added", output_index=0, item=item) + self._event(
            "content_part.added", **self._part, part=OutputText(text="")
        )

    def _end_message(self, answer: Answer) -> bytes:
        added = b"" if self._text else self._add_message()
        item = message_of(self._turned, answer)
        part = item.content[0]
        noted = [
            self._event("output_text.annotation.added", **self._part, annotation_index=n, annotation=annotation)
            for n, annotation in enumerate(part.annotations)
        ]
        return b"".join(
            [
                added,
                *noted,
                self._event("output_text.done", **self._part, text=part.text, logprobs=[]),
                self._event("content_part.done", **self._part, part=part),
                self._event("output_item.done", output_index=0, item=item),
            ]
        )

    # --- the calls ---

    def _call(self, call: OutputCall) -> bytes:
        index, self._items = self._items, self._items + 1
        begun = call.model_copy(update={"status": "in_progress", "arguments": ""})
        of_item = {"item_id": call.id, "output_index": index}
        said = {"name": call.name, "arguments": call.arguments}
        return b"".join(
            [
                self._event("output_item.added", output_index=index, item=begun),
                self._event("function_call_arguments.delta", **of_item, delta=call.arguments),
                self._event("function_call_arguments.done", **of_item, **said),
                self._event("output_item.done", output_index=index, item=call),
            ]
        )

    def _event(self, kind: str, /, **members: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return event({"type": f"response.{kind}", "sequence_number": number, **members}, f"response.{kind}")
