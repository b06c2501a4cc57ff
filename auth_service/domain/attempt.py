"""Tried sign-ins, counted by account and by place: after some that failed each next one has to wait twice as long.

Registrations count by place alone, whatever becomes of them: one that is refused has told that an address is taken.

A place where somebody has signed in to an account has a count of its own there: strangers who guess elsewhere do not
keep the owner out, nor do those of an office who share its address. Each try counts as failed until it has succeeded,
so that many at once are as many tries.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from auth_service.domain.lately import TooEarly

FREE = 10
FREE_OF_A_PLACE = 100  # whole offices come from one address
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(seconds=60)
FORGOTTEN_AFTER = timedelta(hours=1)
_DOUBLINGS = 6


class TooManyTries(TooEarly):
    """Too many tries. Try again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How often a sign-in has failed lately. An empty ``account`` means all of a place's, an empty ``place`` all."""

    account: bytes = field(repr=False)
    place: bytes = field(repr=False)
    failures: int = 0
    free_at: datetime
    last_at: datetime

    @property
    def key(self) -> tuple[bytes, bytes]:
        return self.account, self.place

    def another(self, now: datetime, free: int) -> "Tries":
        """With one more failure.

        Raises:
            TooManyTries: when it comes too early.
        """
        # Without enough failures nobody waits, although the time of another transaction may be ahead of ours.
        if self.failures >= free and now < self.free_at:
            raise TooManyTries(self.free_at - now)
        failures = 1 if now - self.last_at > FORGOTTEN_AFTER else self.failures + 1
        wait = SHORTEST * 2 ** min(failures - free, _DOUBLINGS) if failures >= free else timedelta()
        return replace(self, failures=failures, free_at=now + min(wait, LONGEST), last_at=now)

    def one_less(self, now: datetime) -> "Tries":
        return replace(self, failures=max(self.failures - 1, 0), free_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrySignIn:
    """Somebody at a place is about to show a password for an account; both are digests."""

    account: bytes = field(repr=False)
    place: bytes = field(repr=False)

    @property
    def keys(self) -> tuple[tuple[bytes, bytes], ...]:
        return (self.account, self.place), (self.account, b""), (b"", self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRegister:
    """Somebody at a place is about to open an account; ``free`` may at once. The place is no place of sign-ins."""

    place: bytes = field(repr=False)
    free: int

    @property
    def keys(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"", self.place),)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """The password was not even looked at."""

    tried: TrySignIn | TryRegister


Known = tuple[Tries | None, ...]


def count(known: Known, tried: TrySignIn, now: datetime) -> tuple[Tries, ...]:
    """The counts that this try adds to: where the account is at home its own one there, else its own and the place's.

    Raises:
        TooManyTries: when one of them has to wait.
    """
    at_home, everywhere, of_place = known
    if at_home:
        return (at_home.another(now, FREE),)
    account = everywhere or _none(tried.account, b"", now)
    place = of_place or _none(b"", tried.place, now)
    return account.another(now, FREE), place.another(now, FREE_OF_A_PLACE)


def count_registration(known: Tries | None, tried: TryRegister, now: datetime) -> Tries:
    """One more of this place.

    Raises:
        TooManyTries: when it comes too early.
    """
    return (known or _none(b"", tried.place, now)).another(now, tried.free)


def take_back(known: Known, now: datetime) -> tuple[Tries, ...]:
    counted = known[:1] if known[0] else known[1:]
    return tuple(tries.one_less(now) for tries in counted if tries)


def succeed(known: Known, tried: TrySignIn, now: datetime) -> tuple[Tries, ...]:
    """The try did not fail, and from now on the account is at home in this place."""
    taken_back = (tries for tries in take_back(known, now) if tries.key != tried.keys[0])
    return *taken_back, _none(*tried.keys[0], now)


def _none(account: bytes, place: bytes, now: datetime) -> Tries:
    return Tries(account=account, place=place, free_at=now, last_at=now)
