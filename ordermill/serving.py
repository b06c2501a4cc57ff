"""The HTTP server of each of our processes: ends in good order and in time, and knows when it comes late."""

import signal
import threading
import time
from os import _exit
from typing import Any

import uvicorn

from chassis.admission import HERE
from ordermill.errors import Exit

ENDS_WITHIN = 9.5
TICK, FORGOTTEN = 0.1, 0.9  # uvicorn's, in seconds, and what is left of a lag after each


class Server(uvicorn.Server):
    """uvicorn, with exit code 0 when nobody who asked was left without an answer."""

    _ticked_at = 0.0

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not self.should_exit:
            watchdog = threading.Timer(ENDS_WITHIN, self._give_up)
            watchdog.daemon = True
            watchdog.start()
        if sig == signal.SIGTERM:
            self.should_exit = True  # and not uvicorn's way: it would die of the signal in the end
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        now = time.monotonic()
        HERE.lag = max(now - (self._ticked_at or now) - TICK, HERE.lag * FORGOTTEN)
        self._ticked_at = now
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        HERE.end()
        await super().shutdown(sockets)

    def _give_up(self) -> None:
        """What hangs now is only a good-bye to a broker or a database: they know what is not done."""
        _exit(Exit.TIMED_OUT if self.server_state.tasks else 0)
