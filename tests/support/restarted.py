"""A service in a process of its own, served as ours are, at the port that is its argument: it says who answered."""

import asyncio
import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chassis.wire import Wire
from ordermill.serving import Server


async def answer(request: Request) -> JSONResponse:
    size = len(await request.body())
    await asyncio.sleep(0.005)
    return JSONResponse({"pid": os.getpid(), "size": size})


if __name__ == "__main__":
    app = Starlette(routes=[Route("/api/v1/orders", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(app, port=int(sys.argv[1]), loop="uvloop", http=Wire, ws="none", log_config=None)
    Server(config).run()
