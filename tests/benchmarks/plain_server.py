"""The server that anybody would write, to compare: `python -m tests.benchmarks.plain_server PORT`.

It takes calls of the native protocol. Once a second it computes `python_speech_features` over a
call's last 7.5 s and runs the network on that one window in a thread. There is no speech gate, no
batch, no speaker baseline, no store and no alert.
"""

import asyncio
import sys
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from python_speech_features import fbank

from model import SHIPPED
from model.artifact import Artifact, load
from model.audio import SAMPLE_RATE, Pcm, mulaw_decode
from model.input_sizes import input_sizes
from model.labels import EMOTIONS

WINDOW_S = 7.5
HOP_S = 1.0

registry = CollectorRegistry()
ProcessCollector(registry=registry)
live = Gauge("kanjo_live_calls", "Live calls.", registry=registry)
readings = Counter("kanjo_readings", "Windows that were scored.", registry=registry)
app = FastAPI()


def score(artifact: Artifact, pcm: Pcm) -> dict[str, float]:
    """Returns the probabilities of one window, int16 (n,)."""
    spec, sizes = artifact.meta.features, input_sizes(artifact.meta.inputs)
    energies, _ = fbank(
        pcm, SAMPLE_RATE, 0.025, 0.01, nfilt=spec.n_mels, nfft=256, winfunc=np.hamming
    )
    mel = np.log(np.maximum(energies, 1e-10))
    mel -= mel.mean(axis=0)
    frames = np.zeros((1, min(len(mel), sizes.longest), sizes.n_features), np.float32)
    frames[0, :, : mel.shape[1]] = mel[: frames.shape[1]]
    voice = torch.zeros((1, sizes.functionals))
    with torch.inference_mode():
        emotion, _ = artifact(
            torch.from_numpy(frames),
            torch.tensor([frames.shape[1]]),
            voice,
            voice,
            torch.zeros(1),
        )
    return dict(zip(EMOTIONS, emotion[0].tolist(), strict=True))


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(registry))


@app.websocket("/calls/native")
async def call(socket: WebSocket) -> None:
    await socket.accept()
    await socket.receive_json()
    live.inc()
    heard = np.zeros(0, np.int16)
    samples, due = 0, round(HOP_S * SAMPLE_RATE)
    try:
        while "bytes" in (message := await socket.receive()) and message["bytes"] is not None:
            pcm = mulaw_decode(np.frombuffer(message["bytes"], np.uint8))
            heard = np.concatenate((heard, pcm))[-round(WINDOW_S * SAMPLE_RATE) :]
            samples += len(pcm)
            if samples >= due:
                due += round(HOP_S * SAMPLE_RATE)
                shares = await asyncio.to_thread(score, app.state.artifact, heard)
                readings.inc()
                end_s = samples / SAMPLE_RATE
                reading: dict[str, Any] = {"type": "reading", "track": "caller"}
                times = {"start_s": max(0.0, end_s - WINDOW_S), "end_s": end_s}
                await socket.send_json({**reading, **times, "probabilities": shares})
        if "text" in message:
            await socket.send_json({"type": "stopped"})
            await socket.close()
    except WebSocketDisconnect:
        pass
    finally:
        live.dec()


def main() -> None:
    torch.set_num_threads(1)
    app.state.artifact = load(SHIPPED)
    for _ in range(3):
        score(app.state.artifact, np.zeros(round(WINDOW_S * SAMPLE_RATE), np.int16))
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", ws_per_message_deflate=False)


if __name__ == "__main__":
    main()
