"""Who somebody is, at the way in of one channel: the only place where principals are made of what was shown there."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection
from weakref import WeakValueDictionary

from agentd.errors import Forbidden, UsageError
from agentd.host.peers import Peer
from agentd.ports.channels import Caller
from agentd.ports.tokens import Token
from agentd.records import Address, Principal, Sender
from agentd.rights import local_principal, person
from agentd.serving.tokens import TokenDesk

LOCAL = "terminal"
"""The channel that serves the sockets of this machine, and so may speak for its users."""
WEB = "websocket"
"""The channel that may stand behind a proxy which says who somebody is."""


class Gate:
    """Says whose a request of one channel is. No other principal is taken of the channel, at any part of its door.

    `owners` are the uids that the owner has besides the daemon's own, `owner_names` the names that a trusted proxy has
    for them; `peer` tells who connected.
    """

    def __init__(
        self,
        channel: str,
        owners: Collection[int],
        owner_names: Collection[str],
        peer: Callable[[socket.socket], Peer],
        tokens: TokenDesk,
    ) -> None:
        self.channel = channel
        self._owners = {0, os.geteuid(), *owners}
        self._owner_names = frozenset(owner_names)
        self._peer = peer
        self._tokens = tokens
        self._given: WeakValueDictionary[tuple[str, str], Principal] = WeakValueDictionary()

    def local(self, connection: socket.socket, *, group: int | None) -> Caller | None:
        """Who connected to a unix socket that is shared with `group`; None for somebody who may not come in.

        `UsageError` for a channel that does not serve the sockets of this machine.
        """
        if self.channel != LOCAL:
            raise UsageError(f"channel {self.channel} may not speak for users of this machine; {LOCAL} does that.")
        peer = self._peer(connection)
        principal = local_principal(peer.uid, peer.groups, self._owners, group)
        sender = Sender(id=str(peer.uid), name=f"pid {peer.pid}")
        return None if principal is None else Caller(principal=principal, sender=sender)

    async def bearer(self, secret: str) -> Caller | None:
        """Who shows this secret of a token or of the page's cookie; None for one that lets nobody in (any more)."""
        token = await self._tokens.bearer(secret)
        return None if token is None else self._caller(token)

    async def swap(self, ticket: str) -> tuple[Caller, str] | None:
        """Who shows this ticket, and the secret of the cookie that their page gets; None for one that is not good."""
        swapped = await self._tokens.swap(ticket)
        return None if swapped is None else (self._caller(swapped[0]), swapped[1])

    async def log_out(self, secret: str) -> None:
        """The page that shows this secret is let in no more; harmless if it was not."""
        await self._tokens.log_out(secret)

    def _caller(self, token: Token) -> Caller:
        return Caller(
            principal=self._give(token.principal),
            sender=Sender(id=token.name, name=f"{token.way} {token.name}"),
            scopes=frozenset(token.scopes),
            token=token.id,
        )

    def person(self, name: str) -> Principal:
        """Who has this name at a proxy that the channel trusts; `UsageError` for every channel but the web's.

        The owner is nobody but those whom the settings name so.
        """
        if self.channel != WEB:
            raise UsageError(f"channel {self.channel} may not name people; {WEB} does that.")
        return self._give(Principal(kind="owner") if name in self._owner_names else person(name))

    def _give(self, principal: Principal) -> Principal:
        """It is known here from now on, as long as somebody holds what this returns."""
        return self._given.setdefault((principal.kind, principal.id), principal)

    def chat(self, chat: str) -> Principal:
        """Who writes in this chat of the channel's platform."""
        return Principal(kind="chat", id=f"{self.channel}:{chat}")

    def known(self, principal: Principal) -> Principal:
        """`UsageError` for a principal that was not given out here."""
        if self.channel == LOCAL:
            given = principal.kind in ("owner", "user")
        elif principal.kind == "chat":
            given = principal.id.startswith(f"{self.channel}:")
        else:
            given = (principal.kind, principal.id) in self._given
        if not given:
            raise UsageError(
                f"channel {self.channel} may not speak for {principal.kind} {principal.id}".rstrip()
                + "; take the principal from `door.principals`."
            )
        return principal

    def here(self, principal: Principal) -> Principal:
        """`Forbidden` unless they came over a socket of this machine."""
        if self.channel != LOCAL:
            raise Forbidden("that is done in a shell on the machine itself: `agentd token`, `agentd open`.")
        return self.known(principal)

    def own(self, address: Address) -> Address:
        """`UsageError` for an address of another channel."""
        if address.channel != self.channel:
            raise UsageError(f"channel {self.channel} may not use an address of channel {address.channel}.")
        return address
