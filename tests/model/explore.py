"""Every state that the shop can get into, all interleavings and losses, with what is broken and what is stuck."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.compiled import HOLDING, Shop, Slice, Then
from tests.model.machine import Machine, Row
from tests.model.promises import View, broken, settled
from tests.model.shop import World
from tests.model.states import Order, Payment, Reservation, Scope
from tests.model.tables import order_rows, payment_rows, reservation_rows

Rows = Iterable[Row]
State = tuple[Slice, ...]


class Plan(NamedTuple):
    """What is explored. `bug` rewrites the rows of a machine: it is given the machine's name and its rows."""

    scope: Scope = Scope()
    world: World = World()
    orders: int = 1
    stock: int = 1
    bug: Callable[[str, Rows], Rows] = lambda _name, rows: rows
    forgetful: bool = True


@dataclass
class Found:
    """`broken` and `stuck` hold for each broken promise, and for one stuck state, the shortest way there."""

    shop: Shop
    states: dict[State, tuple[State, Then] | None] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    stuck: list[State] = field(default_factory=list)

    def path(self, state: State) -> list[str]:
        """How the shop came into this state, by one of the shortest ways."""
        steps: list[str] = []
        while came := self.states[state]:
            state, then = came
            steps.append(f"{then.why.who}: {then.why.trigger}")
        return steps[::-1]

    def view(self, at: Slice) -> View:
        order, reservation, payment = (self.shop.locals[n][at[n]].state for n in range(3))
        return View(order, reservation, payment, self.shop.known_books(at[3]), quiet=not at[4])

    def taken(self) -> set[tuple[str, object, str]]:
        """Which machine, in which of its states, was given which trigger by which the shop went on."""
        numbers = {(*at[:3], then.why) for (at,) in self.states for _after, then in self.shop.moves(at, short=False)}
        states = {"order": 0, "reservation": 1, "payment": 2}
        return {
            (why.who, self.shop.locals[states[why.who]][at[states[why.who]]].state, why.trigger) for *at, why in numbers
        }


def shop(plan: Plan) -> Shop:
    nothing = "-" * plan.scope.shipments
    machines = {
        "order": Machine(Order(nothing), plan.bug("order", order_rows(plan.scope))),
        "reservation": Machine(Reservation(nothing), plan.bug("reservation", reservation_rows(plan.scope))),
        "payment": Machine(Payment(), plan.bug("payment", payment_rows(plan.scope))),
    }
    return Shop(machines, plan.world, forgetful=plan.forgetful)


def explore(plan: Plan, *, at_most: int = 400_000) -> Found:
    """Goes everywhere.

    Raises:
        RuntimeError: when there are more states than `at_most`.
    """
    found = Found(shop(plan))
    start = (found.shop.start(),) * plan.orders
    found.states[start] = None
    waiting, before = deque([start]), dict[State, list[State]]()
    moves, judge = moves_of(found.shop, plan.stock), judge_of(found, plan.stock)
    while waiting:
        state = waiting.popleft()
        for after, then in moves(state):
            if then.counts and after != state:
                before.setdefault(after, []).append(state)
            if after not in found.states:
                found.states[after] = state, then
                waiting.append(after)
                judge(after)
        if len(found.states) > at_most:
            message = f"more than {at_most} states"
            raise RuntimeError(message)
    found.stuck = stuck(found, before)
    return found


def moves_of(shop: Shop, stock: int) -> Callable[[State], Iterator[tuple[State, Then]]]:
    """The moves of all orders; they meet at the shelf only."""
    known: dict[tuple[Slice, bool], list[tuple[Slice, Then]]] = {}
    holding = [local.state.status in HOLDING for local in shop.locals[1]]

    def moves(state: State) -> Iterator[tuple[State, Then]]:
        free = stock - sum(holding[at[1]] for at in state)
        short = free <= 0 and not shop.world.shelf_unchecked
        if len(state) == 1:
            yield from (((after,), then) for after, then in shop.moves(state[0], short=short))
            return
        for number, at in enumerate(state):
            if (at, short) not in known:
                known[at, short] = list(shop.moves(at, short=short))
            for after, then in known[at, short]:
                yield (*state[:number], after, *state[number + 1 :]), then

    return moves


def judge_of(found: Found, stock: int) -> Callable[[State], None]:
    """Notes the promises that a state breaks."""
    known: dict[tuple[int, int, int, int, bool], list[str]] = {}
    holding = [local.state.status in HOLDING for local in found.shop.locals[1]]

    def judge(state: State) -> None:
        if sum(holding[at[1]] for at in state) > stock:
            found.broken.setdefault("S3: more is held than there is", found.path(state))
        for at in state:
            key = (*at[:4], not at[4])
            if key not in known:
                known[key] = broken(found.view(at))
            for promise in known[key]:
                found.broken.setdefault(promise, found.path(state))

    return judge


def stuck(found: Found, before: dict[State, list[State]]) -> list[State]:
    """The states from which no moves that count lead to an end."""
    ends = {at for state in found.states for at in state if settled(found.view(at))}
    waiting = deque(state for state in found.states if ends.issuperset(state))
    alive = set(waiting)
    while waiting:
        for state in before.get(waiting.popleft(), ()):
            if state not in alive:
                alive.add(state)
                waiting.append(state)
    return [state for state in found.states if state not in alive]
