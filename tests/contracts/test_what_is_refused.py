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
PROSE = {
    "OrderCreate.note", "PaymentResolve.evidence", "ProductCreate.description", "ProductUpdate.description",
    "TaskCreate.description", "TaskReplace.description", "TaskUpdate.description",
}  # fmt: skip
SECRET = {
    "ApiKeyShown.api_key", "Credentials.password", "PasswordChange.current_password", "PasswordChange.new_password",
    "Registration.password",
}  # fmt: skip
SHOWN_TO_NOBODY = {"ExchangeBody.token", "RefreshBody.refresh_token"} | SECRET
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


def takes(model, field, value):
    try:
        model.model_validate({field: value})
    except ValidationError as failure:
        return all(error["loc"][:1] != (field,) for error in failure.errors())
    return True


def test_what_may_have_several_lines_is_listed_and_all_else_is_one_line():
    fields = {(model, field) for name in SERVICES if load(name) for model in models() for field in model.model_fields}
    ours = {(model, field) for model, field in fields if model.__module__.endswith(".schemas")}

    several = {f"{model.__name__}.{field}" for model, field in ours if takes(model, field, "12345678\n9")}

    assert several == PROSE | SHOWN_TO_NOBODY
    assert {f"{model.__name__}.{field}" for model, field in ours if takes(model, field, "12345678\u202e9")} == SECRET


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
