"""How bytes become requests: uvicorn's protocol, with bounds on heads, on times, and on what is taken on at once.

What is no request, or one too many, is refused in problem details, as everything else is.
"""

from asyncio import TimerHandle, Transport, current_task
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chassis.admission import HERE, makes_room
from chassis.corked import Corked
from chassis.problems import Problem
from chassis.refusing import NO_OTHER, NO_REQUEST, PROBES, TOO_LONG, at_a_glance, has_body, refusal, spelled_out
from chassis.telemetry import REFUSED

HEAD_LIMIT = 32 * 1024
UNREAD_LIMIT = 64 * 1024
PATIENCE = 30.0
LINGER = 0.5  # for what is on its way already when the process ends, and LAST_PATIENCE for what has begun to come
LAST_PATIENCE = 3.0


class Wire(HttpToolsProtocol):
    """A connection. One that brings no whole request in time is closed, so that nobody can hold many for nothing."""

    admission = HERE
    patience = PATIENCE
    cycle: RequestResponseCycle | None  # type: ignore[assignment]
    _closing: TimerHandle | None = None
    _refused: RequestResponseCycle | None = None
    _unstarted: Any = None
    _stalled: TimerHandle | None = None
    _begun = _between = _is_surplus = _ends = False
    _parsed: int = 0
    _pending: int = 0
    _reads_head: bool = True
    _refusal: Problem = NO_REQUEST
    url: bytes = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """From now on a request has to come."""
        super().connection_made(transport)
        self._is_surplus = len(self.connections) > self.admission.connections and not makes_room(self, self.connections)
        self._expect()

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is at work."""
        is_free = self.cycle is None or self.cycle.response_complete or self._unstarted is not None
        return is_free and not self.transport.is_closing()

    @property
    def is_half_open(self) -> bool:
        """Whether a request has to come, and is not whole."""
        return self._closing is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._expect_no_more()
        self._resumed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came, unless it is one request too many."""
        if self.admission.is_full(len(self.tasks)) and self._refuses_at_a_glance(data):
            return
        self._between = False
        super().data_received(data)
        if self._begun or not self._between:  # what came whole, as nearly all does, needs no time
            self._expect()
        # A header that does not end reaches no callback: what comes of it is counted here.
        self._pending = 0 if self._between or not self._reads_head else self._pending + len(data)
        if self._pending > HEAD_LIMIT and not self.transport.is_closing():
            self._refusal = TOO_LONG
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun = self._between = True
        self._parsed = 0

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        self._count(len(name) + len(value) + len(": \r\n"))

    def on_headers_complete(self) -> None:
        """The head is whole, the request can be answered."""
        if self.parser.should_upgrade() and has_body(dict(self.headers)):
            # The parser takes what follows such a head for another protocol's, or for the next request.
            self._refusal = NO_OTHER
            raise ValueError  # so that the parser ends
        self._reads_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body; one that is too large is the application's to refuse, and need not be whole."""
        super().on_body(body)
        if (app := self._unstarted) is not None and self.cycle is not None and len(self.cycle.body) > UNREAD_LIMIT:
            self._unstarted = None
            super()._start_asgi_task(self.cycle, app)

    def on_message_complete(self) -> None:
        """The request is whole; what comes now is the head of the next one."""
        self._between = self._reads_head = True
        self._begun = False
        self._expect_no_more()
        super().on_message_complete()
        if self._refused is not None:
            self._refuse(self._refused)
        elif (app := self._unstarted) is not None and self.cycle is not None:
            self._unstarted = None
            self._start_asgi_task(self.cycle, app)

    def on_response_complete(self) -> None:
        """An answer has left; a request that began behind it has its whole time from now."""
        # uvicorn does it a turn later, and the answered would count among those at work until then.
        if (task := current_task()) is not None:
            self.tasks.discard(task)
        super().on_response_complete()
        if self._closing is not None:
            self._expect_no_more()
            self._expect()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Works on a request, or refuses it once its body has passed by: until then its client does not listen."""
        if self._ends and cycle is self.cycle:
            cycle.keep_alive = False
        is_welcome = not self._is_surplus and not self.admission.is_full(len(self.tasks))
        if is_welcome and self._waits_for(cycle):
            self._unstarted = app
        elif is_welcome or cycle.scope["raw_path"] in PROBES:
            cycle.transport = Corked(self.transport, self.loop)  # type: ignore[assignment]
            super()._start_asgi_task(cycle, app)
        elif cycle.more_body and not cycle.waiting_for_100_continue:
            cycle.response_complete = True  # so that uvicorn keeps nothing of its body
            self._refused = cycle
        else:
            self.loop.call_soon(self._refuse, cycle)

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
            self.transport.close()

    def _refuses_at_a_glance(self, data: bytes) -> bool:
        is_free = not self._begun and (self.cycle is None or self.cycle.response_complete)
        answer = at_a_glance(data) if is_free and not self._is_surplus and not self._ends else None
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
            super().on_response_complete()

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

    def pause_writing(self) -> None:
        """The client does not read what it asked for; it is given as long as for asking."""
        super().pause_writing()
        self.admission.stalls(self)
        self._stalled = self._stalled or self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._resumed()

    def _resumed(self) -> None:
        if self._stalled is not None:
            self.admission.reads(self)
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words are not ours
        """Refuses what is no request. While the one before is being answered, the connection can only be cut."""
        ours = not self._reads_head and self.cycle is not None and not self.cycle.response_started
        if self.cycle is None or self.cycle.response_complete or ours:
            self.transport.write(spelled_out(self._refusal, self.url))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """A wish for another protocol is not granted (RFC 9110, 7.8); its connection ends with the answer."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_LIMIT:
            self._refusal = TOO_LONG
            raise ValueError  # so that the parser ends

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
