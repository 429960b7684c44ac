"""The models of `/v1/models`: agentd itself, and the model behind it without anything of agentd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from agentd.errors import NotFound
from agentd.ports.models import EXTRACTIVE
from agentd.serving import protocol
from agentd.serving.visits import Visit

AGENTD = "agentd"
"""Answers from the documents, with the tools and the instructions of agentd."""


class NoSuchModel(NotFound):
    param = "model"


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "agentd"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: Sequence[Model]


async def models(visit: Visit) -> list[Model]:
    """`agentd` first; what has no weights cannot answer without documents, and is not listed."""
    told = await visit.ask(protocol.Get(id="status", what="status"), protocol.Told)
    name = protocol.StatusReport.model_validate(told.data).model.name
    return [Model(id=known) for known in (AGENTD, name) if known and known != EXTRACTIVE]


async def known_model(visit: Visit, name: str) -> Model:
    """`NoSuchModel` for one that does not answer here."""
    known = await models(visit)
    for model in known:
        if model.id == name:
            return model
    names = ", ".join(model.id for model in known)
    raise NoSuchModel(f"there is no model {name!r:.100} here; use one of these: {names}.")
