"""Which of the signing keys signs, when a new one is made, and when an old one is not needed any more.

A key is published for some minutes before it signs, so that every edge knows it by then, and for as long afterwards as
a token that it has signed may be good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

PUBLISHED_FIRST = timedelta(minutes=5)  # edges ask for the keys each minute, and we read them each half a minute
_CLOCKS = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Keyring:
    """When each key was made, the newest first; there is at least one."""

    made_at: Sequence[datetime]

    def signer(self, now: datetime) -> int:
        """The place of the key that signs: the newest that was published long enough; the only one at once."""
        known = (place for place, made_at in enumerate(self.made_at) if made_at <= now - PUBLISHED_FIRST)
        return next(known, len(self.made_at) - 1)

    def needs_another(self, now: datetime, every: timedelta) -> bool:
        return self.made_at[0] <= now - every

    def outlived(self, now: datetime, tokens_last: timedelta) -> range:
        """The places of the keys by which nothing good is signed any more."""
        signer = self.signer(now)
        signs_for = now - self.made_at[signer] - PUBLISHED_FIRST
        first = signer + 1 if signs_for > tokens_last + _CLOCKS else len(self.made_at)
        return range(first, len(self.made_at))
