"""What is answered to bytes that are no HTTP request: our envelope, where uvicorn would answer plain text."""

from __future__ import annotations

from http import HTTPStatus
from secrets import token_hex

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.errors import envelope_bytes
from app.base.errors import Invalid

HEAD_BYTES_MAX = 256 * 1024
"""Request line and headers together; the parser alone would keep whatever is sent."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    _reading_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the headers have grown beyond reason."""
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._reading_head else 0
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request line begins."""
        self._reading_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are whole."""
        self._reading_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what can't be parsed, and close."""
        status = HTTPStatus.BAD_REQUEST
        body = envelope_bytes(Invalid("This is not an HTTP/1.1 request; send one with well-formed headers."))
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {request_id()}\r\n"
            "x-should-retry: false\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def request_id() -> str:
    """A new `x-request-id`."""
    return f"req_{token_hex(12)}"
