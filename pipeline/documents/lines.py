"""A stream of bytes cut into lines, holding one line at most, and of a line that is too long only its head."""

from dataclasses import dataclass

from pipeline.documents.records import HEAD_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Line `number` (0-based) without its line feed. `data` is all of its `n_bytes`, or the head of a longer one."""

    number: int
    data: bytes
    n_bytes: int


class LineSplitter:
    """Cuts pieces at line feeds; a line longer than `max_bytes` is counted, and only its head is held. The first line
    has the number `first`."""

    def __init__(self, max_bytes: int, first: int = 0) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._n_bytes = 0
        self._number = first

    def feed(self, piece: bytes) -> list[Line]:
        """The lines that end in `piece`."""
        ends = piece.split(b"\n")
        last = ends.pop()
        lines = []
        for end in ends:
            self._hold(end)
            lines.append(self.pending())
            self._parts, self._n_bytes, self._number = [], 0, self._number + 1
        self._hold(last)
        return lines

    def pending(self) -> Line:
        """The line that has not ended yet; it may be empty."""
        return Line(number=self._number, data=b"".join(self._parts), n_bytes=self._n_bytes)

    def _hold(self, part: bytes) -> None:
        self._n_bytes += len(part)
        self._parts.append(part)
        if self._n_bytes > self._max_bytes:
            self._parts = [b"".join([p[:HEAD_BYTES] for p in self._parts])[:HEAD_BYTES]]
