"""`mcp` through Riparian: the server's URL changed, nothing else."""

import asyncio
import importlib.metadata
import logging
import sys

from mcp import Client, ClientSession
from mcp.client.streamable_http import streamable_http_client

from threads import SESSIONS, TURNS, Book

URL = sys.argv[1] + "/mcp"
book = Book()


class Complaints(logging.Handler):
    """What the SDK finds wrong with messages, of which it tells nobody but its log."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        if "validate" in record.getMessage():
            self.said.append(record.getMessage())


complaints = Complaints()
logging.getLogger().addHandler(complaints)


async def calls(session):
    thread, told = book.thread(), []

    async def progress(done, total, message):
        told.append(done)

    assert [tool.name for tool in (await session.list_tools()).tools] == ["count"]
    for turn in range(TURNS):
        called = await session.call_tool("count", {}, progress_callback=progress)
        thread.turn_is(called.content[0].text)
    assert len(told) == TURNS, told


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
assert not complaints.said, complaints.said[:3]
book.close("mcp", importlib.metadata.version("mcp"))
