"""Events told by auth_service. They carry ids, never an address: events are kept, and read by all."""

from typing import ClassVar

from contracts.event import Event
from contracts.types import Locale, UserId


class AboutUser(Event):
    """An event whose subject is a user."""

    user_id: UserId
    locale: Locale

    @property
    def subject(self) -> str:
        """The user's id."""
        return str(self.user_id)


class UserRegistered(AboutUser):
    """Somebody opened an account."""

    topic: ClassVar[str] = "user.registered"


class UserErased(AboutUser):
    """A user was erased on request; what is kept of them has to go everywhere."""

    topic: ClassVar[str] = "user.erased"
