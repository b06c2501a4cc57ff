"""Who asks."""

import math
from dataclasses import dataclass, field
from uuid import UUID

from chassis.ids import typeid
from contracts.types import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the user behind a checked access token. A session has no scopes: it may do whatever its role may.

    An API key has some, and may do within them what its owner's role may; ``session_id`` is the key's id then.
    Whether it has ended can be known until the token expires, ``good_until`` (Unix time), and no longer.
    """

    user_id: UUID
    role: Role
    session_id: UUID
    scopes: frozenset[str] = frozenset()
    good_until: float = field(default=math.inf, compare=False)

    @property
    def is_staff(self) -> bool:
        """Whether they work here."""
        return self.role is not Role.CUSTOMER

    def may(self, scope: str | None) -> bool:
        """Whether the scope that a route asks for is theirs; None is what no key may have."""
        return not self.scopes or scope in self.scopes

    @property
    def actor(self) -> str:
        """The user's TypeID, as histories name them."""
        return typeid("usr", self.user_id)
