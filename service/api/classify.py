"""POST /classify: returns how the speaker of an uploaded recording sounds."""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from model.containers import BadRecording
from model.recording import AudioChannel, RecordingTooLong, decode
from service.api.problem import HttpProblem
from service.api.services import ServicesDep
from service.classification import Classification, classification, cut
from service.scoring.batcher import WindowDropped
from service.scoring.scorer import Posterior

# Windows of one recording that are queued at the same time, so that live calls are not delayed.
QUEUED_MAX = 16
FORM_BYTES = 10_000  # most that multipart adds to the file

ACCEPTED_TYPES = ("audio/", "video/", "application/octet-stream", "application/ogg")


class _LimitedUpload(APIRoute):
    """Checks type and declared size before the body is read, and its real size while it is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            services = request.app.state.services
            services.require_warm()
            kind = request.headers.get("content-type", "nothing")
            if not kind.startswith("multipart/form-data"):
                raise HttpProblem(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, kind[:100], "multipart/form-data with `file`"
                )
            max_bytes = services.settings.classify_max_bytes
            declared = request.headers.get("content-length", "0")
            if declared.isdecimal() and int(declared) > max_bytes + FORM_BYTES:
                raise _too_large(declared, max_bytes)
            within_s = services.upload_within_s
            if services.uploads.locked() and not services.uploads.make_place():
                raise HttpProblem(
                    HTTPStatus.SERVICE_UNAVAILABLE, "one recording more", "fewer at once"
                )
            async with services.uploads.begin(within_s) as upload:

                async def receive() -> Message:
                    try:
                        async with upload.part():
                            message = await request.receive()
                    except TimeoutError:
                        raise HttpProblem(
                            HTTPStatus.REQUEST_TIMEOUT,
                            f"{upload.received} bytes",
                            f"all of them within {within_s:g} s, or faster than others",
                        ) from None
                    upload.received += len(message.get("body", b""))
                    if upload.received > max_bytes + FORM_BYTES:
                        raise _too_large(f"more than {max_bytes}", max_bytes)
                    return message

                try:
                    return await handle(Request(request.scope, receive))
                except HTTPException as error:
                    # FastAPI turns every exception raised while it reads a body into a 400.
                    if isinstance(error.__cause__, HttpProblem):
                        raise error.__cause__ from None
                    raise

        return checked


def _too_large(got: str, max_bytes: int) -> HttpProblem:
    return HttpProblem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"{got} bytes",
        f"at most {max_bytes} (classify_max_bytes)",
    )


router = APIRouter(tags=["classify"], route_class=_LimitedUpload)

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {}}}
    for status, text in (
        (400, "unreadable, empty, or no such channel"),
        (408, "too slow"),
        (413, "too large or too long"),
        (415, "not multipart, or a file that is not audio"),
        (503, "the model is not ready, or there is too much to do"),
    )
}


@router.post("/classify", responses=_PROBLEMS)
async def classify(
    services: ServicesDep,
    file: Annotated[
        UploadFile, File(description="WAV, FLAC, OGG, MP3; 8 to 48 kHz; 1 or 2 channels")
    ],
    channel: Annotated[
        AudioChannel | None,
        Form(
            description="which channel of a stereo file, or the mean of both; by default the "
            "caller's (classify_caller_channel)"
        ),
    ] = None,
) -> Classification:
    """Returns how the speaker of a recording sounds, as a whole and over time."""
    settings, meta = services.settings, services.scorer.meta
    if file.content_type and not file.content_type.startswith(ACCEPTED_TYPES):
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, file.content_type, "an audio file")
    if file.size is not None and file.size > settings.classify_max_bytes:
        raise _too_large(str(file.size), settings.classify_max_bytes)
    async with services.recordings:
        try:
            pcm = await asyncio.to_thread(
                decode,
                file.file,
                channel,
                settings.classify_max_s,
                settings.classify_caller_channel,
            )
        except RecordingTooLong as error:
            raise HttpProblem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.got, error.expected
            ) from error
        except BadRecording as error:
            raise HttpProblem(HTTPStatus.BAD_REQUEST, error.got, error.expected) from error
        context = services.calls.context
        windows = await asyncio.to_thread(
            cut, pcm, meta, context.first_s, context.hop_s, settings.gate
        )
        posteriors: list[Posterior] = []
        upload = object()  # has its turns among the calls
        try:
            for start in range(0, len(windows.windows), QUEUED_MAX):
                queued = [
                    services.batcher.submit(window.model_input, upload)
                    for window in windows.windows[start : start + QUEUED_MAX]
                ]
                posteriors += await asyncio.gather(*queued)
        except WindowDropped as error:
            raise HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), "less to do") from error
    return classification(windows, posteriors, meta)
