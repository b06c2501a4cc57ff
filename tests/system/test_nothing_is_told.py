"""What a shop that runs tells who looks at it from outside: no secret, no banner, no reason to think."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from tests.support.people import Person, an_order_for
from tests.support.running_shop import RunningShop


async def test_no_secret_is_in_the_list_of_processes_or_in_a_log(shop: RunningShop, customer: Person, sku: str):
    # given
    await customer.ordered(sku)
    secrets = json.loads((shop.home / "secrets.json").read_text())
    token = customer.authorized["Authorization"].removeprefix("Bearer ")
    told = {**secrets, "token": token}

    # when
    supervisor = psutil.Process((await shop.processes())["mailbox"]["pid"]).parent()
    family = [supervisor, *supervisor.children(recursive=True)]
    commands = "\n".join(" ".join(process.cmdline()) for process in family)
    logs = await asyncio.to_thread(_read, shop.home / "log")

    # then
    assert len(family) > 5
    assert "request" in logs
    assert [name for name, secret in told.items() if secret in commands] == []
    assert [name for name, secret in told.items() if secret in logs] == []


def _read(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted(folder.iterdir()) if path.is_file())


BODIES = {
    "a deep array": b"[" * 60_000,
    "a deep object": b'{"a":' * 12_000,
    "a closed deep array": b"[" * 30_000 + b"]" * 30_000,
    "a less deep one": b'{"metadata":' + b"[" * 900 + b"]" * 900 + b"}",
    "many fields": json.dumps({f"f{number}": 1 for number in range(5_000)}).encode(),
    "many lines": json.dumps({"lines": [{"sku": "A", "quantity": 1}] * 2_000}).encode(),
    "a large number": b'{"lines": [{"sku": "A", "quantity": ' + b"9" * 60_000 + b"}]}",
    "not a number": b'{"lines": [{"sku": "A", "quantity": NaN}]}',
    "half a character": b'{"note": "\\ud800"}',
    "no UTF-8": b'{"note": "\xff\xfe"}',
    "nothing": b"null",
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_meant_to_hurt_is_refused_and_told_little(shop: RunningShop, customer: Person, name: str):
    headers = {**customer.authorized, "Content-Type": "application/json", "Idempotency-Key": name.replace(" ", "-")}
    async with httpx2.AsyncClient(base_url=shop.url, trust_env=False) as client:
        answer = await client.post("/api/v1/orders", content=BODIES[name], headers=headers)

    assert answer.status_code in {400, 413, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 16_000
    assert "Traceback" not in answer.text
    assert "pydantic" not in answer.text


async def test_no_answer_of_the_shop_says_what_serves_it(shop: RunningShop, customer: Person, sku: str):
    address = urlsplit(shop.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"BREW /coffee HTTP/1.1\r\n\r\n")
    malformed = (await reader.read()).decode().lower()
    writer.close()
    async with httpx2.AsyncClient(base_url=shop.url, trust_env=False) as client:
        answers = [await client.get(path) for path in ("/livez", "/nowhere", "/api/v1/products", "/docs", "/metrics")]
        answers.append(await client.post("/api/v1/orders", json=an_order_for(sku), headers=customer.authorized))

    assert answers[4].status_code == 404
    assert not [answer for answer in answers if {"server", "x-powered-by", "date"} & answer.headers.keys()]
    assert "uvicorn" not in malformed
    assert "\r\nserver:" not in malformed
