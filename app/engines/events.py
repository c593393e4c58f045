"""Server-sent events, from bytes in any chunking to the payloads of their `data` lines."""

from __future__ import annotations

EVENT_BYTES_MAX = 1024 * 1024


class EventTooLong(ValueError):
    """A line or an event is over the bound."""


class EventReader:
    """Feed bytes, get whole payloads.

    Line ends may be LF, CRLF or CR; several `data` lines of an event are joined with LF; comments and other fields are
    left out. An event named `error` sets `error_seen`.
    """

    __slots__ = ("_data", "_data_bytes", "_first", "_parts", "_parts_bytes", "error_seen")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._first = True
        self.error_seen = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The payloads of the events that are whole now.

        Raises:
            EventTooLong: more than EVENT_BYTES_MAX in a line or an event.
        """
        if self._parts:
            if b"\n" not in piece and b"\r" not in piece and not self._parts[-1].endswith(b"\r"):
                self._keep(piece)
                return []
            self._parts.append(piece)
            piece = b"".join(self._parts)
            self._parts.clear()
            self._parts_bytes = 0
        cr_at_end = False
        if b"\r" in piece:
            cr_at_end = piece.endswith(b"\r")  # the LF of a CRLF may still be on its way
            piece = (piece[:-1] if cr_at_end else piece).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = piece.split(b"\n")
        rest = lines.pop()
        if cr_at_end:
            rest += b"\r"
        if rest:
            self._keep(rest)
        return self._events(lines)

    def finish(self) -> list[bytes]:
        """The payload of a last event that lacks its blank line."""
        rest = b"".join(self._parts).rstrip(b"\r")
        self._parts.clear()
        return self._events([rest, b""])

    def _keep(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._parts_bytes += len(piece)
        if self._parts_bytes > EVENT_BYTES_MAX:
            raise EventTooLong

    def _events(self, lines: list[bytes]) -> list[bytes]:
        payloads: list[bytes] = []
        data = self._data
        for line in lines:
            if line[:5] == b"data:":
                value = line[6:] if line[5:6] == b" " else line[5:]
                data.append(value)
                self._data_bytes += len(value)
                if self._data_bytes > EVENT_BYTES_MAX:
                    raise EventTooLong
            elif not line:
                if data:
                    payloads.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
                    self._data_bytes = 0
            elif line[:6] == b"event:":
                self.error_seen = self.error_seen or line[6:].strip() == b"error"
            elif self._first and line[:3] == b"\xef\xbb\xbf":
                self._first = False
                payloads += self._events([line[3:]])
            self._first = False
        return payloads
