"""What goes wrong, how often, and how long everything takes: drawn from the seed, each by itself."""

from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Any


def _often(*choices: float) -> Any:
    """A probability that is one of these; the first is what is left when the faults stop."""
    return field(default=choices[0], metadata={"choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities. Without arguments nothing goes wrong."""

    # of a process, each time that one of its tasks comes to rest
    killed: float = _often(0, 0.04, 0.06, 0.08)
    # the same, where this run waits for the first time: hardly any crash would hit a place that is seldom reached
    killed_at_first: float = _often(0, 0.2, 0.4, 0.6)
    stopped: float = _often(0, 0, 0.0005, 0.002)
    frozen: float = _often(0, 0, 0.0005, 0.002)
    # of a statement or a commit
    connection_lost: float = _often(0, 0, 0.002, 0.01)
    statement_fails: float = _often(0, 0, 0.002, 0.02)
    conflict: float = _often(0, 0, 0.01, 0.05)
    fate_unknown: float = _often(0, 0, 0.01, 0.05)
    # of a message
    publish_lost: float = _often(0, 0, 0.02, 0.1)
    confirm_lost: float = _often(0, 0, 0.02, 0.1)
    refused: float = _often(0, 0, 0.01, 0.1)
    duplicated: float = _often(0, 0.02, 0.2)
    overtakes: float = _often(0, 0.1, 0.5, 1)
    ack_lost: float = _often(0, 0, 0.02, 0.1)
    # of a call to the provider
    call_lost: float = _often(0, 0.05, 0.3)
    answer_lost: float = _often(0, 0.05, 0.3)
    lands_late: float = _often(0, 0.02, 0.2)
    busy: float = _often(0, 0.02, 0.2)
    refund_refused: float = _often(0, 0, 0.05, 0.3)
    webhook_lost: float = _often(0, 0.1, 0.5)
    # of a request over HTTP
    request_lost: float = _often(0, 0.02, 0.2)
    reply_lost: float = _often(0, 0.02, 0.2)
    # of a mail, and of asking for its address
    mail_delayed: float = _often(0, 0.05, 0.3)
    mail_unanswered: float = _often(0, 0.02, 0.2)
    mail_refused: float = _often(0, 0, 0.05)
    contact_unreachable: float = _often(0, 0.02, 0.2)
    # of a server, each second
    database_restarts: float = _often(0, 0, 0.01, 0.05)
    broker_restarts: float = _often(0, 0, 0.01, 0.05)

    @classmethod
    def drawn(cls, rng: Random) -> "Faults":
        return cls(**{each.name: rng.choice(each.metadata["choices"]) for each in fields(cls)})

    def without(self, *names: str) -> "Faults":
        return replace(self, **dict.fromkeys(names, 0.0))


NONE = Faults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long things take and last, in seconds; and how many items a batch takes at most."""

    latency: float
    faulty: float
    orders_over: float
    restart: float
    pay_by: float
    settle_by: float
    lease: float
    provider_timeout: float
    provider_takes: float
    unresolved_after: float
    hidden: float
    looks: float
    relay_looks: float
    longest_deferred: float
    longest_mail: float
    frozen: float
    patience: float
    confirm: float
    longest_pause: float
    mail_lease: float
    batch: int

    @classmethod
    def drawn(cls, rng: Random) -> "Times":
        faulty = rng.uniform(10, 40)
        return cls(
            latency=rng.choice((0.001, 0.01, 0.05, 0.2)),
            faulty=faulty,
            orders_over=rng.uniform(0, 0.7) * faulty,
            restart=rng.choice((0.05, 0.3, 2)),
            pay_by=rng.choice((5, 20, 60)),
            settle_by=rng.choice((20, 60, 200, 400)),
            lease=rng.choice((2, 10, 30)),
            provider_timeout=rng.choice((0.5, 2, 10)),
            provider_takes=rng.choice((0.01, 0.3, 3)),
            unresolved_after=rng.choice((10, 60, 900)),
            hidden=rng.choice((0, 1, 12)),
            looks=rng.uniform(1, 8),
            relay_looks=rng.uniform(1, 8),
            longest_deferred=rng.choice((2, 8, 30)),
            longest_mail=rng.choice((4, 15, 60)),
            frozen=rng.choice((1, 6, 12, 20, 40)),
            patience=rng.choice((0.5, 2, 10)),
            confirm=rng.choice((1, 3, 8)),
            longest_pause=rng.choice((0.5, 2, 5)),
            mail_lease=rng.choice((3, 10, 30)),
            batch=rng.choice((1, 5, 200, 200)),
        )
