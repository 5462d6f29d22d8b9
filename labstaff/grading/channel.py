"""A short way into a kernel: expressions go there, their texts come back.

Jupyter's own messages take several milliseconds each, and a probe has
hundreds. What comes from the kernel is never believed to be what it should be.
"""

import inspect
import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

LENGTH = struct.Struct("!Q")
LARGEST = 64 * 2**20  # bytes of an answer
SEND = 15.0  # seconds for the kernel to take an expression


def serve(path, namespace):
    """Evaluate what comes; this function's text is run in the kernel."""
    import json
    import socket
    import struct

    length = struct.Struct("!Q")
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        with line.makefile("rwb") as file:
            while header := file.read(length.size):
                code = file.read(*length.unpack(header)).decode("utf-8")
                try:
                    reply = [True, repr(eval(code, namespace))]
                except BaseException as error:
                    reply = [False, type(error).__name__]
                data = json.dumps(reply).encode("utf-8")
                file.write(length.pack(len(data)) + data)
                file.flush()


def expression(path: Path) -> str:
    """What the kernel has to evaluate to be at the other end."""
    module = "__import__('types').ModuleType('line')"
    return (
        f"(lambda m: (exec({inspect.getsource(serve)!r}, m.__dict__), "
        f"m.serve({str(path)!r}, get_ipython().user_ns)))({module})"
    )


class Line:
    """The grader's end.

    Args:
        path: where its socket will be; every user may connect.

    Raises:
        OSError: something is there already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        # Not by chmod: the kernel can write to this folder, and could put a
        # link to a file of the grader's in the socket's place.
        mask = os.umask(0)
        try:
            self.listener.bind(str(path))
        except OSError:
            self.listener.close()
            raise
        finally:
            os.umask(mask)
        self.listener.listen(1)
        self.socket: socket.socket | None = None
        self.buffer = bytearray()

    def connected(self, seconds: float) -> bool:
        """Wait for the kernel."""
        self.listener.settimeout(seconds)
        try:
            self.socket, _ = self.listener.accept()
        except OSError:
            return False
        finally:
            self.listener.close()
            self.path.unlink(missing_ok=True)
        return True

    def send(self, code: str) -> None:
        """Have an expression evaluated.

        Raises:
            OSError: nobody takes it.
        """
        assert self.socket
        data = code.encode("utf-8")
        self.socket.settimeout(SEND)
        self.socket.sendall(LENGTH.pack(len(data)) + data)

    def receive(self, seconds: float) -> Any:
        """The answer's two parts, (whether there is a value, its text).

        Returns:
            None where it has not come yet.

        Raises:
            OSError, EOFError: the kernel has hung up.
            ValueError: this is no answer.
        """
        assert self.socket
        end = time.monotonic() + seconds
        while (size := self._size()) is None or len(self.buffer) < size:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(2**20)
            except TimeoutError:
                return None
            if not data:
                raise EOFError
            self.buffer += data
        try:
            reply = json.loads(self.buffer[LENGTH.size:size])
        except RecursionError:
            raise ValueError("an answer nested too deeply") from None
        del self.buffer[:size]
        if not (isinstance(reply, list) and len(reply) == 2):
            raise ValueError("this is no answer")
        return bool(reply[0]), str(reply[1])

    def close(self) -> None:
        if self.socket:
            self.socket.close()

    def _size(self) -> int | None:
        """Bytes of the answer with its length, once that is there."""
        if len(self.buffer) < LENGTH.size:
            return None
        size = LENGTH.unpack_from(self.buffer)[0] + LENGTH.size
        if size > LARGEST:
            raise ValueError("an answer too large to be read")
        return size
