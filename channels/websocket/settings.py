"""What `[channels.websocket]` of the configuration may say."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

PORT = 24368
"""The telephone keys of "agentd"; below the ports that kernels give out, and assigned to nobody by IANA."""


def _address(value: str) -> str:
    if value == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("must be the address of an interface, such as 127.0.0.1") from None


class WebSocketSettings(BaseModel):
    """`origins` are of other sites whose pages may use this daemon, `hosts` are names that it is reached by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: int = Field(default=PORT, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
