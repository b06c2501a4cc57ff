"""What the bench may measure beside the shop, at its smallest: an order is a row, and confirmed at once."""

import asyncio
import json
import os
import re

import asyncpg

TABLE = "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, body json NOT NULL, status text NOT NULL)"
ADD = "INSERT INTO orders (body, status) VALUES ($1, 'confirmed')"
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


async def serve() -> None:
    database = await asyncpg.create_pool(os.environ["USUAL_DATABASE_URL"])
    await database.execute(TABLE)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            await database.execute(ADD, (await reader.readexactly(length)).decode())
            writer.write(ANSWER)

    listening = await asyncio.start_server(answer, "127.0.0.1", int(os.environ["USUAL_PORT"]))
    print(json.dumps({"processes": {"api": os.getpid()}}), flush=True)  # noqa: T201
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
