"""To add a provider is to add a row to the table: this test adds one."""

import json
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pytest
from pydantic import Field, ValidationError
from websockets.exceptions import InvalidStatus

from model.audio import SAMPLE_RATE
from service.events import CallStarted, CallStopped, Event, Pcm, Track
from service.settings import Settings, settings_for
from service.telephony.providers import PROVIDERS, authenticators, clients, legs, table
from service.telephony.shared.authenticator import Authenticator, Handshake
from service.telephony.shared.bearer import BearerAuthenticator, bearer_authenticator
from service.telephony.shared.client import ClientCredentials, Message, ProviderClient, encoded
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import ListenOnlyBridge
from service.telephony.shared.provider import BridgeOptions, Documentation, Provider
from service.telephony.shared.recording import Recording
from service.telephony.shared.settings import ProviderSettings, Secret
from tests.service.api.conftest import SPOKEN, Running, ready, until

TOKEN = "token of this test"


class TinySettings(ProviderSettings):
    tiny_token: Secret | None = Field(None, description="`Authorization: Bearer`")


class TinyBridge(ListenOnlyBridge):
    """The call's id as a text, then mu-law."""

    def __init__(self, track: Track) -> None:
        super().__init__()
        self._track = track
        self._samples = Interleaved(Encoding.MULAW, (track,), frozenset(Track))

    def receive(self, message: str | bytes) -> list[Event]:
        if isinstance(message, str):
            return [CallStarted(message, "tiny", (self._track,), SAMPLE_RATE)]
        return self._samples.feed(message)

    def disconnected(self) -> list[Event]:
        return [CallStopped("disconnected")]


class TinyClient(ProviderClient):
    name = "tiny"
    encodings = (Encoding.MULAW,)
    accepts = ("token",)

    def headers(self) -> Mapping[str, str]:
        return self._credentials.bearer()

    def start(self) -> Iterable[Message]:
        yield self._call_id

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        yield encoded(pcm, Encoding.MULAW)


def create_bridge(
    settings: TinySettings, options: BridgeOptions, handshake: Handshake
) -> TinyBridge:
    return TinyBridge(options.leg)


def create_authenticator(settings: TinySettings) -> Authenticator | None:
    return bearer_authenticator(settings.tiny_token)


TINY = Provider(
    name="tiny",
    settings=TinySettings,
    create_bridge=create_bridge,
    create_authenticator=create_authenticator,
    client=TinyClient,
    either_leg=True,
    documentation=Documentation("Tiny", "binary", "one", "mu-law", "nothing", "bearer token"),
)
PROVIDERS_WITH_TINY = table((*PROVIDERS.values(), TINY))
SettingsWithTiny = settings_for(PROVIDERS_WITH_TINY)


def test_the_settings_have_its_fields_and_its_leg() -> None:
    settings = SettingsWithTiny.from_env({"KANJO_TINY_TOKEN": TOKEN, "KANJO_AGENT_LEGS": "tiny"})
    assert isinstance(settings, TinySettings)
    assert settings.credentials
    assert settings.bridge_options("tiny").leg is Track.AGENT
    assert set(SettingsWithTiny.model_fields) - set(Settings.model_fields) == {"tiny_token"}
    assert "tiny" in legs(PROVIDERS_WITH_TINY)
    with pytest.raises(ValidationError, match="not permitted"):
        Settings.from_env({"KANJO_TINY_TOKEN": TOKEN})
    with pytest.raises(ValidationError, match="expected some of asterisk"):
        Settings.from_env({"KANJO_AGENT_LEGS": "tiny"})


def test_it_has_its_authenticator_and_its_client() -> None:
    settings = SettingsWithTiny.from_env({"KANJO_TINY_TOKEN": TOKEN})
    made = authenticators(settings, trusted=True, providers=PROVIDERS_WITH_TINY)
    assert isinstance(made["tiny"], BearerAuthenticator)
    assert clients(PROVIDERS_WITH_TINY)["tiny"] is TinyClient


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    fields = {"batch_max": 4, "drain_s": 0, "tiny_token": TOKEN}
    server = Running(SettingsWithTiny.model_validate(fields))
    server.thread.start()
    try:
        until(lambda: server.started)
        yield ready(server)
    finally:
        server.should_exit = True
        server.thread.join()


def test_a_route_takes_its_calls(service: Running) -> None:
    client_class = clients(service.services.settings.providers)["tiny"]
    recording = Recording("spoken", (Track.CALLER,), np.ascontiguousarray(SPOKEN[:, np.newaxis]))
    client = client_class("c1", recording, credentials=ClientCredentials(token=TOKEN))
    with service.socket("/calls/tiny", additional_headers=client.headers()) as socket:
        for message in (*client.start(), *client.frame(recording.pcm), *client.stop()):
            socket.send(message)
    until(lambda: service.get("/v1/calls/c1").json().get("state") == "ended")
    call = service.get("/v1/calls/c1").json()
    assert (call["bridge"], call["tracks"]) == ("tiny", ["caller"])
    assert call["readings"]


def test_its_route_rejects_wrong_credentials(service: Running) -> None:
    headers = ClientCredentials(token="another").bearer()
    with (
        pytest.raises(InvalidStatus) as rejection,
        service.socket("/calls/tiny", additional_headers=headers),
    ):
        pass
    response = rejection.value.response
    assert response.status_code == 401
    assert "those that are set for tiny" in json.loads(bytes(response.body))["detail"]
