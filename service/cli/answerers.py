"""Who answers how a recording sounds: a model in this process, or a service."""

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from service.errors import ServiceRefused, ServiceUnreachable, UnreadableRecording

if TYPE_CHECKING:
    from model.recording import AudioChannel
    from service.classification import Classification, Classifier

TIMEOUT_S = 120.0  # of each step of a request to a service


class Answerer(Protocol):
    """Classifies one recording after the other."""

    @property
    def model(self) -> tuple[str, str] | None:
        """The name and version of the model; None is not known before an answer."""

    def answer(self, file: Path, channel: "AudioChannel | None") -> "Classification":
        """Returns how a channel of a recording sounds; None is the caller's.

        Raises:
            UnreadableRecording: the file can't be read, or is not a recording.
            ServiceRefused: a service answered with an HTTP error.
            ServiceUnreachable: nothing answered, or not with a classification.
        """


class InProcess:
    """Answers with a model in this process."""

    def __init__(self, classifier: "Classifier") -> None:
        self._classifier = classifier
        self.model = (classifier.scorer.meta.name, classifier.scorer.meta.version)

    def answer(self, file: Path, channel: "AudioChannel | None") -> "Classification":
        """Returns the model's answer; raises UnreadableRecording."""
        from model.containers import BadRecording

        try:
            with file.open("rb") as recording:
                return self._classifier.classify(recording, channel)
        except OSError as error:
            raise UnreadableRecording(file, error.strerror or str(error)) from error
        except BadRecording as error:
            raise UnreadableRecording(file, str(error)) from error


class AtService:
    """Posts recordings to `POST /classify` of a service, over one connection.

    KANJO_TOKEN has an API token where the service asks for one.
    """

    model = None

    def __init__(self, url: str) -> None:
        import httpx

        self._at = f"{url.rstrip('/')}/classify"
        token = os.environ.get("KANJO_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(timeout=TIMEOUT_S, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def answer(self, file: Path, channel: "AudioChannel | None") -> "Classification":
        """Returns the service's answer; raises the errors of `Answerer.answer`."""
        import httpx
        from pydantic import ValidationError

        from service.classification import Classification

        form = {"channel": channel} if channel else {}
        try:
            with file.open("rb") as recording:
                upload = {"file": (file.name.encode(errors="replace").decode(), recording)}
                response = self._client.post(self._at, files=upload, data=form)
        except OSError as error:
            raise UnreadableRecording(file, error.strerror or str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceUnreachable(self._at, str(error) or type(error).__name__) from error
        if response.status_code != 200:
            raise ServiceRefused.from_body(self._at, response.status_code, response.content)
        try:
            return Classification.model_validate_json(response.content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise ServiceUnreachable(
                self._at, f"the answer is no classification: {where}: {first['msg']}"
            ) from error
