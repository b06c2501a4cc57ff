"""A whole shop behind its door, for everybody who attacks it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.database import a_copy
from tests.support.guarded_shop import GuardedShop, a_guarded_shop


@pytest.fixture(scope="module")
async def shop(postgres: str, template: str) -> AsyncIterator[GuardedShop]:
    """It ends with each file: its loops would go on beside the tests of others, who count what is done and logged."""
    async with a_copy(postgres, template) as url, a_guarded_shop(url) as guarded:
        yield guarded
