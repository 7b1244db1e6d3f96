"""Files on disk: written whole, and read with the distrust that the network gets.

Whoever may write into a folder of ours may have put a link, a pipe or a folder in our way. So what
is written goes under a random name that nothing had before, and is renamed to its place; and what
is read is a regular file of a bounded size, opened so that no pipe makes us wait. Text in UTF-16,
as PowerShell's `>` and some editors write it, is read as UTF-8: `encoding_of` knows it by its byte
order mark, or by the zeros that plain ASCII has in it.
"""

from __future__ import annotations

import codecs
import errno
import fcntl
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

ENDING = ".partial"
ASIDE = ".old"


class NotAFileError(OSError):
    """What was to be read is no regular file; `kind` says what it is."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(errno.EINVAL, f"expected a file, found {kind}", path)
        self.kind = kind


class TooLargeError(OSError):
    """What was to be read is larger than allowed."""

    def __init__(self, path: str, most_bytes: int) -> None:
        super().__init__(errno.EFBIG, f"expected at most {most_bytes} bytes, found more", path)


@contextmanager
def replacing(
    path: Path, *, mode: int | None = None, sync: bool = False, keep: bool = False
) -> Iterator[IO[bytes]]:
    """A stream for the new content of `path`, which has its place when the block ends well.

    `mode`: the file's rights; None: what the umask leaves of 0666. `sync`: it is on the disk
    before it is renamed. `keep`: a file that is there is an error, FileExistsError. A link at
    `path` is replaced, and never followed. Raises OSError; then nothing is left behind.
    """
    beside = path.with_name(f".{path.name[:200]}.{os.urandom(8).hex()}{ENDING}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(beside, flags, 0o666 if mode is None else mode)
    try:
        with open(beside, "r+b", opener=lambda *_: handle) as stream:  # so it knows its name
            with suppress(OSError):  # a file system without locks: `clear` is then not so sure
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if mode is not None:
                os.fchmod(handle, mode)
            yield stream
            stream.flush()
            if sync:
                # Some file systems rename before the content is there; a power cut then leaves
                # an empty file.
                os.fsync(handle)
            if keep:
                os.link(beside, path)
            else:
                os.replace(beside, path)
    finally:
        with suppress(OSError):
            os.unlink(beside)


def write_whole(
    path: Path, content: bytes, *, mode: int | None = None, sync: bool = False, keep: bool = False
) -> None:
    """Write `content` as in `replacing`. Raises OSError."""
    with replacing(path, mode=mode, sync=sync, keep=keep) as stream:
        stream.write(content)


def clear(path: Path) -> None:
    """Delete what writers of `path` left behind that were killed. One that still writes has the
    lock of its file, which the kernel lifts when it ends."""
    start = f".{path.name[:200]}."
    with suppress(OSError):
        for name in os.listdir(path.parent):
            if name.startswith(start) and name.endswith(ENDING):
                left = path.with_name(name)
                with suppress(OSError), open_regular(left) as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(left)


def set_aside(path: Path) -> str:
    """Rename what stands at `path`, which could not be written anew and is of an earlier run, to
    its name with `.old`; the end of a sentence that says so, empty when nothing is there."""
    old = path.with_name(path.name + ASIDE)
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode) or os.path.isdir(old):
            return f"; what stands at {path} is not of this run"
        os.replace(path, old)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return f"; what stands at {path} is of an earlier run"
    return f"; that of an earlier run is now {old}"


def open_regular(path: str | Path, *, pipe: bool = False) -> IO[bytes]:
    """A regular file, open for reading; links to one are followed. Never waits for a pipe.

    `pipe`: the word of a person, which may name what this process was given open, such as
    `/dev/stdin` or a shell's `<(...)`; other pipes are refused all the same. Raises NotAFileError,
    OSError whose `strerror` ends a sentence, or ValueError for a name that no file can have.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode) and not (pipe and _handed(path, mode)):
            raise NotAFileError(
                str(path), "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            )
        os.set_blocking(handle, True)
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path, most_bytes: int, *, pipe: bool = False) -> bytes:
    """The content of a regular file, as `open_regular` opens it. One that is larger raises
    TooLargeError, and no more than `most_bytes` of it is read."""
    with open_regular(path, pipe=pipe) as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise TooLargeError(str(path), most_bytes)
    return content


def _handed(path: str | Path, mode: int) -> bool:
    """Whether a pipe or device is one that this process was started with."""
    text = str(path)
    return not stat.S_ISDIR(mode) and (
        text in ("/dev/stdin", "/dev/null") or text.startswith(("/dev/fd/", "/proc/self/fd/"))
    )


HEAD_BYTES = 4
"""How many first bytes `encoding_of` needs, unless there are no more."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def encoding_of(head: bytes) -> str:
    """`utf-16-le` and its like, or empty: UTF-8, or not known."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if len(head) >= HEAD_BYTES and head[:4].count(0) == 2:
        if head[1] == head[3] == 0:
            return "utf-16-le"
        if head[0] == head[2] == 0:
            return "utf-16-be"
    return ""


class Utf8(io.RawIOBase):
    """A stream in another encoding, read as UTF-8 without a byte order mark.

    What cannot be decoded becomes U+FFFD, and `replaced` counts it.
    """

    def __init__(self, head: bytes, rest: Readable, encoding: str) -> None:
        """`head` was read already; `rest` is what follows."""
        self._head, self._rest = head, rest
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""
        self._over = False
        self._first = True
        self.replaced = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one piece goes; 0 at the end."""
        size = len(buffer)
        while not self._ready and not self._over:
            raw = self._head or self._rest.read(size) or b""
            self._head, self._over = b"", not raw
            text = self._decoder.decode(raw, final=self._over)
            if self._first and text:
                text, self._first = text.removeprefix("\ufeff"), False
            self.replaced += text.count("\ufffd")
            self._ready = text.encode("utf-8", "replace")
        data = self._ready[:size]
        self._ready = self._ready[size:]
        buffer[: len(data)] = data
        return len(data)
