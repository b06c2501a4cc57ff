"""What can be done to the shop that is measured. It imports nothing, so that the command line knows it at once."""

from enum import StrEnum, auto


class Scenario(StrEnum):
    """What is done to the shop."""

    NORMAL = auto()
    HOT = auto()
    BACKLOG = auto()
    MILLION = auto()
    MIXED = auto()
    SLOW = auto()
