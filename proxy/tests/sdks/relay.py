"""What stands before replicas: each request goes to one of them by the toss of a coin, and so does the next one of the same connection.

It knows no more of HTTP/1.1 than that nobody speaks into an answer: a client that speaks after one asks something new. A WebSocket
stays where it began. TLS ends here, where there is a certificate.
"""

import asyncio
import random
import ssl
import threading

CHUNK = 65536


class Relay:
    """Listens on a `port` until it is ended; `replicas` are ports, too."""

    def __init__(self, replicas, certificate=None):
        self.replicas, self.tls = replicas, None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        self.coin = random.Random(1)
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def serve(self, reader, writer):
        """One client's connection."""
        exchange = None
        try:
            while said := await reader.read(CHUNK):
                if exchange is None or exchange.answered:
                    if exchange:
                        exchange.end()
                    exchange = Exchange(writer)
                    await exchange.begin(self.coin.choice(self.replicas))
                exchange.replica.write(said)
                await exchange.replica.drain()
        except OSError:
            pass  # either end may go when it likes
        finally:
            if exchange:
                exchange.end()
            writer.close()


class Exchange:
    """A request and its answer, or a socket."""

    def __init__(self, client):
        self.client, self.answered = client, False

    async def begin(self, port):
        reader, self.replica = await asyncio.open_connection("127.0.0.1", port)
        self.answering = asyncio.create_task(self.answer(reader))

    async def answer(self, reader):
        try:
            said = await reader.read(CHUNK)
            self.answered = not said.startswith(b"HTTP/1.1 101 ")
            while said:
                self.client.write(said)
                await self.client.drain()
                said = await reader.read(CHUNK)
        except OSError:
            pass
        self.client.close()

    def end(self):
        self.answering.cancel()
        self.replica.close()
