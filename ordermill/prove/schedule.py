"""Which faults there are, and the plan that a seed draws of them: when, of which kind, to whom, for how long."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import NamedTuple


class Kind(StrEnum):
    """What can be done to a shop."""

    KILL_PROCESS = "process killed"
    STOP_PROCESS = "process told to end"
    FREEZE_PROCESS = "process frozen"
    RESTART_POSTGRES = "postgres restarted at once"
    KILL_POSTGRES = "postgres killed"
    KILL_RABBITMQ = "rabbitmq killed"
    FREEZE_RABBITMQ = "rabbitmq frozen"
    LOSE_RABBITMQ = "rabbitmq's data lost"
    ALARM_RABBITMQ = "rabbitmq's alarm"
    CUT_POSTGRES = "postgres' connections cut"
    CUT_RABBITMQ = "rabbitmq's connections cut"
    HOLD_POSTGRES = "postgres unreachable"
    HOLD_RABBITMQ = "rabbitmq unreachable"
    FORGET_POSTGRES = "postgres' connections half open"
    FORGET_RABBITMQ = "rabbitmq's connections half open"
    SLOW_POSTGRES = "postgres far away"
    SLOW_RABBITMQ = "rabbitmq far away"
    REPEAT_PARCELS = "parcels published again"
    COPY_PARCELS = "parcels copied"
    POISON_BYTES = "poison: not JSON"
    POISON_SCHEMA = "poison: not an envelope"
    POISON_TOPIC = "poison: nobody's topic"
    POISON_EVENT = "poison: an event with NUL"


class Way(NamedTuple):
    """How often a kind is in the deck of a hundred, for how long it lasts, and how long its server rests then."""

    share: int
    lasts: tuple[float, float] = (0.0, 0.0)
    server: str = ""
    rest: float = 0.0


FREE = -20.0  # a connection that is half open keeps the server from nothing
WAYS = {
    Kind.KILL_PROCESS: Way(44),
    Kind.STOP_PROCESS: Way(14),
    Kind.FREEZE_PROCESS: Way(14, (0.5, 4.0)),
    Kind.RESTART_POSTGRES: Way(1, server="postgres", rest=5.0),
    Kind.KILL_POSTGRES: Way(1, server="postgres", rest=5.0),
    Kind.KILL_RABBITMQ: Way(1, server="rabbitmq", rest=14.0),
    Kind.FREEZE_RABBITMQ: Way(1, (1.0, 7.0), "rabbitmq", 3.0),
    Kind.LOSE_RABBITMQ: Way(1, server="rabbitmq", rest=16.0),
    Kind.ALARM_RABBITMQ: Way(1, (3.0, 6.0), "rabbitmq", 6.0),
    Kind.CUT_POSTGRES: Way(2, server="postgres", rest=1.0),
    Kind.CUT_RABBITMQ: Way(2, server="rabbitmq", rest=1.0),
    Kind.HOLD_POSTGRES: Way(1, (0.5, 6.0), "postgres", 2.0),
    Kind.HOLD_RABBITMQ: Way(1, (1.0, 8.0), "rabbitmq", 2.0),
    Kind.FORGET_POSTGRES: Way(1, (20.0, 20.0), "postgres", FREE),
    Kind.FORGET_RABBITMQ: Way(1, (20.0, 20.0), "rabbitmq", FREE),
    Kind.SLOW_POSTGRES: Way(1, (2.0, 5.0), "postgres", 1.0),
    Kind.SLOW_RABBITMQ: Way(1, (2.0, 8.0), "rabbitmq", 1.0),
    Kind.REPEAT_PARCELS: Way(4),
    Kind.COPY_PARCELS: Way(4),
    Kind.POISON_BYTES: Way(1),
    Kind.POISON_SCHEMA: Way(1),
    Kind.POISON_TOPIC: Way(1),
    Kind.POISON_EVENT: Way(1),
}
AIMED = {Kind.KILL_PROCESS, Kind.STOP_PROCESS, Kind.FREEZE_PROCESS}
POISON = {Kind.POISON_BYTES, Kind.POISON_SCHEMA, Kind.POISON_TOPIC, Kind.POISON_EVENT}
FIRST = 2.0
GAP = (0.45, 1.15)


@dataclass(frozen=True)
class Fault:
    """One fault: seconds after the start, what, to which process, for how long; ``noise`` decides the rest."""

    at: float
    kind: Kind
    target: str
    lasts: float
    noise: int


def draw(seed: int, seconds: float, processes: Sequence[str], brokers: Sequence[str] = ("rabbitmq",)) -> list[Fault]:
    """The plan of a run: always the same for the same seed, duration and processes, and nodes of the broker."""
    random = Random(seed)  # noqa: S311 -- it has to be repeatable
    return [_at_a_node(fault, brokers) for fault in _drawn(random, seconds, processes, _kinds(brokers))]


def _kinds(brokers: Sequence[str]) -> set[Kind]:
    """A cluster loses a node at most: the nodes keep their data in one folder."""
    return set(Kind) - ({Kind.LOSE_RABBITMQ} if len(brokers) > 1 else set())


def _at_a_node(fault: Fault, brokers: Sequence[str]) -> Fault:
    return replace(fault, target=brokers[fault.noise % len(brokers)]) if fault.target == "rabbitmq" else fault


def _drawn(random: Random, seconds: float, processes: Sequence[str], kinds: set[Kind]) -> Iterator[Fault]:
    at, deck, busy = FIRST, list[Kind](), dict[str, float]()
    while at < seconds:
        deck = deck or _shuffled(random, kinds)
        kind = next((kind for kind in deck if busy.get(WAYS[kind].server, 0.0) <= at), None)
        if kind is None:
            deck += _shuffled(random, kinds)
            continue
        deck.remove(kind)
        way = WAYS[kind]
        lasts = random.uniform(*way.lasts)
        if way.server:
            busy[way.server] = at + lasts + way.rest
        yield Fault(at, kind, random.choice(processes) if kind in AIMED else way.server, lasts, random.getrandbits(32))
        at += random.uniform(*GAP)


def _shuffled(random: Random, kinds: set[Kind]) -> list[Kind]:
    deck = [kind for kind, way in WAYS.items() if kind in kinds for _ in range(way.share)]
    random.shuffle(deck)
    return deck
