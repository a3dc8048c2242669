"""Chunks that are written to a response without the application's task."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.api.http_protocol import WRITE_CHUNK, HttpProtocol
from service.connections import Connections
from tests.limits import ENOUGH_S

Serve = Callable[[Callable[[bytes], bool], Send, Receive], Awaitable[None]]
REQUEST = b"GET / HTTP/%s\r\nHost: localhost\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


@contextlib.asynccontextmanager
async def asked(
    serve: Serve, version: bytes = b"1.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.Future[None]]]:
    """Yields what a client reads of the answer to a request, and the end of `serve`."""
    loop = asyncio.get_running_loop()
    served: asyncio.Future[None] = loop.create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await serve(scope["state"][WRITE_CHUNK], send, receive)
        except BaseException as failure:
            served.set_exception(failure)
        else:
            served.set_result(None)

    config = uvicorn.Config(app, log_config=None)
    config.load()
    make = partial(
        HttpProtocol, config=config, server_state=ServerState(), app_state={}, _loop=loop
    )
    server = await loop.create_server(partial(make, connections=Connections()), "127.0.0.1", 0)
    async with server, asyncio.timeout(ENOUGH_S):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(REQUEST % version)
        yield reader, served
        writer.close()


async def test_a_chunk_is_written_between_two_that_are_sent() -> None:
    async def serve(write: Callable[[bytes], bool], send: Send, receive: Receive) -> None:
        assert not write(b"too early")
        await send(START)
        await send(body(b"one"))
        assert write(b"two " * 5)
        await send(body(b"three", more=False))
        assert not write(b"too late")

    async with asked(serve) as (reader, served):
        answer = await reader.readuntil(b"0\r\n\r\n")
        await served
    chunks = answer.partition(b"\r\n\r\n")[2]
    assert chunks == b"3\r\none\r\n14\r\n" + b"two " * 5 + b"\r\n5\r\nthree\r\n0\r\n\r\n"


async def test_a_response_without_chunks_is_left_to_the_application() -> None:
    async def serve(write: Callable[[bytes], bool], send: Send, receive: Receive) -> None:
        await send(START)
        await send(body(b"one"))
        assert not write(b"two")
        await send(body(b"three", more=False))

    async with asked(serve, b"1.0") as (reader, served):
        answer = await reader.read()
        await served
    assert answer.endswith(b"\r\n\r\nonethree")


async def test_nothing_is_written_to_a_client_that_does_not_read_or_has_gone() -> None:
    async def serve(write: Callable[[bytes], bool], send: Send, receive: Receive) -> None:
        await send(START)
        sizes = 0
        while write(bytes(65_536)):
            sizes += 1
            assert sizes < 1000, "it writes without bounds"
            await asyncio.sleep(0)
        full.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        assert not write(b"gone")

    full = asyncio.Event()
    async with asked(serve) as (reader, served):
        await full.wait()
        reader._transport.abort()  # type: ignore[attr-defined]
        await served
