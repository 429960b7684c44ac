"""What `[channels.websocket]` of the configuration may say."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

PORT = 24368
"""The telephone keys of "agentd"; below the ports that kernels give out, and assigned to nobody by IANA."""


def _address(value: str) -> str:
    if value == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("must be the address of an interface, such as 127.0.0.1") from None


def _network(value: str) -> str:
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ValueError(f"must hold addresses or networks, such as 10.0.0.0/8; {value!r} is neither") from None


def _unset(value: object) -> object:
    return None if value == "" else value


File = Annotated[Path | None, BeforeValidator(_unset)]


class WebSocketSettings(BaseModel):
    """Where the gateway listens, who reaches it how, and how often they may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: int = Field(default=PORT, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tls_certificate: File = None
    tls_key: File = None
    behind_proxy: bool = False
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    user_header: str = Field(default="X-Forwarded-User", pattern=r"^[A-Za-z0-9-]+$")
    requests_per_minute: float = Field(default=1200, ge=0)
    questions_per_minute: float = Field(default=120, ge=0)

    @property
    def tls(self) -> bool:
        return self.tls_certificate is not None

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together; set both of them or none")
        if not ip_address(self.host).is_loopback and not self.tls and not self.behind_proxy:
            raise ValueError(
                f"host is {self.host}, so others could read tokens on their way; set tls_certificate and tls_key, or "
                "behind_proxy = true if a proxy in front encrypts what comes"
            )
        return self
