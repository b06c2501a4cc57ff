"""A process that cannot do its work says why, and what to do."""

import pytest

from ordermill.commands.run import Role, run
from ordermill.errors import Exit, Failure


def test_a_gateway_that_knows_no_service_says_what_it_lacks():
    with pytest.raises(Failure, match="No address of auth_service") as lacking:
        run(["gateway"], Role.API, 8000, "127.0.0.1")

    assert (lacking.value.code, "ORDERMILL_PEERS" in str(lacking.value)) == (Exit.MISSING, True)
