"""What the network, the broker, time and the processes do: deliver in any order, again, to another, or half-way."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.broker import Publishing
from tests.stateful.faults import Fault, Mood
from tests.stateful.loops import HOSTED, LOOPS
from tests.stateful.machine import Machine, either, faults, seldom, which

A_LEASE, A_CARE = timedelta(seconds=31), timedelta(seconds=11)
PASSING = (timedelta(seconds=1), A_LEASE, timedelta(minutes=16), timedelta(minutes=31), timedelta(hours=25))
ATTEMPTS, STARTS = 8, 3


class Messages(Machine):
    """Nothing here is the shop's fault; all of it is the shop's to survive."""

    @rule(publishing=st.sampled_from(Publishing))
    def publish(self, publishing):
        self.run(self.shop.relay(publishing))
        self.note(f"a relay: {publishing}")

    @rule(number=which, at=either, fault=seldom)
    def deliver(self, number, at, fault):
        """Any message that waits, whenever it was told."""
        self.run(self.shop.relay())
        if self.shop.broker.waiting:
            message = self.shop.broker.take(number)
            self._deliver(message, at, fault=fault)

    def _deliver(self, message, at, **given):
        self.run(self.shop.broker.deliver([message], self.shop.processes[message.listener][at], **given))

    @rule(seed=st.integers(0, 7))
    def deliver_all(self, seed):
        """All that waits at once, in any order, where the seed is odd to two consumers at the same time."""
        self.run(self.shop.relay())
        self.run(self.shop.deliver_all(seed))

    @precondition(lambda self: self.shop.broker.acknowledged)
    @rule(number=st.integers(0, 199), at=either, redelivered=st.booleans(), fault=seldom)
    def redeliver(self, number, at, redelivered, fault):
        """A message whose acknowledgement was lost, or that was published twice, however old it is."""
        old = self.shop.broker.acknowledged
        self._deliver(old[-1 - number % len(old)], at, redelivered=redelivered, fault=fault)
        self.note("redelivered")

    @rule(loop=st.sampled_from(sorted(LOOPS)), at=either, fault=seldom)
    def work(self, loop, at, fault):
        self.run(self.shop.work(loop, at, fault=fault))

    @rule(mood=st.sampled_from(Mood), at=either, fault=seldom)
    def charge(self, mood, at, fault):
        """What is to be charged or returned by now is asked of the provider."""
        self.run(self.shop.relay())
        self.run(self.shop.deliver_all())
        self.run(self.shop.work("charging", at, mood=mood, fault=fault))
        self.note(f"the provider: {mood}")

    @rule(passed=st.sampled_from(PASSING))
    def time_passes(self, passed):
        self.run(self.shop.stage.pass_time(passed))

    @rule()
    def a_good_hour(self):
        """Everything works, until nothing moves."""
        self.run(self.shop.settle())

    @rule(service=st.sampled_from(HOSTED), at=either)
    def die(self, service, at):
        """Between two steps; what it had in memory is gone."""
        self.run(self.shop.processes[service][at].die())

    @rule(number=which, at=either, attempts=st.integers(1, ATTEMPTS))
    def fail(self, number, at, attempts):
        """An event cannot be handled, for a while, or until it is parked. Its neighbours are handled."""
        self.run(self.shop.relay())
        poisonable = [m for m in self.shop.broker.waiting if m.topic.split(".")[0] not in {"product", "stock.low"}]
        if not poisonable:
            return
        message = poisonable[number % len(poisonable)]
        self.shop.broker.waiting.remove(message)
        for placed in self.placed:
            if str(placed.id) in message.body:
                self.run(self.shop.stage.poison(message.listener, placed.id))
        self._deliver(message, at)
        for _ in range(attempts - 1):
            self.run(self._retry(message.listener, at))
        self.run(self.shop.stage.cure())

    async def _retry(self, service, at, fault=None):
        await self.shop.stage.make_due(service)
        await self.shop.work(f"deferred of {service}", at, fault=fault)

    @rule(number=which, at=either, starts=st.integers(1, STARTS), point=st.integers(3, 9))
    def kill_by_a_message(self, number, at, starts, point):
        """A message kills whoever handles it: it alone is parked, at the third start."""
        self.run(self.shop.relay())
        if not self.shop.broker.waiting:
            return
        message = self.shop.broker.take(number)
        self._deliver(message, at, fault=Fault("kill", 2))
        self.run(self.shop.deliver_all())
        for _ in range(starts):
            self.run(self._retry(message.listener, at, fault=Fault("kill", point)))
            self.run(self.shop.stage.pass_time(A_CARE))

    @rule()
    def replay_the_parked(self):
        if self.run(self.shop.replay_parked()):
            self.note("parked events were replayed")

    @precondition(lambda self: self.placed)
    @rule(at=either, fault=faults)
    def interrupt_the_deadlines(self, at, fault):
        self.run(self.shop.work("deadlines", at, fault=fault))
        self.run(self.shop.work("deadlines", 1 - at))
        overdue = "SELECT count(*) FROM order_service.orders WHERE due_at <= (SELECT at FROM stage.time)"
        assert self.one(overdue)["count"] == 0
