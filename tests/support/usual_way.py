"""The usual way (tests/performance/usual_way) as processes of its own, with keys to sign customers' tokens."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx2

from chassis.ids import new_id
from chassis.tokens import Caller, KeyPair, Role, issue
from ordermill.launch import AN_ORDER
from ordermill.ports import HOST, find_free, start_of
from tests.support.database import within

SERVE = Path(__file__).parents[1] / "performance" / "usual_way" / "serve.py"
STARTS_WITHIN = 60
ISSUER = "https://keys.example"
LINES = [{"sku": "MUG-RED", "quantity": 1}, {"sku": "MUG-BLUE", "quantity": 2}]


@dataclass
class UsualWay:
    """It runs: a client of its api, its database, what serve.py said."""

    client: httpx2.AsyncClient
    database: asyncpg.Connection
    processes: Mapping[str, int]
    keys: KeyPair

    def token(self) -> str:
        """A customer's, whom nobody has seen before."""
        return issue(self.keys, Caller(new_id(), Role.CUSTOMER, new_id()), issuer=ISSUER, now=time.time())

    async def order(self, token: str, key: str = "", **given: object) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or uuid4().hex}
        return await self.client.post("/api/v1/orders", json={**AN_ORDER, "lines": LINES, **given}, headers=headers)

    async def count(self, table: str, where: str = "true") -> int:
        return await self.database.fetchval(f"SELECT count(*) FROM {table} WHERE {where}")  # noqa: S608 -- of this test


@contextmanager
def serving_keys(keys: KeyPair) -> Iterator[str]:
    """The address of a JWKS with the public half."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"keys": [dict(keys.public_jwk)]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer((HOST, 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{HOST}:{server.server_port}/jwks.json"
        server.shutdown()
        thread.join()


@asynccontextmanager
async def a_usual_way(postgres: str, rabbitmq: str, products: Mapping[str, object]) -> AsyncIterator[UsualWay]:
    """Starts it on a database of its own, which is dropped at the end."""
    name, keys = f"usual_{uuid4().hex}", KeyPair.new()
    owner = await asyncpg.connect(postgres)
    await owner.execute(f"CREATE DATABASE {name}")
    port = find_free(None, start_of(SERVE), set())
    with serving_keys(keys) as jwks_url:
        told = {
            "USUAL_DATABASE_URL": within(postgres, name),
            "USUAL_BROKER_URL": rabbitmq,
            "USUAL_JWKS_URL": jwks_url,
            "USUAL_ISSUER": ISSUER,
            "USUAL_PORT": str(port),
            "USUAL_PRODUCTS": json.dumps(products),
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(SERVE), env={**os.environ, **told}, stdout=subprocess.PIPE
        )
        try:
            processes = json.loads(await asyncio.wait_for(child.stdout.readline(), STARTS_WITHIN))["processes"]
            database = await asyncpg.connect(within(postgres, name))
            async with httpx2.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=30) as client:
                yield UsualWay(client, database, processes, keys)
            await database.close()
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
            await asyncio.wait_for(child.wait(), 30)
    await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await owner.close()
