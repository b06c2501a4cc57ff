"""The request that is worked on: what a client sent is taken when it is well-formed, else it is made anew."""

import pytest

from chassis.context import Context, about_order, current, new_traceparent, start

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def asked():
    token = current.set(Context("req-1", TRACE))
    yield
    current.reset(token)


def test_what_a_client_sent_is_taken():
    context = start("shop-7.a_b", TRACE)

    assert context == Context("shop-7.a_b", TRACE, parent=TRACE)
    assert context.trace_id == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("request_id", [None, "", "with space", "x" * 65, "line\nbreak", "é"])
def test_a_request_id_that_is_missing_or_malformed_is_made_anew(request_id):
    made = start(request_id).request_id

    assert made.startswith("req_")
    assert len(made) == 30


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        TRACE.upper(),
        TRACE.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        f"{TRACE}-more",
    ],
)
def test_a_trace_that_is_missing_or_malformed_is_made_anew(traceparent):
    made = start("r", traceparent).traceparent

    assert made != traceparent
    assert start("r", made).traceparent == made


def test_new_traces_are_sampled_and_differ():
    first, second = new_traceparent(), new_traceparent()

    assert first.endswith("-01")
    assert first != second


def test_the_order_is_kept_for_the_lines_that_follow(asked):
    about_order("ord_1")

    assert current.get() == Context("req-1", TRACE, "ord_1")


def test_outside_a_request_there_is_nothing_to_keep_it_in():
    about_order("ord_1")

    assert current.get() is None
