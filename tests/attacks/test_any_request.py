"""Requests that schemathesis makes of the merged document, thousands: each answer is meant, and documented."""

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from loguru import logger
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.generation.stateful import run_state_machine_as_test
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chassis.openapi import operations
from contracts.types import Role
from tests.attacks.in_process import InProcess
from tests.attacks.policy import POLICY
from tests.support.guarded_shop import GuardedShop

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")  # in schemathesis

LONG = os.environ.get("ORDERMILL_LONG") == "1"
TIMES = 10 if LONG else 1
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, negative_data_rejection,
]  # fmt: skip
QUIET = settings(
    deadline=None,
    database=None,
    derandomize=not LONG,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SHORT = settings(QUIET, derandomize=False, max_examples=2, stateful_step_count=30)
KEPT = {"PATCH /api/v1/products/{sku}", "DELETE /api/v1/products/{sku}"}  # not of the one that is ordered
WHO = (Role.ADMIN, Role.CUSTOMER, Role.ADMIN, None)


class Visitors:
    """An administrator, a customer and somebody unknown take turns; who was signed out signs in again."""

    def __init__(self, shop: GuardedShop, sku: str, loop: asyncio.AbstractEventLoop) -> None:
        self.faults: dict[tuple[str, str], str] = {}
        self.answers: Counter[tuple[str, int]] = Counter()
        self._shop = shop
        self._sku = sku
        self._loop = loop
        self._turns = cycle(WHO)
        self._tokens: dict[Role, dict[str, str]] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", InProcess(shop.door, loop))

    def ask(self, case: schemathesis.Case) -> schemathesis.Response:
        """Sends it and notes what is wrong with the answer."""
        role = next(self._turns)
        if self.answers.total() % 100 == 0:
            self._done(self._shop.lively.settle())
        if self.answers.total() % 3 and case.meta.generation.mode is GenerationMode.POSITIVE:
            self._name_what_is_there(case)
        response = case.call(base_url="http://shop.example", session=self._session, headers=self._authorized(role))
        if role and response.status_code == 401:
            self._tokens.pop(role, None)
        self.answers[case.operation.definition.raw["operationId"], response.status_code] += 1
        return response

    def _name_what_is_there(self, case: schemathesis.Case) -> None:
        """Nobody hits upon the sku of a product, or upon what an order will cost, by chance."""
        if "sku" in (case.path_parameters or {}) and case.operation.label not in KEPT:
            case.path_parameters["sku"] = self._sku
        if isinstance(case.body, dict):
            case.body.pop("expected_total", None)
            for line in case.body.get("lines", ()):
                line.update(
                    sku=self._sku, quantity=int(line["quantity"])
                )  # 2.0 is whole to JSON Schema, not to the shop

    def check(self, response: schemathesis.Response, case: schemathesis.Case) -> None:
        try:
            case.validate_response(response, checks=CHECKS)
        except* AssertionError as wrong:
            for fault in wrong.exceptions:
                self.faults.setdefault((case.operation.label, str(fault).splitlines()[0]), str(fault))

    def _authorized(self, role: Role | None) -> dict[str, str]:
        if role is None:
            return {}
        if role not in self._tokens:
            self._tokens[role] = self._done(self._signed_in(role))
        return self._tokens[role]

    def _done(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Done in the shop's own thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _signed_in(self, role: Role) -> dict[str, str]:
        """Whom they have guessed at slows all of their address down, them as well."""
        await self._shop.lively.sql("TRUNCATE auth_service.tries")
        return (await self._shop.somebody(role)).authorized


@pytest.fixture
def failures() -> Iterator[list[str]]:
    """What the shop logs as its own failure, also where an answer has begun and can say nothing of it any more."""
    told: list[str] = []
    sink = logger.add(told.append, level="ERROR", format="{message} {exception}")
    yield told
    logger.remove(sink)


@pytest.fixture(scope="module")
async def sku(shop: GuardedShop) -> str:
    return await shop.product(await shop.somebody(Role.STAFF))


@pytest.fixture
async def schema(shop: GuardedShop) -> Any:
    """The document without its `default` responses, under which any status at all would be documented.

    What it says of a whole stream schemathesis would ask of each event.
    """
    document = await shop.document()
    for _, _, operation in operations(document):
        del operation["responses"]["default"]
        for response in operation["responses"].values():
            response.get("content", {}).get("text/event-stream", {}).pop("schema", None)
    return schemathesis.openapi.from_dict(document)


async def test_no_request_is_answered_by_accident(shop: GuardedShop, sku: str, schema: Any, failures: list[str]):
    visitors = Visitors(shop, sku, asyncio.get_running_loop())

    await asyncio.to_thread(_every_operation, schema, visitors)

    assert (visitors.faults, failures) == ({}, [])
    assert visitors.answers.total() >= 500 * TIMES
    assert {name for name, _ in visitors.answers} == POLICY.keys()
    assert len({name for name, status in visitors.answers if status < 300}) >= 25


def _every_operation(schema: Any, visitors: Visitors) -> None:
    for each in schema.get_all_operations():
        operation = each.ok()

        _some(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), 6 * TIMES, visitors)
        with suppress(Unsatisfiable):  # nothing about a request without parameters can be wrong
            _some(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), 4 * TIMES, visitors)


def _some(cases: Any, many: int, visitors: Visitors) -> None:
    @settings(QUIET, max_examples=many)
    @given(case=cases)
    def ask(case: Any) -> None:
        visitors.check(visitors.ask(case), case)

    ask()


def _sequences(machine: Any, visitors: Visitors) -> None:
    """Many short runs with a seed each: as the shop remembers what was done, Hypothesis cannot do it once more."""
    for number in range(500 * TIMES):
        if visitors.answers.total() >= 500 * TIMES:
            return
        with suppress(FlakyStrategyDefinition):
            run_state_machine_as_test(seed(number)(machine), settings=SHORT)


async def test_no_sequence_of_requests_is_answered_by_accident(
    shop: GuardedShop, sku: str, schema: Any, failures: list[str]
):
    visitors = Visitors(shop, sku, asyncio.get_running_loop())

    class Sequence(schema.as_state_machine()):
        def call(self, case: Any, **_options: Any) -> Any:
            return visitors.ask(case)

        def validate_response(self, response: Any, case: Any, **_options: Any) -> None:
            visitors.check(response, case)

    await asyncio.to_thread(_sequences, Sequence, visitors)

    assert (visitors.faults, failures) == ({}, [])
    assert visitors.answers.total() >= 500 * TIMES
