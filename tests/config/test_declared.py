"""What a model declares as `SecretStr` is secret, however deep it lies and whatever leads there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, Field, RootModel, Secret, SecretBytes, SecretStr
from typing_extensions import TypedDict

from agentd.config.declared import Secrets, declares
from agentd.host.secrets import MASK


@dataclass
class Pair:
    open: str
    shut: SecretStr


class Typed(TypedDict):
    open: str
    shut: SecretStr


class Rooted(RootModel[dict[str, SecretStr]]):
    pass


class Inner(BaseModel):
    open: int = 0
    shut: Annotated[SecretStr, Field(min_length=3)] | None = None


class Table(BaseModel):
    plain: str = ""
    mode: Literal["a", "b"] = "a"
    gate: SecretStr | None = None
    raw: SecretBytes = SecretBytes(b"")
    number: Secret[int] = Secret(1)
    named: SecretStr = Field(SecretStr(""), alias="other")
    choice: SecretStr = Field(SecretStr(""), validation_alias=AliasChoices("one", "two"))
    many: list[SecretStr] = []
    tables: Mapping[str, Inner] = {}
    accounts: tuple[Inner, ...] = ()
    inner: Inner | None = None
    pair: Pair | None = None
    typed: Typed | None = None
    rooted: Rooted = Rooted({})
    anything: Any = None


@pytest.mark.parametrize(
    "path",
    "gate raw number named other choice one two many tables.x.shut accounts.shut inner.shut pair.shut typed.shut"
    " rooted.x gate.file".split(),
)
def test_a_secret_is_found(path: str) -> None:
    assert declares(Table, path.split("."))


@pytest.mark.parametrize(
    "path",
    "plain mode tables tables.x tables.x.open accounts.open inner inner.open pair.open typed.open anything"
    " anything.shut unknown inner.unknown".split(),
)
def test_what_is_not_declared_is_no_secret(path: str) -> None:
    assert not declares(Table, path.split("."))


def test_what_is_called_like_a_secret_is_one_only_if_nothing_is_declared() -> None:
    class Counted(BaseModel):
        max_tokens: int = 0
        token: str = ""

    assert not Secrets(Counted).has(["token"]) and Secrets(None).has(["token"])
    assert Secrets(Counted).visible(["token"], "abc") == MASK, "but it is not shown"
    assert Secrets(None).visible(["x"], {"token": ["a"], "y": None}) == {"token": MASK, "y": None}
