"""`mcp` through Riparian: the server's URL changed, nothing else."""

import asyncio
import importlib.metadata
import sys

from mcp import Client, ClientSession
from mcp.client.streamable_http import streamable_http_client

from threads import SESSIONS, TURNS, Book

URL = sys.argv[1] + "/mcp"
book = Book()


async def calls(session):
    thread = book.thread()
    assert [tool.name for tool in (await session.list_tools()).tools] == ["count"]
    for turn in range(TURNS):
        called = await session.call_tool("count", {})
        thread.turn_is(called.content[0].text)


async def handshake():
    """A session with its handshake, its listening stream, its tool calls and its end."""
    async with streamable_http_client(URL) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        await calls(session)


async def discovery():
    """The client finds out for itself that this server has sessions."""
    async with Client(URL) as client:
        await calls(client)


async def main():
    for story in (handshake, discovery):
        await asyncio.gather(*(story() for _ in range(SESSIONS)))
        book.stories.append(story.__name__)


asyncio.run(main())
book.close("mcp", importlib.metadata.version("mcp"))
