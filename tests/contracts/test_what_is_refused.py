"""Whoever sends what is not wanted reads what is, in the shop's words: of every body and parameter of every service."""

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel, ValidationError

from chassis.http import Body, _edge
from chassis.words import wanted
from ordermill.services import SERVICES, load

WRONG = [
    None, "", " ", "x" * 6_000, "4111111111111111", "tok_4111111111111111", "XX", "\0", "\ud800", -1, 1.5, 10**30, True,
    [], ["x"] * 1_000, {}, {"x": 1}, {"": "x"}, "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "usr_1",
]  # fmt: skip
NOT_OURS = (
    "Input should",
    "String should",
    "Field required",
    "match",
    "is not what it must be",
    "items",
    "{",
    "email address",
)


def models(of: type[BaseModel] = Body):
    for model in of.__subclasses__():
        yield model
        yield from models(model)


def routes(router: APIRouter):
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from routes(route.original_router)


def parameters(dependant: Dependant):
    yield from (*dependant.query_params, *dependant.path_params, *dependant.header_params)
    for inner in dependant.dependencies:
        yield from parameters(inner)


def calls(dependant: Dependant):
    yield from (inner.call for inner in dependant.dependencies)
    for inner in dependant.dependencies:
        yield from calls(inner)


def refused(model, field):
    for value in WRONG:
        try:
            model.model_validate({field: value})
        except ValidationError as failure:
            yield from failure.errors()


@pytest.mark.parametrize("name", SERVICES)
def test_a_wrong_field_is_told_what_is_wanted(name):
    load(name)
    mine = [model for model in models() if model.__module__ == f"{name}.schemas"]

    errors = [error for model in mine for field in model.model_fields for error in refused(model, field)]

    assert errors
    assert [said for error in errors if any(word in (said := wanted(error)) for word in NOT_OURS)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_wrong_parameter_is_told_what_is_wanted(name):
    asked = [each for route in routes(load(name).router) for each in parameters(route.dependant)]

    errors = [
        error for each in asked for value in WRONG for error in each.validate(value, loc=("query", each.alias))[1]
    ]

    assert errors
    assert [said for error in errors if any(word in (said := wanted(error)) for word in NOT_OURS)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_route_refuses_a_parameter_that_it_does_not_have(name):
    assert [route.path for route in routes(load(name).router) if _edge not in calls(route.dependant)] == []
