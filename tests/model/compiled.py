"""The three machines, compiled to numbers, so that a million steps take seconds.

Messages that can change nothing any more are forgotten. That loses no behaviour (a test compares) and leaves a
hundredth of the states.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from tests.model.machine import Machine
from tests.model.shop import COUNTS, Books, World, commands, provider_moves

MACHINES = ("order", "reservation", "payment")
HOLDING = frozenset({"held", "committed", "consumed"})
CREATED = "order.created"

Slice = tuple[int, int, int, int, int]


class Why(NamedTuple):
    """What moved: a machine or the provider, by which trigger."""

    who: str
    trigger: str


class Then(NamedTuple):
    """What a machine does: its next state, and the messages that go out."""

    why: Why
    state: int
    sent: int
    counts: bool = True
    books: int = -1


class Local(NamedTuple):
    """One machine in one state: what it does on each message, and what the outside may pull."""

    state: Any
    heard: dict[int, Then]
    pulled: tuple[Then, ...]


class Shop:
    """One order's order, reservation and payment, with the provider's books and the messages under way, as a Slice."""

    def __init__(self, machines: dict[str, Machine], world: World, *, forgetful: bool = True) -> None:
        self.machines, self.world, self.forgetful = machines, world, forgetful
        self.messages = [Why(name, topic) for topic in self._told() for name in MACHINES if self._hears(name, topic)]
        self.bits = {message: 1 << at for at, message in enumerate(self.messages)}
        self.numbers = {name: {state: at for at, state in enumerate(machines[name].steps)} for name in MACHINES}
        self.locals = [[self._local(name, state) for state in machines[name].steps] for name in MACHINES]
        self.shelf = self.bits[Why("reservation", CREATED)]
        self.short = {local.state: self._short(local.state) for local in self.locals[1]}
        self.influence = [self._influence(at) for at in range(3)]
        self.books: dict[Books, int] = {}
        self._provider: dict[tuple[int, int], list[Then]] = {}
        self._keep: dict[tuple[int, int, int], int] = {}

    def _told(self) -> list[str]:
        steps = (step for m in self.machines.values() for by in m.steps.values() for step in by.values())
        return sorted({topic for step in steps for topic in step.tells})

    def _hears(self, name: str, topic: str) -> bool:
        return topic in self.machines[name].triggers or (topic == CREATED and name == "reservation")

    def sent(self, tells: tuple[str, ...]) -> int:
        return sum(self.bits.get(Why(name, topic), 0) for topic in tells for name in MACHINES)

    def _then(self, name: str, state: Any, on: str) -> Then | None:
        step = self.machines[name].steps[state].get(on)
        counts = on.partition(":")[0] in COUNTS
        return step and Then(Why(name, on), self.numbers[name][step.state], self.sent(step.tells), counts)

    def _local(self, name: str, state: Any) -> Local:
        mine = [(bit, topic) for (who, topic), bit in self.bits.items() if who == name]
        guarded = [(bit, f"{CREATED}:enough" if topic == CREATED else topic) for bit, topic in mine]
        heard = {bit: then for bit, on in guarded if (then := self._then(name, state, on))}
        pulls = commands(self.world, self.machines[name].triggers)
        return Local(state, heard, tuple(then for on in pulls if (then := self._then(name, state, on))))

    def _short(self, state: Any) -> Then | None:
        return self._then("reservation", state, f"{CREATED}:short")

    def _influence(self, machine: int) -> list[tuple[int, dict[int, int]]]:
        """For each state: the messages that may ever change it from here, and what each may ever make it tell."""
        name, states = MACHINES[machine], self.locals[machine]
        after = [{self.numbers[name][s.state] for s in self.machines[name].steps[at.state].values()} for at in states]
        changes = [sum(bit for bit, then in at.heard.items() if then.state != n) for n, at in enumerate(states)]
        tells = [{bit: then.sent for bit, then in at.heard.items()} for at in states]
        if machine == 1:
            for at, local in enumerate(states):
                if then := self._short(local.state):
                    tells[at][self.shelf] = tells[at].get(self.shelf, 0) | then.sent
                    changes[at] |= self.shelf
        while self._spread(after, changes, tells):
            pass
        return list(zip(changes, tells, strict=True))

    @staticmethod
    def _spread(after: list[set[int]], changes: list[int], tells: list[dict[int, int]]) -> bool:
        moved = False
        for at in reversed(range(len(after))):
            for then in after[at]:
                moved |= changes[then] | changes[at] != changes[at]
                changes[at] |= changes[then]
                for bit, sent in tells[then].items():
                    moved |= tells[at].get(bit, 0) | sent != tells[at].get(bit, 0)
                    tells[at][bit] = tells[at].get(bit, 0) | sent
        return moved

    def keep(self, *states: int) -> int:
        """The messages that can still matter to machines in these states, be it by what they make others tell."""
        if not self.forgetful:
            return -1
        if states not in self._keep:
            parts = [self.influence[at][state] for at, state in enumerate(states)]
            kept, before = parts[0][0] | parts[1][0] | parts[2][0], -1
            while kept != before:
                before = kept
                for _changes, tells in parts:
                    kept |= sum(bit for bit, sent in tells.items() if sent & kept and not bit & kept)
            self._keep[states] = kept
        return self._keep[states]

    def start(self) -> Slice:
        attempts = max(local.state.attempt for local in self.locals[2])
        order, reservation, payment = (self.numbers[name][self.machines[name].start] for name in MACHINES)
        return order, reservation, payment, self.number(Books("-" * attempts)), 0

    def number(self, books: Books) -> int:
        return self.books.setdefault(books, len(self.books))

    def known_books(self, number: int) -> Books:
        return next(islice(self.books, number, None))

    def provider(self, payment: int, books: int) -> list[Then]:
        key = payment, books
        if key not in self._provider:
            state, known = self.locals[2][payment].state, self.known_books(books)
            self._provider[key] = [
                (self._then("payment", state, move.trigger or "") or Then(Why("", ""), payment, 0))._replace(
                    why=Why("payment", move.trigger or move.label), counts=move.counts, books=self.number(move.books)
                )
                for move in provider_moves(state, known, self.world)
            ]
        return self._provider[key]

    def moves(self, at: Slice, *, short: bool) -> Iterator[tuple[Slice, Then]]:
        """What can happen next, and why. A message that was handled stays under way too: that move does not count."""
        _order, _reservation, payment, books, under_way = at
        for machine, state in enumerate(at[:3]):
            for then in self.locals[machine][state].pulled:
                yield self._after(at, machine, then, books, under_way), then
        for then in self.provider(payment, books):
            yield self._after(at, 2, then, then.books, under_way), then
        left = under_way
        while left:
            bit = left & -left
            left ^= bit
            why = self.messages[bit.bit_length() - 1]
            machine = MACHINES.index(why.who)
            local = self.locals[machine][at[machine]]
            then = self.short[local.state] if short and bit == self.shelf else local.heard.get(bit)
            then = then or Then(why, at[machine], 0)
            yield self._after(at, machine, then, books, under_way & ~bit), then._replace(counts=True)
            if self.world.duplicates:
                yield self._after(at, machine, then, books, under_way), then._replace(counts=False)

    def _after(self, at: Slice, machine: int, then: Then, books: int, under_way: int) -> Slice:
        order, reservation, payment = (*at[:machine], then.state, *at[machine + 1 : 3])
        return order, reservation, payment, books, (under_way | then.sent) & self.keep(order, reservation, payment)
