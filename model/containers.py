"""Finds the recordings in a file: joined ones apart, with lengths that the header leaves open.

libsndfile reads the first of joined recordings only, and nothing where a header gives no length.
"""

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PLACEHOLDER = 0x7FFF0000  # lengths from here on are written by programs that do not know them
BLOCK_BYTES = 65_536
CHUNKS_MAX = 1_000
PARTS_MAX = 1_000  # joined recordings
PAGES_MAX = 1_000_000  # of Ogg, each of 20 ms: more than five hours
W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
MPEG_OR_TAG = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]|ID3")
BETWEEN_BYTES = 1_048_576  # most between two MPEG frames, so that a search is quick
FLAC_START = b"fLaC\x00\x00\x00\x22"


class BadRecording(Exception):
    """A recording can't be read; `got` is what came, `expected` what can be."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(got, expected)
        self.got = got
        self.expected = expected

    def __str__(self) -> str:
        return f"got {self.got}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of one recording in a file, some of them replaced."""

    start: int
    end: int
    replaced: tuple[tuple[int, bytes], ...] = ()  # offset in the file, bytes


class PartFile(io.RawIOBase):
    """Reads one part of a file as if it were the whole."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file = file
        self._part = part
        self._at = part.start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._part.start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: self._part.start, io.SEEK_CUR: self._at, io.SEEK_END: self._part.end}
        self._at = max(base[whence] + offset, self._part.start)
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        left = max(self._part.end - self._at, 0)
        data = bytearray(_at(self._file, self._at, left if size < 0 else min(size, left)))
        for offset, new in self._part.replaced:
            for i, byte in enumerate(new):
                if 0 <= offset + i - self._at < len(data):
                    data[offset + i - self._at] = byte
        self._at += len(data)
        return bytes(data)

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer).cast("B")
        data = self.read(len(into))
        into[: len(data)] = data
        return len(data)


def parts(file: BinaryIO) -> list[Part]:
    """Returns the recordings in a file, in order; a file of an unknown kind is one.

    Raises:
        BadRecording: the file is cut off, or holds recordings that can't be told apart.
    """
    end = file.seek(0, io.SEEK_END)
    head = _at(file, 0, 16)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return [_wav(file, end)]
    if head[:4] == b"FORM":
        return [_aiff(file, end)]
    if head[:4] == b"riff":
        return [_w64(file, end)]
    if head[:4] == b"caff":
        return [_caf(file, end)]
    if head[:4] == b".snd":
        offset, size = struct.unpack(">II", head[4:12].ljust(8, b"\0"))
        return [_filled(end, offset, size, ((8, ">I", 0),))]
    if head[:4] == b"OggS":
        return _between(_ogg_starts(file, end), end)
    if head[:4] == b"fLaC":
        return _between(_flac_starts(file, end), end)
    if head[:3] == b"ID3" or _mpeg_bytes(head[:4]):
        return _between(_mpeg_starts(file, end), end)
    return [Part(0, end)]


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Returns the bytes at an offset, which a header that is nonsense may put anywhere."""
    file.seek(min(offset, 2**62))
    return file.read(size)


def _between(starts: list[int], end: int) -> list[Part]:
    if len(starts) > PARTS_MAX:
        raise BadRecording(f"{len(starts)} joined recordings", f"at most {PARTS_MAX}")
    return [Part(a, b) for a, b in zip(starts, [*starts[1:], end], strict=True)]


def _filled(end: int, data_at: int, size: int, fields: tuple[tuple[int, str, int], ...]) -> Part:
    """Returns the file with its true length in the header's fields, if that left it open.

    Args:
        fields: each field's offset, its format and what its number has beyond the data's bytes.

    Raises:
        BadRecording: there is less than the header promises.
    """
    there = end - data_at
    if 0 < size < PLACEHOLDER:
        if size > there:
            raise BadRecording(f"{there} of {size} bytes of audio", "a file that is not cut off")
        return Part(0, end)
    new = []
    for offset, form, beyond in fields:
        limit = 256 ** struct.calcsize(form) - 1
        new.append((offset, struct.pack(form, min(max(there, 0) + beyond, limit))))
    return Part(0, end, tuple(new))


def _chunks(file: BinaryIO, end: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, offset of the content and size of each chunk of a RIFF or AIFF file."""
    at = 12
    for _ in range(CHUNKS_MAX):
        head = _at(file, at, 8)
        if len(head) < 8:
            return
        size: int = struct.unpack(f"{order}I", head[4:])[0]
        yield head[:4], at + 8, size
        at += 8 + size + size % 2


def _wav(file: BinaryIO, end: int) -> Part:
    wide = None  # size of the data in an RF64 file
    found = None
    for name, at, size in _chunks(file, end, "<"):
        if name in (b"RIFF", b"RF64"):
            raise BadRecording("a second recording after the first", "one recording in a WAV file")
        if name == b"ds64":
            wide = struct.unpack("<Q", _at(file, at + 8, 8).ljust(8, b"\0"))[0]
            wide_at = at + 8
        if name == b"data" and found is None:
            if wide is not None and size == 0xFFFFFFFF:
                return _filled(end, at, wide, ((wide_at, "<Q", 0), (wide_at - 8, "<Q", at - 8)))
            found = Part(0, end)
            after = _at(file, at, 8)
            if size == 0 and (len(after) < 8 or _is_chunk(after, end - at)):
                continue  # really empty
            found = _filled(end, at, size, ((at - 4, "<I", 0), (4, "<I", at - 8)))
            if found.replaced:
                return found
    return found or Part(0, end)


def _is_chunk(head: bytes, left: int) -> bool:
    return head[:4].isalnum() and struct.unpack("<I", head[4:])[0] + 8 <= left


def _aiff(file: BinaryIO, end: int) -> Part:
    for name, at, size in _chunks(file, end, ">"):
        if name == b"FORM":
            raise BadRecording("a second recording after the first", "one recording in a file")
        if name == b"SSND" and end - at < size < PLACEHOLDER:
            raise BadRecording(f"{end - at} of {size} bytes of audio", "a file that is not cut off")
    return Part(0, end)


def _w64(file: BinaryIO, end: int) -> Part:
    at = 40
    for _ in range(CHUNKS_MAX):
        head = _at(file, at, 24)
        if len(head) < 24:
            break
        size: int = struct.unpack("<Q", head[16:])[0]
        if head[:16] == W64_DATA:
            fields = ((at + 16, "<Q", 24), (16, "<Q", at + 24))
            return _filled(end, at + 24, max(size - 24, 0), fields)
        at += max(size + -size % 8, 24)
    return Part(0, end)


def _caf(file: BinaryIO, end: int) -> Part:
    at = 8
    for _ in range(CHUNKS_MAX):
        head = _at(file, at, 12)
        if len(head) < 12:
            break
        size: int = struct.unpack(">Q", head[4:])[0]
        if head[:4] == b"data":
            return _filled(end, at + 12, size, ((at + 4, ">Q", 0),))
        at += 12 + size
    return Part(0, end)


def _ogg_starts(file: BinaryIO, end: int) -> list[int]:
    starts: list[int] = []
    at, beginning, pages = 0, False, 0
    while at < end:
        pages += 1
        if pages > PAGES_MAX:
            raise BadRecording(f"more than {PAGES_MAX} Ogg pages", "a recording of at most hours")
        head = _at(file, at, 27)
        table = _at(file, at + 27, head[26]) if len(head) == 27 else b""
        if head[:4] != b"OggS" or at + 27 + len(table) + sum(table) > end:
            raise BadRecording(f"an Ogg page at byte {at} that is not whole", "a whole file")
        begins = bool(head[5] & 2)
        if begins and not beginning:  # several streams begin side by side in one recording
            starts.append(at)
        beginning = begins
        at += 27 + len(table) + sum(table)
    return starts or [0]


def _flac_starts(file: BinaryIO, end: int) -> list[int]:
    starts: list[int] = []
    for block in range(0, end, BLOCK_BYTES):
        data = _at(file, block, BLOCK_BYTES + len(FLAC_START) - 1)
        at = data.find(FLAC_START)
        while at >= 0:
            starts.append(block + at)
            at = data.find(FLAC_START, at + 1)
    return starts or [0]


def _mpeg_bytes(head: bytes) -> int:
    """Returns the bytes of the MPEG layer 3 frame with this header, or 0 if it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] & 0x06 != 0x02:
        return 0
    version, bits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    low = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    high = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    kbit = (high if version == 3 else low)[bits - 1]
    hz = (44_100, 48_000, 32_000)[rate] >> (0 if version == 3 else 1 if version == 2 else 2)
    return (144 if version == 3 else 72) * kbit * 1000 // hz + (head[2] >> 1 & 1)


def _mpeg_starts(file: BinaryIO, end: int) -> list[int]:
    starts = [0]
    at, frames = 0, 0  # frames of audio since the last start
    while at < end:
        head = _at(file, at, 64)
        if head[:3] == b"ID3" and len(head) >= 10:
            if frames:
                starts.append(at)
                frames = 0
            at += 10 + sum((head[6 + i] & 0x7F) << 7 * (3 - i) for i in range(4))
        elif size := _mpeg_bytes(head):
            if frames and (b"Xing" in head[4:44] or b"Info" in head[4:44]):
                starts.append(at)
                frames = 0
            frames += 1
            at += size
        else:  # a tag or padding: look for the next frame
            at = _next_frame(file, at + 1, end)
    return starts


def _next_frame(file: BinaryIO, at: int, end: int) -> int:
    """Returns where the next two MPEG frames in a row, or the next tag, begin; else `end`.

    Raises:
        BadRecording: there is too much in between.
    """
    data = _at(file, at, BETWEEN_BYTES)
    for found in MPEG_OR_TAG.finditer(data):
        i = found.start()
        size = _mpeg_bytes(data[i : i + 4])
        if data[i : i + 3] == b"ID3" or (size and _mpeg_bytes(_at(file, at + i + size, 4))):
            return at + i
    if at + BETWEEN_BYTES < end:
        raise BadRecording(f"{BETWEEN_BYTES} bytes that are no MP3 frames", "an MP3 file")
    return end
