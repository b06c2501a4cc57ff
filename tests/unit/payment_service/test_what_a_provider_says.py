"""What a provider says is as long as it likes: of its codes we keep the beginning, its references are whole or none."""

from datetime import timedelta

import httpx2
import pytest

from payment_service.domain.payment import Outcome
from payment_service.providers import OverHttp


async def asked(**said):
    reply = {"status": "declined", "amount": 1, "currency": "EUR"} | said
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, json=reply))
    async with httpx2.AsyncClient(base_url="http://provider", transport=transport) as client:
        [[known]] = [said async for said in OverHttp(client, timedelta(seconds=5)).find(["pay:1:1"])]
    return known.answer


@pytest.mark.parametrize(("code", "kept"), [("x" * 200, "x" * 200), ("x" * 240_000, "x" * 200), (None, None)])
async def test_a_code_is_cut_and_means_what_it_meant(code, kept):
    answer = await asked(code=code)

    assert (answer.outcome, answer.code) == (Outcome.DENIED, kept)


async def test_a_reply_with_a_reference_that_no_event_can_hold_says_nothing():
    assert (await asked(reference="r" * 200)).reference == "r" * 200

    answer = await asked(status="captured", reference="r" * 201)

    assert (answer.outcome, answer.reference) == (Outcome.UNKNOWN, None)
