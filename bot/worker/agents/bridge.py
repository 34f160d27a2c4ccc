"""Inside the sandbox: loopback ports that lead to unix sockets, then the agent itself. Standard library only.

    python -I -S bridge.py PORT=SOCKET... -- PROGRAM ARG...

It listens first, then forks: the child forwards, this process becomes the agent. So the addresses answer from the
agent's first moment, and whatever ends the sandbox ends the forwarder. The child also ends by itself when its parent
has.
"""

import asyncio
import contextlib
import os
import socket
import sys

_CHUNK = 65536
_PARENT_CHECK_S = 1.0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    try:
        far_reader, far_writer = await asyncio.open_unix_connection(path)
    except OSError:
        writer.close()
        return
    both = [asyncio.ensure_future(_pump(reader, far_writer)), asyncio.ensure_future(_pump(far_reader, writer))]
    # The far side's end ends the connection; the near side's end must too, or a killed client keeps its request alive.
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(both, timeout=_PARENT_CHECK_S)
    far_writer.close()
    writer.close()
    await asyncio.wait(both)


async def _listen(listener: socket.socket, path: str) -> asyncio.Server:
    return await asyncio.start_server(lambda reader, writer: _forward(reader, writer, path), sock=listener)


async def _serve(listeners: list[tuple[socket.socket, str]], parent: int) -> None:
    servers = [await _listen(listener, path) for listener, path in listeners]
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells a process of its parent's end, it has to look
        await asyncio.sleep(_PARENT_CHECK_S)
    for server in servers:
        server.close()


def main() -> None:
    """Listens, forks, and becomes the agent. Ends with code 127 when the program cannot be executed."""
    end = sys.argv.index("--")
    ways, argv = [way.split("=", 1) for way in sys.argv[1:end]], sys.argv[end + 1 :]
    listeners = [(socket.create_server(("127.0.0.1", int(port)), backlog=64), path) for port, path in ways]
    parent = os.getpid()
    if os.fork() == 0:
        silent = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):  # the agent's pipes must end with the agent
            os.dup2(silent, fd)
        asyncio.run(_serve(listeners, parent))
        os._exit(0)
    for listener, _ in listeners:
        listener.close()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"cannot execute {argv[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    main()
