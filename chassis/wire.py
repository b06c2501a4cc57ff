"""How bytes become requests: uvicorn's protocol, with bounds on times, and on what is taken on at once.

What is one request too many is refused in problem details, as everything else is.
"""

from asyncio import TimerHandle, Transport
from collections.abc import Hashable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from chassis.admission import makes_room
from chassis.bounded import Bounded
from chassis.corked import Corked
from chassis.permits import Permit, asking
from chassis.places import SITE, place_of
from chassis.refusing import PROBES, at_a_glance, refusal
from chassis.telemetry import REFUSED

UNREAD_LIMIT = 64 * 1024
LINGER = 0.5  # for what is on its way already when the process ends, and LAST_PATIENCE for what has begun to come
LAST_PATIENCE = 3.0


class Wire(Bounded):
    """A connection. One that brings no whole request in time is closed, so that nobody can hold many for nothing."""

    _closing: TimerHandle | None = None
    _refused: RequestResponseCycle | None = None
    _unstarted: Any = None
    _corked: Corked | None = None
    _place: Hashable = None
    _is_surplus = _ends = _waits = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """From now on a request has to come."""
        super().connection_made(transport)
        self._is_surplus = len(self.connections) > self.admission.connections and not makes_room(self, self.connections)
        if self.admission.place is None:
            self._place = place_of(self.client[0], SITE) if self.client else ""
        self._expect()

    @property
    def may_give_way(self) -> bool:
        """Whether it is there and no request of it is at work."""
        return super().may_give_way or (self._unstarted is not None and not self.transport.is_closing())

    @property
    def is_half_open(self) -> bool:
        """Whether a request has to come, and is not whole; or only its end."""
        return self._closing is not None or self.is_parting

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._expect_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came, unless it is one request too many."""
        if self.admission.work.is_full(self._place) and self._refuses_at_a_glance(data):
            return
        super().data_received(data)
        if self._begun or not self._between:  # what came whole, as nearly all does, needs no time
            self._expect()

    def on_body(self, body: bytes) -> None:
        """A piece of a body; one that is too large is the application's to refuse, and need not be whole."""
        super().on_body(body)
        if (app := self._unstarted) is not None and self.cycle is not None and len(self.cycle.body) > UNREAD_LIMIT:
            self._unstarted = None
            self._start(self.cycle, app, self._whence(self.cycle))

    def on_message_complete(self) -> None:
        """The request is whole; what comes now is the head of the next one."""
        self._expect_no_more()
        super().on_message_complete()
        if self._refused is not None:
            self._refuse(self._refused)
        elif (app := self._unstarted) is not None and self.cycle is not None:
            self._unstarted = None
            self._start_asgi_task(self.cycle, app)

    def on_response_complete(self) -> None:
        """An answer has left; a request that began behind it has its whole time from now."""
        if self._permit is not None:
            self._permit.give_back()
        if self._corked is not None:
            self._corked.let_go()
        self._go_on()
        if self._closing is not None:
            self._expect_no_more()
            self._expect()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Works on a request, or refuses it once its body has passed by: until then its client does not listen."""
        if self._ends and cycle is self.cycle:
            cycle.keep_alive = False
        place = self._whence(cycle)
        is_welcome = not self._is_surplus and not self.admission.work.is_full(place)
        if is_welcome and self._waits_for(cycle):
            self._unstarted = app
        elif is_welcome or _is_probe(cycle):
            self._start(cycle, app, place)
        elif cycle.more_body and not cycle.waiting_for_100_continue:
            cycle.response_complete = True  # so that uvicorn keeps nothing of its body
            self._refused = cycle
        else:
            self.loop.call_soon(self._refuse, cycle)

    def _whence(self, cycle: RequestResponseCycle) -> Hashable:
        return self._place if self.admission.place is None else self.admission.place(cycle.scope)

    def _start(self, cycle: RequestResponseCycle, app: Any, place: Hashable) -> None:
        """From now on a request is work, begun once its place has its turn; probes are nobody's, and have one place."""
        if cycle.waiting_for_100_continue:  # its body may come, or not, whatever is answered (RFC 9110, 10.1.1)
            cycle.keep_alive = False
        self._corked = Corked(self.transport, self.loop, self._end)
        cycle.transport = self._corked  # type: ignore[assignment]
        self._current = cycle
        self._permit = None if _is_probe(cycle) else self.admission.work.take(place)
        self.admission.turns.take(place if self._permit else PROBES, partial(self._begin, cycle, app, self._permit))

    def _begin(self, cycle: RequestResponseCycle, app: Any, permit: Permit | None) -> None:
        if cycle.disconnected and permit is not None:  # its client has left: nothing of it has happened
            permit.give_back()
            return
        asking.set(permit)
        super()._start_asgi_task(cycle, app if permit is None else partial(_permitted, permit, app))

    def _waits_for(self, cycle: RequestResponseCycle) -> bool:
        """Whether a request is not whole but may become so: until then it is nobody's work, however many begin one."""
        lengths = [value for name, value in cycle.scope["headers"] if name == b"content-length"]
        if not cycle.more_body or (lengths and int(lengths[0]) > UNREAD_LIMIT):
            return False
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _refuse(self, cycle: RequestResponseCycle) -> None:
        self._refused = None
        cycle.response_complete = True
        given = next((value for name, value in cycle.scope["headers"] if name == b"x-request-id"), b"")
        is_kept = cycle.keep_alive and not cycle.waiting_for_100_continue and not self._is_surplus
        is_head = cycle.scope["method"] == "HEAD"
        self._say_no(refusal(cycle.scope["raw_path"], given, is_kept=is_kept, is_head=is_head))
        if not is_kept:
            self._end()

    def _end(self) -> None:
        """The connection ends behind an answer; at once where that is cut short, or too many are here."""
        more_may_come = self._begun or self.flow.is_over
        self.part(more_may_come=more_may_come and not self.is_answering and not self._is_surplus)

    def _refuses_at_a_glance(self, data: bytes) -> bool:
        is_free = not self._begun and (self.cycle is None or self.cycle.response_complete)
        ends = self._ends or self._is_surplus or self.flow.is_over
        answer = at_a_glance(data) if is_free and not ends else None
        if answer is not None:
            self._expect_no_more()
            self._say_no(answer)
        return answer is not None

    def _say_no(self, answer: bytes) -> None:
        """Says no, and no more than a little to who does not listen: nothing else holds up what is refused."""
        REFUSED.inc()
        if self.transport.get_write_buffer_size() > UNREAD_LIMIT:
            self.transport.abort()
        else:
            self.transport.write(answer)
            self._go_on()

    def _go_on(self) -> None:
        """With the next request, unless an answer waits to be read; and reading, once none waits."""
        if self.is_parting:
            return
        self._waits = self.is_unread and bool(self.pipeline)
        if not self._waits:
            super().on_response_complete()
            self.flow.resume_reading()

    def resume_writing(self) -> None:
        """The client reads again; what it has asked behind that has its turn."""
        super().resume_writing()
        if self._waits:
            self._go_on()

    def shutdown(self) -> None:
        """The process ends: what is here or on its way is answered, what has begun to come is waited for a little."""
        self._ends = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self.loop.call_later(LINGER, self._close_idle)
        self.loop.call_later(LAST_PATIENCE, self._close_unfinished)

    def _close_idle(self) -> None:
        if not self._begun and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def _close_unfinished(self) -> None:
        if self._begun and (self.cycle is None or self.cycle.response_complete or self.cycle.more_body):
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """A wish for another protocol is not granted (RFC 9110, 7.8); its connection ends with the answer."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _expect(self) -> None:
        if self._closing is None:
            self._closing = self.loop.call_later(self.patience, self._give_up)

    def _expect_no_more(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _give_up(self) -> None:
        self._closing = None
        if self.flow.read_paused:  # it is us who do not read
            self._expect()
        else:
            self.transport.close()


def _is_probe(cycle: RequestResponseCycle) -> bool:
    """What is always answered, and is nobody's work: it costs next to nothing."""
    return cycle.scope["raw_path"] in PROBES


async def _permitted(permit: Permit, app: Any, *asgi: Any) -> None:
    """Also of what was cut short the permit is given back, once nothing is done for it any more."""
    try:
        await app(*asgi)
    finally:
        permit.give_back()
