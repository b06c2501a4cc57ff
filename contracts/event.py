"""What every event has in common: a topic, a subject, and a place in the registry."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from contracts.types import Value


class Event(Value, ABC):
    """A fact that has happened. It compares by value; id, time and trace are its envelope's (``contracts.envelope``).

    Raises:
        TypeError: on the definition of a second event with the same topic.
    """

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1
    registry: ClassVar[dict[str, type["Event"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "topic" in cls.__dict__ and cls.registry.setdefault(cls.topic, cls) is not cls:
            message = f"two events claim the topic {cls.topic!r}"
            raise TypeError(message)

    @property
    @abstractmethod
    def subject(self) -> str:
        """Whom the event is about: the order's id, else the sku or the user's id."""
