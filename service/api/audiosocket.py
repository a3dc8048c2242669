"""AudioSocket's TCP ports, one for each track: Asterisk connects to the port of its track."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping

import structlog

from service.api.connection import Connection
from service.api.services import Services
from service.api.transport import TransportClosed
from service.errors import CantListen
from service.events import Track
from service.settings import LOOPBACK, Settings
from service.telephony.audiosocket.bridge import FRAME_S, HANG_UP, AudioSocketBridge

log = structlog.get_logger()

READ_BYTES = 65_536
UNSENT_BYTES = 16_384  # of silence, half a second at 16 kHz; no more is queued for slow readers


def listeners(settings: Settings) -> Mapping[Track, socket.socket]:
    """Binds the configured ports and returns their listeners by track.

    AudioSocket has no credentials, so the ports listen on other addresses than loopback only where
    clients are trusted without any.

    Raises:
        CantListen: a port is in use; no port stays bound.
    """
    ports = {
        Track.CALLER: settings.audiosocket_caller_port,
        Track.AGENT: settings.audiosocket_agent_port,
    }
    host = settings.listens_at if settings.trusts(settings.listens_at) else LOOPBACK
    bound: dict[Track, socket.socket] = {}
    for track, port in ports.items():
        if port is None:
            continue
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            bound[track] = socket.create_server((host, port), family=family)
        except OSError as error:
            for other in bound.values():
                other.close()
            raise CantListen(host, port, error.strerror or str(error)) from error
    return bound


class AudioSocketServer:
    """Accepts the connections of one port; `run` owns their tasks."""

    def __init__(self, listener: socket.socket, track: Track, services: Services) -> None:
        self._listener = listener
        self._track = track
        self._services = services

    async def run(self) -> None:
        """Serves connections until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            # Not a coroutine function: the task group must own the task, not the server.
            def connected(reader: StreamReader, writer: StreamWriter) -> None:
                tasks.create_task(self._serve(reader, writer))

            async with await asyncio.start_server(connected, sock=self._listener) as server:
                await server.serve_forever()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        limits = self._services.limits
        address = str((writer.get_extra_info("peername") or ("unknown",))[0])
        if limits.admit(address) is None:
            writer.transport.abort()
            return
        try:
            await self._converse(reader, writer)
        finally:
            limits.release(address)

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        ready = self._services.warm.is_set() and not self._services.stopping.is_set()
        try:
            if ready:  # otherwise the only possible reply is to end the connection
                bridge = AudioSocketBridge(
                    self._services.settings.analysed_tracks, track=self._track
                )
                silence = asyncio.create_task(_send_silence(bridge, writer))
                try:
                    transport = _TcpTransport(reader, writer)
                    await Connection(transport, bridge, bridge.NAME, self._services).run()
                finally:
                    silence.cancel()
        finally:
            writer.close()


class _TcpTransport:
    """The messages of one TCP connection: `receive` returns whatever bytes have arrived."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes | None:
        try:
            return await self._reader.read(READ_BYTES) or None
        except OSError:
            return None

    async def send(self, message: str | bytes) -> None:
        assert isinstance(message, bytes), "TCP carries no text"
        try:
            self._writer.write(message)
            await self._writer.drain()
        except OSError as error:
            raise TransportClosed from error

    async def close(self, code: int, reason: str) -> None:
        """Hangs up, and reads what is still on its way: unread bytes would reset the connection.

        The caller limits the time.
        """
        log.debug("audiosocket_closed", code=code, reason=reason)
        try:
            self._writer.write(HANG_UP)
            self._writer.write_eof()
            while await self._reader.read(READ_BYTES):
                pass
        except OSError as error:
            raise TransportClosed from error
        finally:
            self._writer.close()


async def _send_silence(bridge: AudioSocketBridge, writer: StreamWriter) -> None:
    """Sends the bridge's silence every `FRAME_S` seconds until the call or the connection ends."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while bridge.close_code is None and not writer.is_closing():
        if writer.transport.get_write_buffer_size() < UNSENT_BYTES:
            writer.write(bridge.silence())
        due_s = max(due_s + FRAME_S, loop.time())
        await asyncio.sleep(due_s - loop.time())
