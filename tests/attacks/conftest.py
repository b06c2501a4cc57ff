"""A whole shop behind its door, for everybody who attacks it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.database import a_copy
from tests.support.guarded_shop import GuardedShop, a_guarded_shop


@pytest.fixture(scope="session")
async def shop(postgres: str, template: str) -> AsyncIterator[GuardedShop]:
    async with a_copy(postgres, template) as url, a_guarded_shop(url) as guarded:
        yield guarded
