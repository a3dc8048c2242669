"""Trains the check that tells speech from other sounds (`model/speech_check.py`).

Speech is recorded: the corpora's utterances, plain and over noise or music. Other sounds are made
(`training/sounds.py`). Both pass a mu-law line, the gate and the windows of a call. The threshold
is set on corpora that a network was not trained on, one left out at a time, so that of recorded
speech that it has never met the check loses the stated share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from model.audio import SAMPLE_RATE, Pcm, mulaw_decode, mulaw_encode
from model.features import FeatureSpec, log_mel
from model.functionals import functionals
from model.gate import HOP_S, GateSpec, speech_spans
from model.speech_check import FARTHEST, SpeechCheck
from model.speech_check_file import save_check
from training.data.recordings import read_recording
from training.progress import track
from training.sounds import make

Matrix = NDArray[np.float32]

FIRST_S, HOP_OF_WINDOWS_S = 1.5, 1.0  # of the windows of a call
FRAME_OVERHANG = 2  # hops that a frame reaches beyond its own
SHORTEST_S = 0.5
SOUNDS = {"music": 700, "melody": 200, "keypad": 250, "tones": 250, "blowing": 120, "knocks": 100,
          "rumble": 120}  # fmt: skip
SOUND_S = 12.0
LEVELS_DB = (-36.0, -10.0)  # RMS over full scale
BACKGROUNDS = {"": (0.0, 0.0), "rumble": (5.0, 25.0), "music": (10.0, 25.0)}  # dB below speech

NETWORKS, HIDDEN, EPOCHS, BATCH = 3, 32, 20, 256


@dataclass(frozen=True, slots=True)
class Examples:
    """Functionals of windows: of speech with the corpus of each, and of other sounds by kind."""

    speech: Matrix  # (n, F)
    corpora: NDArray[np.str_]  # (n,)
    plain: NDArray[np.bool_]  # (n,): whether no background was added
    others: Mapping[str, Matrix]  # (m, F) each


def windows_of(wave: NDArray[np.float64], spec: FeatureSpec, gate: GateSpec) -> Matrix:
    """Returns functionals (n, F) of the windows of a wave, from -1 to 1, after a mu-law line."""
    pcm: Pcm = np.clip(np.round(wave * 32768), -32768, 32767).astype(np.int16)
    pcm = mulaw_decode(mulaw_encode(pcm))
    frames = log_mel(pcm, spec)
    rows = []
    for start, end in speech_spans(pcm, gate):
        if (end - start) * HOP_S < SHORTEST_S:
            continue
        cuts = range(start + round(FIRST_S / HOP_S), end, round(HOP_OF_WINDOWS_S / HOP_S))
        for cut in (*cuts, end):
            last = cut - FRAME_OVERHANG
            rows.append(functionals(frames[max(start, last - spec.window_frames) : last], spec))
    return np.array(rows, np.float32) if rows else np.zeros((0, 0), np.float32)


def at_level(wave: NDArray[np.float64], db: float) -> NDArray[np.float64]:
    """Returns the wave with an RMS of `db` over full scale; silence stays silence."""
    scaled: NDArray[np.float64] = wave / (np.sqrt(np.mean(wave**2)) + 1e-9) * 10 ** (db / 20)
    return scaled


def examples(
    recordings: Mapping[str, Sequence[Path]],
    spec: FeatureSpec,
    gate: GateSpec,
    counts: Mapping[str, int],
) -> Examples:
    """Returns the windows of recordings, by corpus, and of other sounds; shows a progress bar."""
    speech: list[tuple[str, bool, Matrix]] = []
    jobs = [(corpus, path) for corpus, paths in recordings.items() for path in paths]
    for number, (corpus, path) in enumerate(track(jobs, "speech", len(jobs))):
        rng = np.random.default_rng(number)
        voice = at_level(read_recording(path).astype(np.float64), rng.uniform(-34, -14))
        for kind, (least_db, most_db) in BACKGROUNDS.items():
            wave = voice
            if kind:
                sound = make(kind, number, len(voice) / SAMPLE_RATE + 0.1)[: len(voice)]
                db = 20 * np.log10(voice.std() + 1e-9) - rng.uniform(least_db, most_db)
                wave = voice + at_level(sound, db)
            speech.append((corpus, not kind, windows_of(wave, spec, gate)))
    others: dict[str, list[Matrix]] = {kind: [] for kind in counts}
    sounds = [(kind, number) for kind, count in counts.items() for number in range(count)]
    for kind, number in track(sounds, "other sounds", len(sounds)):
        level_db = np.random.default_rng(number).uniform(*LEVELS_DB)
        sound = at_level(make(kind, number, SOUND_S), level_db)
        others[kind].append(windows_of(sound, spec, gate))
    cut = [one for one in speech if len(one[2])]
    return Examples(
        np.concatenate([windows for _, _, windows in cut]),
        np.repeat([corpus for corpus, _, _ in cut], [len(windows) for _, _, windows in cut]),
        np.repeat([plain for _, plain, _ in cut], [len(windows) for _, _, windows in cut]),
        {kind: np.concatenate([x for x in all_ if len(x)]) for kind, all_ in others.items()},
    )


def fit(speech: Matrix, others: Matrix) -> dict[str, Matrix]:
    """Returns the weights of a SpeechCheck, trained from fixed seeds."""
    both = np.concatenate((speech, others))
    mean, scale = both.mean(0), both.std(0) + 1e-6
    inputs = torch.from_numpy((both - mean) / scale).clamp(-FARTHEST, FARTHEST)
    is_other = torch.arange(len(both)) >= len(speech)
    labels = is_other.float() * 0.96 + 0.02
    weights = torch.where(is_other, len(both) / 2 / len(others), len(both) / 2 / len(speech))
    found: dict[str, list[Matrix]] = {
        name: [] for name in ("hidden", "hidden_bias", "output", "output_bias")
    }
    for seed in range(NETWORKS):
        torch.manual_seed(seed)
        first, last = torch.nn.Linear(both.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
        network = torch.nn.Sequential(
            torch.nn.Dropout(0.2), first, torch.nn.ReLU(), torch.nn.Dropout(0.2), last
        )
        steps = EPOCHS * -(-len(both) // BATCH)
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for _ in range(EPOCHS):
            for batch in torch.split(torch.randperm(len(both)), BATCH):
                jittered = inputs[batch] + 0.1 * torch.randn(len(batch), both.shape[1])
                loss = binary_cross_entropy_with_logits(
                    network(jittered)[:, 0], labels[batch], weights[batch]
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
        found["hidden"].append(first.weight.detach().numpy().T)
        found["hidden_bias"].append(first.bias.detach().numpy())
        found["output"].append(last.weight.detach().numpy()[0])
        found["output_bias"].append(last.bias.detach().numpy()[0])
    return {"mean": mean, "scale": scale, **{name: np.array(all_) for name, all_ in found.items()}}


def train(
    recordings: Mapping[str, Sequence[Path]],
    spec: FeatureSpec,
    gate: GateSpec,
    out: Path,
    lost: float,
    counts: Mapping[str, int] = SOUNDS,
) -> list[tuple[str, float]]:
    """Trains a check, writes it to `out`, and returns what it rejects.

    Args:
        recordings: of speech, by corpus; two corpora or more.
        lost: share of the windows of plain speech, in corpora left out, that may be rejected.
        counts: how many sounds of each kind are made; two kinds or more.

    Returns:
        The share of rejected windows: of each corpus left out ("speech: emodb"), of speech over
        backgrounds, and of each kind of sound, left out too ("music").
    """
    found = examples(recordings, spec, gate, counts)
    others = np.concatenate(list(found.others.values()))

    def scores(weights: dict[str, Matrix], inputs: Matrix) -> NDArray[np.float64]:
        check = SpeechCheck(spec, **weights, threshold=0.0)
        return np.array([check.score(row) for row in inputs])

    unseen = np.zeros(len(found.speech))
    for corpus in track(list(recordings), "corpora left out", len(recordings)):
        own = found.corpora == corpus
        unseen[own] = scores(fit(found.speech[~own], others), found.speech[own])
    threshold = float(np.quantile(unseen[found.plain], 1 - lost))
    rejected = unseen >= threshold
    shares = [
        (f"speech: {corpus}", float(rejected[found.plain & (found.corpora == corpus)].mean()))
        for corpus in recordings
    ]
    shares.append(("speech over noise or music", float(rejected[~found.plain].mean())))
    for kind in track(list(found.others), "kinds left out", len(found.others)):
        rest = np.concatenate([rows for name, rows in found.others.items() if name != kind])
        left_out = scores(fit(found.speech, rest), found.others[kind])
        shares.append((kind, float((left_out >= threshold).mean())))
    save_check(out, spec, threshold, **fit(found.speech, others))
    return shares
