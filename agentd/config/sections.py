"""The sections of the configuration: every key with its default, its unit and its meaning."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from agentd.config.kept import Kept, secret
from agentd.host.secrets import masked

DAY = 24 * 3600.0
MIB = 1024 * 1024
MOST = 1e9
"""Of any number, so that clocks and timers can add to it; in seconds, more than 31 years."""


def _number(value: object) -> object:
    """In Python a bool is an int; in a configuration it is a mistake."""
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


def _unset(value: object) -> object:
    """An empty text takes a key that may be absent back to none, whatever a lower layer says."""
    return None if value == "" else value


def _each_once(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or len(set(value)) < len(value):
        raise ValueError("must name at least one model, and each only once")
    return value


def _user(value: str) -> str:
    try:
        pwd.getpwnam(value)
    except (KeyError, ValueError):
        raise ValueError(f"names {value!r}, but this machine has no such user") from None
    return value


def _address(value: str | None) -> str | None:
    """An address is shown and logged, so there is no secret in it."""
    if value is None:
        return None
    if not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://, as in http://127.0.0.1:8080/v1")
    if not _is_address(value):
        raise ValueError("must be an address with a host and a port from 1 to 65535, as in http://127.0.0.1:8080/v1")
    if "@" in value:
        raise ValueError(f"must not contain a name or a password; {_KEY_PLACE}")
    if masked(value) != value:
        raise ValueError(f"must not contain a key; {_KEY_PLACE}")
    return value


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0 and value.isprintable() and " " not in value
    except ValueError:  # a bracket that is not closed, or a port that is no number
        return False


_KEY_PLACE = "put the key into model.remote.api_key"


def _no_key(value: str | None) -> str | None:
    if value is not None and masked(value) != value:
        raise ValueError(f"looks like a key; {_KEY_PLACE}")
    return value


Whole = Annotated[int, BeforeValidator(_number), Field(ge=0)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Number = Annotated[float, BeforeValidator(_number), Field(ge=0, le=MOST, allow_inf_nan=False)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=MOST, allow_inf_nan=False)]


def _key(default: Any, meaning: str, *, unit: str = "", **bounds: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"unit": unit}, **bounds)


class Section(BaseModel):
    """A part of the tree; frozen, and with no other keys than these."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DaemonSection(Section):
    """Stopping has two deadlines; systemd's `TimeoutStopSec` must be longer than both together."""

    grace: Number = _key(
        20.0, "how long running turns and deliveries may continue after agentd is told to stop", unit="s"
    )
    hard_limit: Positive = _key(10.0, "how long cancelled work may then take to end", unit="s")
    owners: tuple[Annotated[str, AfterValidator(_user)], ...] = _key(
        (),
        "names of users on this machine who count as the owner, as the daemon's own user and root always do; everybody"
        " else in the socket's group has conversations of their own and nothing else",
    )
    owner_names: tuple[str, ...] = _key(
        (),
        "names that count as the owner if a proxy of `channels.websocket.trusted_proxies` says them; anybody else whom"
        " such a proxy names is a person of that name",
    )


class AgentSection(Section):
    concurrency: Count = _key(4, "how many turns run at once, each in a session of its own", unit="turns")
    queue_limit: Count = _key(20, "how many messages may wait in a session; further ones are refused", unit="messages")
    mode: Literal["queue"] = _key(
        "queue", "what a busy session does with a new message: `queue` answers it when its turn comes"
    )
    unlisted_days: Number = _key(
        7.0,
        "how long a conversation is kept that was opened for one question, as `agentd ask` does, if nobody continues"
        " it; 0 keeps it until somebody deletes it",
        unit="days",
        le=36_500,
    )


class SamplingSection(Section):
    """How a language model chooses the next token; the fields of `agentd.ports.generation.Sampling`."""

    temperature: Annotated[Number | None, BeforeValidator(_unset)] = _key(
        None,
        "how much chance there is in the choice; 0 always takes the most likely token; none means 0 for answers from"
        " documents, and the advice of the model's makers for everything else",
        le=10,
    )
    top_k: Annotated[Whole | None, BeforeValidator(_unset)] = _key(
        None, "consider only this many of the most likely tokens; 0 means no limit; none means the makers' advice"
    )
    top_p: Annotated[Number | None, BeforeValidator(_unset)] = _key(
        None,
        "consider only the most likely tokens that together reach this probability; 1 means no limit; none means the"
        " makers' advice",
        le=1,
    )
    min_p: Annotated[Number | None, BeforeValidator(_unset)] = _key(
        None,
        "drop tokens below this fraction of the top token's probability; 0 means no limit; none means the makers'"
        " advice",
        le=1,
    )
    repeat_penalty: Annotated[Positive | None, BeforeValidator(_unset)] = _key(
        None, "divide the score of recently used tokens by this; 1 changes nothing; none means the makers' advice"
    )
    seed: Annotated[Whole | None, BeforeValidator(_unset)] = _key(
        None, "the same seed gives the same answer; none means a new seed each time", lt=2**32 - 1
    )
    max_tokens: Count = _key(1024, "maximum length of an answer", unit="tokens")
    stop: tuple[str, ...] = _key((), "texts at which an answer ends")


class LimitsSection(Section):
    """How long each phase of an answer may take; the fields of `agentd.ports.generation.Limits`."""

    load: Positive = _key(300.0, "how long the model may take to load into memory", unit="s")
    first_token: Positive = _key(
        120.0,
        "how long the model may make no progress before its first token; reading the prompt is progress",
        unit="s",
    )
    idle: Positive = _key(60.0, "how long the model may take from one token to the next", unit="s")
    turn: Positive = _key(600.0, "how long a whole turn may take", unit="s")


Role = Literal["remote", "local", "extractive"]
"""A language model behind an endpoint, one in a file, and the sentences of the documents."""


class RemoteSection(Section):
    """A model server that speaks OpenAI's chat completions; the fields of `agentd.models.openai.server.Endpoint`."""

    base_url: Annotated[str | None, AfterValidator(_address), BeforeValidator(_unset)] = _key(
        None, "address of the server, as in http://127.0.0.1:8080/v1; none means no server"
    )
    name: Annotated[str | None, AfterValidator(_no_key), BeforeValidator(_unset)] = _key(
        None, "which of the server's models to ask; none means the first one that it lists"
    )
    api_key: Annotated[SecretStr | Kept | None, BeforeValidator(secret)] = _key(
        None, "the key that the server asks for; never shown and never logged"
    )
    dialect: Literal["standard", "openai", "llama-server", "vllm"] = _key(
        "standard",
        "what the server accepts beyond the standard: `openai` for api.openai.com; `llama-server` and `vllm` get every"
        " sampling setting and count tokens",
    )
    context: Annotated[Count | None, BeforeValidator(_unset)] = _key(
        None,
        "how many tokens the server has for a prompt and its answer together; none means model.context, or what the"
        " server says when it refuses a prompt",
        unit="tokens",
        ge=256,
    )
    concurrency: Count = _key(
        4, "how many requests the server gets from agentd at once; further ones wait", unit="answers"
    )
    pin_slots: bool = _key(
        False, "keep each conversation in one slot of llama-server, which needs at least `concurrency` slots"
    )
    retries: Whole = _key(2, "how often to repeat a request if nothing of its answer has arrived", unit="times", le=10)
    connect: Positive = _key(10.0, "how long it may take to connect", unit="s")
    first_token: Annotated[Positive | None, BeforeValidator(_unset)] = _key(
        None, "how long the first token may take; none means model.limits.first_token", unit="s"
    )
    idle: Annotated[Positive | None, BeforeValidator(_unset)] = _key(
        None, "how long the next token may take; none means model.limits.idle", unit="s"
    )


class ModelSection(Section):
    """`context` to `spill_bytes` and `guess` are the fields of `agentd.models.llama.settings.EngineSettings`."""

    order: Annotated[tuple[Role, ...], AfterValidator(_each_once)] = _key(
        ("remote", "local", "extractive"),
        "the models to ask, in this order, until one can answer; those that are not configured are skipped",
    )
    path: Annotated[Path | None, BeforeValidator(_unset)] = _key(
        None, "a language model (GGUF file); none means the model that `agentd model use` chose, if any"
    )
    context: Count = _key(
        8192,
        "tokens for the prompt and answer of a turn together; turns that a local model answers at once share them",
        unit="tokens",
        ge=256,
    )
    threads: Annotated[Count | None, BeforeValidator(_unset)] = _key(
        None,
        "how many threads compute; none means all cores if the machine has up to four, otherwise all but one",
        unit="threads",
    )
    gpu_layers: Annotated[Whole | None, BeforeValidator(_unset)] = _key(
        None,
        "how many layers of the model go on the GPU; none means all of them if llama.cpp finds a GPU, otherwise 0",
        unit="layers",
    )
    sequences: Count = _key(
        16, "how many conversations the model answers at once; further ones wait", unit="conversations", le=64
    )
    spill_bytes: Whole = _key(
        512 * MIB,
        "memory for conversations that no longer fit the model's cache, so that they are not read again",
        unit="bytes",
    )
    first_text: Positive = _key(
        8.0,
        "how soon the first text of an answer should come; together with how fast the model reads on this machine, it"
        " decides how much of the documents a prompt holds",
        unit="s",
    )
    instructions: str = _key(
        "", "your own instructions to every language model, such as who you are and how to answer", max_length=8000
    )
    tools: Literal["auto", "on", "off"] = _key(
        "auto",
        "whether language models are offered tools; `auto` offers them to a model in a file after a short trial shows"
        " that it uses them, and always to one on a server",
    )
    guess: bool = _key(
        True,
        "guess several tokens at once when an answer quotes; this changes how fast answers come, not what they say",
    )
    remote: RemoteSection = RemoteSection()
    sampling: SamplingSection = SamplingSection()
    limits: LimitsSection = LimitsSection()

    @model_validator(mode="after")
    def _room_for_a_prompt(self) -> Self:
        answer = self.sampling.max_tokens
        if answer >= self.context:
            raise ValueError(f"sampling.max_tokens ({answer}) leaves no room for a prompt in context ({self.context})")
        return self


class RetrievalSection(Section):
    limit: Count = _key(8, "how many passages of the documents a question is answered from", unit="passages")
    max_file_bytes: Count = _key(32 * MIB, "`agentd ingest` skips larger files and names them", unit="bytes")


class DeliverySection(Section):
    """How hard to try; all but the last are fields of `agentd.delivery.Policy`."""

    max_attempts: Count = _key(12, "minimum number of attempts before giving up", unit="attempts")
    min_age: Number = _key(DAY, "minimum age of a message before giving up", unit="s")
    max_age: Positive = _key(7 * DAY, "age at which a message is given up, after however few attempts", unit="s")
    backoff_base: Positive = _key(
        1.0, "longest wait after the first failure; it doubles with each further one", unit="s"
    )
    backoff_cap: Positive = _key(300.0, "longest wait after any failure", unit="s")
    absent_age: Positive = _key(3 * DAY, "how long an answer waits for a reader who is away", unit="s")
    absent_count: Count = _key(100, "how many answers may wait for a reader who is away", unit="answers")
    dead_retention_days: Number = _key(
        0.0, "how long dead letters are kept; 0 keeps them until a person decides", unit="days", le=36_500
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for low, high in (("min_age", "max_age"), ("backoff_base", "backoff_cap")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} ({getattr(self, low):g}) is more than {high} ({getattr(self, high):g})")
        return self


_HELD = {
    "connections": ("how many connections may be open", "connections"),
    "newcomers": ("how many connections may be made within a second", "connections"),
    "requests": ("how many requests are worked on at once beside questions, such as searches", "requests"),
    "arriving": ("how much of messages may be on its way in", "bytes"),
    "followed": ("how many sessions may be followed, over all connections", "sessions"),
    "questions": ("how many questions may wait for an answer", "questions"),
    "question_bytes": ("how much text these questions may have", "bytes"),
    "documents": ("how many documents may be uploaded", "documents"),
    "document_bytes": ("how much text these documents may have", "bytes"),
}


def _held(name: str, default: int) -> Any:
    meaning, unit = _HELD[name]
    return _key(default, meaning, unit=unit)


class OwnerBudget(Section):
    """What the owner may hold at a time; the fields of `agentd.serving.budget.Allowance`, as below."""

    connections: Count = _held("connections", 192)
    newcomers: Count = _held("newcomers", 10_000)
    requests: Count = _held("requests", 64)
    arriving: Count = _held("arriving", 32 * MIB)
    followed: Count = _held("followed", 2048)
    questions: Count = _held("questions", 10_000)
    question_bytes: Count = _held("question_bytes", 1024 * MIB)
    documents: Count = _held("documents", 1_000_000)
    document_bytes: Count = _held("document_bytes", 64 * 1024 * MIB)


class OtherBudget(Section):
    """What each of the others may hold at a time."""

    connections: Count = _held("connections", 16)
    newcomers: Count = _held("newcomers", 100)
    requests: Count = _held("requests", 8)
    arriving: Count = _held("arriving", 16 * MIB)
    followed: Count = _held("followed", 128)
    questions: Count = _held("questions", 200)
    question_bytes: Count = _held("question_bytes", 32 * MIB)
    documents: Count = _held("documents", 1000)
    document_bytes: Count = _held("document_bytes", 64 * MIB)


class BudgetsSection(Section):
    """How much of the daemon each principal may hold at once."""

    others_together: Count = _key(
        64, "how many connections all principals but the owner may have together", unit="connections"
    )
    owner: OwnerBudget = OwnerBudget()
    other: OtherBudget = OtherBudget()


class PendingSection(Section):
    """The directory of unfinished work."""

    threads: Count = _key(48, "how many writes are synced in parallel", unit="threads", le=512)
    min_free_bytes: Whole = _key(64 * MIB, "refuse new messages if less disk space than this is free", unit="bytes")
    allow_network_fs: bool = _key(
        False, "run on a network file system, which may lose what it said is stored and may not support locks"
    )
