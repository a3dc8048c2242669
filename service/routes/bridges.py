"""Where telephony connects: one path a dialect, nobody guesses which provider is calling."""

from fastapi import APIRouter
from starlette.websockets import WebSocket

from service.bridges.native import NativeBridge
from service.events import Track
from service.routes.conversation import Conversation
from service.routes.parts import PartsDep

router = APIRouter()


@router.websocket("/calls/native")
async def native(socket: WebSocket, parts: PartsDep) -> None:
    """Kanjo's own dialect."""
    settings = parts.settings
    analyse = {Track.CALLER} | ({Track.AGENT} if settings.analyse_agent else set())
    bridge = NativeBridge(frozenset(analyse), settings.max_frame_bytes)
    await Conversation(socket, bridge, parts).hold()
