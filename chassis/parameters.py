"""Parameters of a query: one that a route does not have is refused, as an unknown field of a body is."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant

from chassis.problems import FAULTS, Fault, of_faults


def refuse_unknown(request: Request) -> None:
    """A filter that is misspelt would list everything, and another misspelt wish would be granted in silence.

    Raises:
        Problem: unknown_field.
    """
    if request.scope["query_string"]:
        unknown = sorted({*request.query_params} - {*_names(request.scope["route"].dependant)})
        faults = [Fault(pointer=f"query:{name}", code="unknown_field", detail="is unknown") for name in unknown]
        if faults:
            raise of_faults(faults[:FAULTS])


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names(inner)
