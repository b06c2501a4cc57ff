"""Starts the usual way: tables, products and stock, then an api and a worker process, until SIGTERM.

It ends, too, when whoever started it has ended. See README.md.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

from tests.performance.usual_way.database import Session, engine, settings
from tests.performance.usual_way.tables import Base, Product, Stock

ROOT = Path(__file__).parents[3]
CURRENCY = "EUR"
STARTS_WITHIN = 60.0
ENDS_WITHIN = 15.0
Child = subprocess.Popen[str]


async def prepare() -> None:
    """Creates the tables in the empty database, and puts the products and their stock into them."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Session.begin() as session:
        for sku, given in load_products().items():
            session.add(Product(sku=sku, name=sku.title(), price=given["price"], currency=CURRENCY))
            session.add(Stock(sku=sku, on_hand=given["stock"]))
    await engine.dispose()


def load_products() -> dict[str, dict[str, int]]:
    """``{sku: {"price": …, "stock": …}}``, from JSON, or from the file of this name."""
    given = settings.products
    products: dict[str, dict[str, int]] = json.loads(given if given.startswith("{") else Path(given).read_text())
    return products


def start(*words: str) -> Child:
    return subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def start_worker() -> Child:
    return start("tests.performance.usual_way.worker")


def start_api() -> Child:
    options = ["--port", str(settings.port), "--no-access-log", "--log-level", "warning"]
    return start("uvicorn", "tests.performance.usual_way.api:app", *options)


def wait_for_worker(worker: Child) -> None:
    """It says when its queues are declared."""
    if not worker.stdout or worker.stdout.readline() != "ready\n":
        message = "the worker did not start"
        raise RuntimeError(message)


def wait_for_api(api: Child) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while not answers():
        if api.poll() is not None or time.monotonic() > deadline:
            message = "the api did not start"
            raise RuntimeError(message)
        time.sleep(0.1)


def answers() -> bool:
    try:
        with urlopen(f"http://localhost:{settings.port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def end(children: list[Child]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            child.kill()


def stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def serve() -> None:
    signal.signal(signal.SIGTERM, stop)
    parent, children = os.getppid(), list[Child]()
    try:
        asyncio.run(prepare())
        children += [worker := start_worker(), api := start_api()]
        wait_for_worker(worker)
        wait_for_api(api)
        sys.stdout.write(json.dumps({"processes": {"api": api.pid, "worker": worker.pid}}) + "\n")
        sys.stdout.flush()
        while os.getppid() == parent and all(child.poll() is None for child in children):
            time.sleep(0.2)
    finally:
        end(children)


if __name__ == "__main__":
    serve()
