"""Every error that agentd raises on purpose; the message says what happened and what to do next."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from agentd.text.plain import plain_error


class AgentdError(Exception):
    """Something that a person can act on; `str(error)` is shown to them as it is."""

    code: ClassVar[str] = "error"
    """Stable name of the kind of error, sent to clients and written to logs."""
    exit_code: ClassVar[int] = 1
    """What a command that ends with this error exits with (sysexits if one fits)."""

    def __init__(self, message: str = "") -> None:
        super().__init__(plain_error(message))


class UsageError(AgentdError):
    """The command or request was not of the form that it must have."""

    code = "usage"
    exit_code = 2


class ConfigError(AgentdError):
    """A setting is wrong; the message names the key, where it was read and the fix."""

    code = "config"
    exit_code = 78


class NewerVersion(AgentdError):
    """Something on disk was written by a newer agentd; nothing was touched."""

    code = "newer_version"
    exit_code = 78


class StateError(AgentdError):
    """The state directory cannot be used: read-only, full, not ours or on a network file system."""

    code = "state"


class StateInUse(StateError):
    """Another process holds the lock of the state directory."""

    code = "state_in_use"

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class Unreadable(StateError):
    """The file of a pending event does not hold the event any more; `Pending.set_aside` is what is left to do."""

    code = "unreadable"


class Unreachable(AgentdError):
    """No daemon answers, or it does not let us in."""

    code = "unreachable"
    exit_code = 3


class Impostor(Unreachable):
    """Somebody answers on the socket who must not be believed to be a daemon; nothing was sent to them."""

    code = "impostor"


class ModelError(AgentdError):
    """The model could not answer."""

    code = "model"
    exit_code = 5


class ModelUnavailable(ModelError):
    """The model can answer nobody at the moment; another one should be asked for a while."""

    code = "model_unavailable"


class ToolError(AgentdError):
    """A tool could not do what was asked; the model reads the message and may call again."""

    code = "tool"


class PromptTooLong(ModelError):
    """The prompt does not fit into the context of the model; the model is not at fault.

    `context` is that context in tokens, None if it is not known.
    """

    code = "prompt_too_long"

    def __init__(self, message: str, *, context: int | None) -> None:
        super().__init__(message)
        self.context = context


class TimedOut(AgentdError):
    """A named limit has passed."""

    code = "timeout"
    exit_code = 124


class NotAccepted(AgentdError):
    """The message was not stored, so nobody may confirm it; offering it again is safe."""

    code = "not_accepted"


class Stopping(NotAccepted):
    """The daemon takes nothing in any more; another one, or its next start, will."""

    code = "stopping"


class IdReused(NotAccepted):
    """A message id was offered again with other content."""

    code = "id_reused"


class Busy(NotAccepted):
    """A bounded queue is full; try again later."""

    code = "busy"


class TooOften(Busy):
    """Asked too often in a short time; in so many `seconds` there is room for it."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Forbidden(UsageError):
    """Whoever asks may not do this, or the token, or the page, that they came with is not good for it."""

    code = "forbidden"


class Unauthorized(AgentdError):
    """What somebody came with does not let them in, or no longer."""

    code = "unauthorized"


class NotFound(AgentdError):
    """There is no such session, document or event, or it belongs to somebody else."""

    code = "not_found"


class DeliveryFailure(Exception):
    """Why a channel could not send; the three kinds decide what happens to the event."""

    def __init__(self, message: str = "") -> None:
        super().__init__(plain_error(message))


class Retry(DeliveryFailure):
    """The platform may take it later (network, 5xx): back-off, costs an attempt.

    `uncertain` says that the platform may have taken it already (its reply was lost): the next send is a repeat.
    """

    def __init__(self, message: str, *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain


class Wait(DeliveryFailure):
    """Not now, through no fault of the message (429, nobody there): costs no attempt.

    `until` is when to try again; None waits until the channel says that the address can be reached.
    """

    def __init__(self, message: str, *, until: datetime | None) -> None:
        super().__init__(message)
        self.until = until


class Permanent(DeliveryFailure):
    """The platform will never take it (blocked, chat gone, 400): straight to the dead letters."""
