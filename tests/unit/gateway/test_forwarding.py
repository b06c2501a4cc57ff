"""What a request looks like on its way to a service, and which requests cannot be said at all."""

import pytest

from chassis.caller import Caller
from chassis.ids import new_id
from contracts.types import Role
from gateway import forwarding
from gateway.forwarding import Unsayable, request_head
from tests.support.neighbours import coming


def a_scope(path=b"/api/v1/orders", query=b"", headers=()):
    return {
        "method": "POST",
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "scheme": "https",
        "client": ("10.0.0.7", 5),
        "headers": [(b"host", b"shop"), *headers],
    }


def test_a_request_is_said_as_it_was_asked():
    head = request_head(a_scope(b"/api/v1/a%20b", b"q=%26", [(b"accept", b"*/*")]), b"/shop")

    assert head == (
        b"POST /shop/api/v1/a%20b?q=%26 HTTP/1.1\r\nhost: shop\r\naccept: */*\r\n"
        b"x-forwarded-for: 10.0.0.7\r\nx-forwarded-proto: https\r\n\r\n"
    )


@pytest.mark.parametrize(("asserter", "shown"), [(coming("gateway", "order_service"), 1), (None, 0)])
def test_a_service_is_told_who_comes_by_us_and_never_by_a_client(asserter, shown):
    claims = [(b"x-assertion", b"mine"), (b"connection", b"x-assertion"), (b"x-assertion", b"again")]

    lines = request_head(a_scope(headers=claims), b"", asserter).split(b"\r\n")

    told = [line for line in lines if b"assertion" in line]
    assert told == [b"x-assertion: " + each.said() for each in [asserter] * shown]


def test_who_asks_is_told_without_their_token_and_an_unknown_one_is_judged_behind():
    caller = Caller(new_id(), Role.CUSTOMER, new_id(), good_until=9_999_999_999)
    asserter = coming("gateway", "order_service")
    shown = [(b"authorization", b"Bearer theirs"), (b"accept", b"*/*"), (b"authorization", b"Basic another")]

    known = request_head(a_scope(headers=shown) | {"asker": caller}, b"", asserter)
    unknown = request_head(a_scope(headers=shown), b"", asserter)
    as_before = request_head(a_scope(headers=shown) | {"asker": caller}, b"")

    assert b"authorization" not in known
    assert b"x-assertion: " + asserter.said(caller) + b"\r\n" in known
    assert [head.count(b"authorization") for head in (unknown, as_before)] == [2, 2]
    assert b"usr_" not in unknown + as_before


def test_a_body_has_one_length():
    both = [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
    lengths = [line for line in request_head(a_scope(headers=both), b"").split(b"\r\n") if b"length" in line]
    assert lengths == []
    assert request_head(a_scope(headers=both), b"").count(b"transfer-encoding: chunked") == 1


def test_nobody_names_away_what_a_body_is_framed_with_or_a_request_is_found_by():
    named = b"close, Content-Length, X-Request-ID , traceparent, x-mine"
    stays = [(b"content-length", b"3"), (b"x-request-id", b"req_1"), (b"traceparent", b"00-1")]

    head = request_head(a_scope(headers=[(b"connection", named), (b"x-mine", b"1"), *stays]), b"")

    assert head.split(b"\r\n")[2:-4] == [b"%b: %b" % pair for pair in stays]


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": b"/a HTTP/1.1\r\nhost: evil\r\n\r\nGET /internal"},
        {"path": b"/a b"},
        {"query": b"q=\r\n\r\nGET /metrics HTTP/1.1"},
        {"query": b"a b"},
        {"headers": [(b"x-a", b"1\r\nx-b: 2")]},
        {"headers": [(b"x-a", b"1\nx-b: 2")]},
        {"headers": [(b"x-a\r\nx-b", b"1")]},
        {"headers": [(b"x-a", b"1\0")]},
    ],
)
def test_a_request_that_would_be_read_as_another_one_is_not_passed_on(wrong):
    with pytest.raises(Unsayable):
        request_head(a_scope(**wrong), b"")


def test_what_connection_names_is_worked_out_once_however_many_headers_there_are(monkeypatch):
    """A head of a thousand names and ten thousand headers held up everybody for a second: one set for each header."""
    worked_out = []

    class Stays:
        def __rsub__(self, named):
            worked_out.append(named)
            return named

    monkeypatch.setattr(forwarding, "_STAYS", Stays())
    request_head(a_scope(headers=[(b"connection", b"a, b"), *[(b"c", b"")] * 50]), b"")

    assert worked_out == [{b"a", b"b"}]
