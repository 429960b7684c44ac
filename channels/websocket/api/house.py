"""How the daemon is, and what the owner decides about deliveries."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, FailFast, Field

from agentd.serving import protocol
from agentd.serving.protocol.base import MAX_IDS
from channels.websocket.api.asking import ID, Asking, Ref, report

router = APIRouter(tags=["house"])


class Chosen(BaseModel):
    """Dead letters by their ids, or those that were given up at least `older_than` seconds ago."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ids: Annotated[tuple[Ref, ...], FailFast(), Field(max_length=MAX_IDS)] = ()
    older_than: float | None = Field(default=None, ge=0)


@router.get("/status", response_model_exclude_unset=True)
async def read_status(visit: Asking) -> protocol.StatusReport:
    """Is it well, and if not, what to do; the owner is told more than others."""
    return await report(visit, protocol.Get(id=ID, what="status"), protocol.StatusReport)


@router.get("/deliveries")
async def list_deliveries(visit: Asking, limit: Annotated[int, Query(ge=1, le=5000)] = 200) -> protocol.LetterList:
    """What is pending and what is dead; for the owner alone, as all that follows."""
    return await report(visit, protocol.Delivery(id=ID, what="list", limit=limit), protocol.LetterList)


@router.get("/deliveries/{event}")
async def read_delivery(event: Ref, visit: Asking) -> protocol.LetterShown:
    """One of them, with its event and all that was noted of it."""
    return await report(visit, protocol.Delivery(id=ID, what="show", ids=(event,)), protocol.LetterShown)


@router.post("/deliveries/retry")
async def retry_deliveries(chosen: Chosen, visit: Asking) -> protocol.Decided:
    """Deliver dead letters again."""
    retry = protocol.Delivery(id=ID, what="retry", ids=chosen.ids, older_than=chosen.older_than)
    return await report(visit, retry, protocol.Decided)


@router.post("/deliveries/drop")
async def drop_deliveries(chosen: Chosen, visit: Asking) -> protocol.Decided:
    """Drop dead letters for good."""
    drop = protocol.Delivery(id=ID, what="drop", ids=chosen.ids, older_than=chosen.older_than)
    return await report(visit, drop, protocol.Decided)
