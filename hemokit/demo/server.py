"""The server: waitress, told to refuse early, to keep every byte in memory, and to hold no more than it can.

By itself waitress reads a body of any size up to its limit before the application is asked, queues without end, and
spools what is large to disk. Here a request is judged when its header is there: too large is 413, of unknown length
411, and one more than can be held 503 with Retry-After, all before its body is read.
"""

import json
import logging
import select
import socket

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server
from waitress.utilities import Error

from hemokit.demo.app import HEADERS, build_app
from hemokit.predictions import NOTICE

MAX_BYTES = 2**26  # of a file: a head CT of 512 x 512 x 60 as int16 is half of it
CAPACITY = 32  # requests with a file that are received, wait or are computed
MAX_HELD = 2**26 + 2**24  # bytes of their bodies together
RETRY_AFTER = 1  # seconds
NEVER = 2**62  # bytes from which waitress would write to disk


class Refusal(Error):
    """An answer that is given before the body is read; `code` is 411, 413 or 503."""

    REASONS = {411: "Length Required", 413: "Content Too Large", 503: "Service Unavailable"}

    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code, self.reason = code, self.REASONS[code]

    def to_response(self, ident=None):
        """(status, headers, body) as waitress sends it."""
        headers = [*HEADERS.items(), ("Content-Type", "application/json")]
        if self.code == 503:
            headers.append(("Retry-After", str(RETRY_AFTER)))
        body = json.dumps({"error": self.body, "notice": NOTICE}).encode()
        return f"{self.code} {self.reason}", headers, body


class Parser(HTTPRequestParser):
    """A request that is judged as soon as its header is whole; `held` tells what others hold: (requests, bytes)."""

    held = None
    judged = False

    def received(self, data):
        """Take bytes in, as waitress asks for it."""
        consumed = super().received(data)
        if self.headers_finished and not self.judged:
            self.judged = True
            if self.has_body and (self.error is None or self.error.code == 413):
                self.error = self._refusal()
            if self.error is not None:
                self.completed, self.expect_continue = True, False
        return consumed

    @property
    def has_body(self):
        """Whether a body is announced."""
        return self.chunked or self.content_length > 0

    def _refusal(self):
        if self.chunked:
            return Refusal(411, "The length of the file was not told, but expected is one. Use another program.")
        if self.content_length > MAX_BYTES:
            came = f"The file has {self.content_length:,} bytes"
            return Refusal(413, f"{came}, but expected are at most {MAX_BYTES:,}. Send fewer or smaller slices.")
        requests, held = self.held()
        if requests >= CAPACITY or (requests and held + self.content_length > MAX_HELD):
            came = f"{requests} files are being worked on"
            return Refusal(503, f"{came}, but expected are fewer. Try again in {RETRY_AFTER} s.")
        return None


class Channel(HTTPChannel):
    """A connection whose requests know what all connections of its server hold."""

    def parser_class(self, adj):
        """Begin a request."""
        parser = Parser(adj)
        parser.held = self._held
        return parser

    def _held(self):
        bodies = []
        for channel in list(self.server.active_channels.values()):
            for request in [channel.request, *channel.requests]:
                if request is not None and request.judged and request.has_body and request.error is None:
                    bodies.append(request.content_length)
        own = self.request.content_length if self.request is not None else 0  # it is being judged
        return len(bodies) - 1, sum(bodies) - own


def build_server(model, *, host="127.0.0.1", port=8000):
    """Build the server; `run()` serves until Ctrl-C or `close()`.

    Args:
        model: `models.Model`.
        host: address to listen on; only "127.0.0.1" keeps the page on this machine.
        port: 0 takes any free one; it is `effective_port` of the result.

    Returns:
        waitress server.

    Raises:
        OSError: the port is taken.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # the queue is bounded here
    app = build_app(model, max_bytes=MAX_BYTES, local=host in ("127.0.0.1", "localhost", "::1"))
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]  # one, where a name has several
    listening = socket.create_server(address, family=family, backlog=1024)
    server = create_server(
        app, sockets=[listening], threads=CAPACITY + 4, ident="hemokit",
        max_request_body_size=MAX_BYTES + 1, inbuf_overflow=NEVER, outbuf_overflow=NEVER,
        connection_limit=1000, channel_timeout=30, cleanup_interval=10,
        asyncore_use_poll=hasattr(select, "poll"), expose_tracebacks=False,
    )  # fmt: skip
    server.channel_class = Channel
    return server
