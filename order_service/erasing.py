"""Goes on erasing the orders of customers who are erased, some at a time, so that it holds up nothing else."""

from chassis.app import Parts
from order_service.store import next_to_erase


async def step(parts: Parts) -> bool:
    """Erases some; True when there may be more."""
    async with parts.database.transaction(read_only=True) as tx:
        command = await next_to_erase(tx)
    if command is not None:
        await parts.pipeline.submit(command)
    return command is not None
