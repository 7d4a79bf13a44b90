"""The stream of one client: server-sent events, read from the feed's ring, dropped when it lags.

Source: HTML Living Standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gameday.console.web.feed import Feed, Place
from gameday.console.web.guard import Receive, Scope, Send

CLIENTS_MAX = 100
SEND_MAX_S = 10.0


class Crowd:
    """All clients that stream. Lives on the server's event loop; the feed wakes it from its thread."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.closed = False
        self._news = asyncio.Event()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the feed's thread wake the clients on this loop."""

        def wake() -> None:
            with suppress(RuntimeError):  # The loop is closed: nobody is left to wake.
                loop.call_soon_threadsafe(self._wake)

        self.feed.news = wake

    def close(self) -> None:
        """Let every client go."""
        self.closed = True
        self._wake()

    @property
    def next_news(self) -> asyncio.Event:
        """What is set when there is news after this moment."""
        return self._news

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Stream:
    """The answer to one client, an ASGI application of its own."""

    def __init__(self, crowd: Crowd, place: Place) -> None:
        self._crowd = crowd
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the client lacks, then what is new, until it leaves or lags."""
        del scope
        feed = self._crowd.feed
        feed.watching += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
                }
            )
            while not gone.done() and not self._crowd.closed:
                news = self._crowd.next_news
                data = await self._lacking()
                if data:
                    async with asyncio.timeout(SEND_MAX_S):
                        await send({"type": "http.response.body", "body": data, "more_body": True})
                    continue  # What came while this was sent.
                waiting = asyncio.ensure_future(news.wait())
                await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            pass  # Too slow: the server closes the connection, and the page comes back where it was.
        finally:
            gone.cancel()
            feed.watching -= 1

    async def _lacking(self) -> bytes:
        """Return what the client lacks. The whole story is made in a thread: a halt does not wait for it."""
        feed = self._crowd.feed
        found = feed.since(self._place)
        self._place, data = found if found is not None else await asyncio.to_thread(feed.whole)
        return data


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
