"""The documentation for people: complete, and without a request to anywhere else."""

import asyncio
import re

import pytest
from starlette.requests import Request

from chassis.problems import CODES
from gateway import pages
from gateway.app import gateway
from gateway.pages import ASSETS
from tests.support.gateway import a_client, a_service


@pytest.fixture
async def client():
    async with a_client(gateway({"order_service": a_service()})) as client:
        yield client


async def test_the_root_leads_to_the_documentation(client):
    answer = await client.get("/")
    assert [answer.status_code, answer.headers["location"]] == [307, "/docs"]


async def test_everything_that_the_page_loads_is_served_here(client):
    page = await client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert loaded == [
        "/favicon.svg",
        "/docs/assets/swagger-ui.css",
        "/docs/assets/swagger-ui-bundle.js",
        "/docs/start.js",
    ]
    types = [(await client.get(path)).headers["content-type"].partition(";")[0] for path in loaded]
    assert types == ["image/svg+xml", "text/css", "text/javascript", "text/javascript"]


@pytest.mark.parametrize("path", ["/docs/assets", "/docs/assets/", "/docs/", "/docs/errors/", "/livez/"])
async def test_no_path_leads_to_the_host_that_was_asked_for(client, path):
    answer = await client.get(path, headers={"Host": "evil.example"})
    assert [answer.status_code, answer.json()["code"]] == [404, "route_not_found"]
    assert "location" not in answer.headers


@pytest.mark.parametrize("part", ["bytes=0-9", "bytes=9-0", "bytes=99999999-", "bytes", "bytes=0-1,3-4", "lines=1-2"])
async def test_a_file_of_the_page_is_given_whole_whatever_part_is_asked_for(client, part):
    whole = await client.get("/docs/assets/swagger-ui.css")
    answer = await client.get("/docs/assets/swagger-ui.css", headers={"Range": part})
    assert [answer.status_code, answer.headers["content-type"]] == [200, "text/css; charset=utf-8"]
    assert answer.content == whole.content


@pytest.mark.parametrize("told", ["{}", 'W/{}, "another"'])
async def test_a_browser_that_has_a_file_is_not_sent_it_again(client, told):
    first = await client.get("/docs/assets/swagger-ui-bundle.js")
    seen = told.format(first.headers["etag"])
    again = await client.get("/docs/assets/swagger-ui-bundle.js", headers={"If-None-Match": seen})
    assert first.content == (ASSETS / "swagger-ui-bundle.js").read_bytes()
    assert [again.status_code, again.content] == [304, b""]
    assert again.headers["etag"] == first.headers["etag"]


async def test_who_reads_slowly_is_sent_a_file_piece_by_piece():
    sent = []

    async def send(message):
        sent.append(len(message.get("body", b"")))

    request = {"type": "http", "method": "GET", "path_params": {"name": "swagger-ui-bundle.js"}, "headers": []}
    answer = await pages._asset(Request(request))
    await answer(request, asyncio.Event().wait, send)

    assert max(sent) == 64 * 1024
    assert sum(sent) == (ASSETS / "swagger-ui-bundle.js").stat().st_size


async def test_the_page_may_load_nothing_from_elsewhere_and_be_framed_by_nobody(client):
    policy = (await client.get("/docs")).headers["content-security-policy"]
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_the_page_shows_the_document_to_no_validator(client):
    start = (await client.get("/docs/start.js")).text
    assert "validatorUrl: null" in start
    assert "http" not in start


async def test_a_browser_keeps_no_token_once_the_page_is_left(client):
    assert "persistAuthorization" not in (await client.get("/docs/start.js")).text


async def test_the_styles_load_nothing_from_elsewhere():
    styles = (ASSETS / "swagger-ui.css").read_text()
    assert re.findall(r"@import|url\((?!\"?data:)[^)]{0,80}", styles) == []


async def test_browsers_that_look_for_an_icon_find_it(client):
    assert (await client.get("/favicon.ico")).text == (await client.get("/favicon.svg")).text


@pytest.mark.parametrize("code", CODES)
async def test_every_code_has_its_page(client, code):
    status, title = CODES[code]
    page = await client.get(f"/docs/errors/{code}")
    assert page.status_code == 200
    assert title in page.text
    assert f"Status {status}, code <code>{code}</code>" in page.text


async def test_the_page_of_a_code_says_whether_to_try_again(client):
    again = "The same request may succeed later"
    assert again in (await client.get("/docs/errors/unavailable")).text
    assert again not in (await client.get("/docs/errors/sku_taken")).text


async def test_a_code_that_does_not_exist_has_no_page(client):
    answer = await client.get("/docs/errors/nonsense")
    assert [answer.status_code, answer.json()["code"]] == [404, "not_found"]


async def test_the_list_leads_to_every_code(client):
    page = await client.get("/docs/errors")
    assert re.findall(r'href="/docs/errors/(\w+)"', page.text) == list(CODES)
