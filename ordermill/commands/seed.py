"""`seed`: products with stock, and in a local shop the accounts of staff."""

import asyncio
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(seed)


def seed(products: Annotated[int, typer.Option(min=0, help="How many products there should be.")] = 24) -> None:
    """Add demo products with stock, and demo accounts; what is there stays. Safe to repeat."""
    from ordermill import inside, tables

    with tables.spinner("seeding"):
        asyncio.run(inside.seed(inside.settings(), products))
    sys.stderr.write(f"the first {products} products of the demo catalogue are there\n")
