"""Callers whose session is open at this moment, for what would outlast it.

Every edge hears within a minute that a session has ended. In that minute whoever has stolen it must not make a key that
is good for a year, nor an administrator; and this service need not hear of it, it knows.
"""

from typing import Annotated

from fastapi import Depends

from auth_service import store
from chassis.http import Admin, Caller, Customer, Edge
from chassis.tokens import TokenRevoked


async def _present(caller: Customer, edge: Edge) -> Caller:
    async with edge.read() as tx:
        if not await store.is_open(tx, caller.session_id):
            raise TokenRevoked
    return caller


async def _present_admin(_admin: Admin, caller: Annotated[Caller, Depends(_present)]) -> Caller:
    return caller


Present = Annotated[Caller, Depends(_present)]
PresentAdmin = Annotated[Caller, Depends(_present_admin)]
