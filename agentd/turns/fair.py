"""Which session is next: principals take turns too, so that nobody waits behind all that another one asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from agentd.records import OWNER, Principal


class ReadySessions:
    """`most` turns run at once; of these one is kept for the owner, and of the rest one for another principal, if there
    are several.
    """

    def __init__(self, most: int) -> None:
        self._others = max(1, most - 1)
        self._each = max(1, most - 2)
        self._waiting: OrderedDict[Principal, OrderedDict[str, None]] = OrderedDict()
        """The ready sessions of each principal, in the order in which they became ready; the first principal is
        next."""

    def __bool__(self) -> bool:
        """Whether a session waits."""
        return bool(self._waiting)

    def put(self, session_id: str, principal: Principal) -> None:
        """The session waits from now on; putting it again changes nothing."""
        self._waiting.setdefault(principal, OrderedDict())[session_id] = None

    def take(self, running: Mapping[Principal, int]) -> str | None:
        """The next session; None if none may run now. `running` counts the turns of each principal that run."""
        others = sum(count for principal, count in running.items() if principal != OWNER)
        for principal, sessions in self._waiting.items():
            if principal == OWNER or (others < self._others and running.get(principal, 0) < self._each):
                session_id, _ = sessions.popitem(last=False)
                self._waiting.move_to_end(principal)
                if not sessions:
                    del self._waiting[principal]
                return session_id
        return None
