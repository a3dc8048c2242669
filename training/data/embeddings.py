"""The embeddings of utterances in one channel: encoded once, kept in a file an utterance.

All lists of utterances share the files, because encoding is dear: an utterance that one fold
trains on is tested in another.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

from model.chunk_encoder import ChunkEncoder, encode
from model.embedding import EmbeddingSpec, Rows, Weights, chunk_frames, head_frames, statistics
from model.encoder import EncoderFileError, load_encoder
from model.features import Frames
from model.files import atomic_write
from model.functionals import Functionals
from model.gate import HOP_S, HOP_SAMPLES, GateSpec
from training.data.augmentation import cuts
from training.data.channel import Channel
from training.data.features import Preparation
from training.data.manifest import Utterance
from training.data.recordings import speech
from training.progress import track

TOGETHER = 64  # utterances whose chunks are encoded together, those of a length in one batch


class EmbeddingCache:
    """The embeddings of many utterances in one channel, with the interface of a `FeatureCache`.

    A row of an embedding counts as a frame. Rows are read from their file when they are asked for;
    the functionals of whole utterances are kept in memory.
    """

    def __init__(
        self, paths: Sequence[Path], utterances: Sequence[Utterance], preparation: Preparation
    ) -> None:
        spec = preparation.spec
        assert isinstance(spec, EmbeddingSpec)
        self._paths = paths
        self.spans = np.zeros((len(paths), 1 + preparation.cuts, 2), np.int64)
        self.whole = np.zeros((len(paths), spec.functionals), np.float32)  # (N, F)
        least = max(1, round(preparation.least_s / (2 * HOP_S * spec.row_steps)))
        for row, (path, utterance) in enumerate(zip(paths, utterances, strict=True)):
            rows, weights, hops = _read(path)
            # The same cuts in every channel, as of frames.
            rng = np.random.default_rng(crc32(utterance.path.name.encode()))
            longest = _rows_within(hops, spec)
            self.spans[row] = cuts(len(rows), longest, least, preparation.cuts, rng)
            self.whole[row] = statistics(rows[:longest], weights[:longest])

    def __len__(self) -> int:
        return len(self._paths)

    def frames(self, row: int, cut: int = 0, trim_start: int = 0, trim_end: int = 0) -> Frames:
        """Returns one span (T, d_frame) of one utterance, less the trims."""
        rows, _, _ = _read(self._paths[row])
        start, end = self.spans[row, cut]
        return head_frames(rows[start + trim_start : end - trim_end])

    def functionals_of(self, row: int, cut: int = 0) -> Functionals:
        """Returns the functionals (F,) of one span of one utterance."""
        if cut == 0:
            whole: Functionals = self.whole[row]
            return whole
        rows, weights, _ = _read(self._paths[row])
        start, end = self.spans[row, cut]
        return statistics(rows[start:end], weights[start:end])

    @classmethod
    def build(
        cls,
        utterances: Sequence[Utterance],
        channel: Channel,
        preparation: Preparation,
        folder: Path,
        encoder: Path | None,
    ) -> "EmbeddingCache":
        """Opens the embeddings in `folder`, and encodes first what is missing.

        What was encoded before an interruption stays. A second process that needs embeddings of
        the same kind is blocked until the first has its own.

        Args:
            encoder: file of the encoder (`load_encoder`); not read if nothing is missing.

        Raises:
            EncoderFileError: there is something to encode, and no encoder or another one.
            RecordingError: an utterance can't be read.
        """
        spec, gate = preparation.spec, preparation.gate
        assert isinstance(spec, EmbeddingSpec)
        kind = [asdict(spec), asdict(gate), asdict(channel)]
        key = hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:16]
        own = folder / f"{key}.embeddings"
        own.mkdir(parents=True, exist_ok=True)
        paths = [
            own / f"{hashlib.sha256(str(u.path).encode()).hexdigest()[:24]}.npz" for u in utterances
        ]
        with (folder / f"{key}.lock").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            missing = [row for row, path in enumerate(paths) if not path.exists()]
            if missing:
                _encode(
                    [(utterances[row].path, paths[row]) for row in missing],
                    channel,
                    spec,
                    gate,
                    encoder,
                )
        return cls(paths, utterances, preparation)


def _read(path: Path) -> tuple[Rows, Weights, int]:
    """Returns an utterance's rows (n, 2, layers, d_model), their weights (n,) and its hops."""
    with np.load(path, allow_pickle=False) as archive:
        return archive["rows"], archive["weights"], int(archive["hops"])


def _rows_within(hops: int, spec: EmbeddingSpec) -> int:
    """Returns the rows of an utterance's first chunks that a window holds."""
    spans = spec.chunk_spans(hops)
    within = [span for span in spans if span.end <= spec.window_hops] or spans[:1]
    return sum(spec.rows_in(span.end - span.start) for span in within)


def _encode(
    each: Sequence[tuple[Path, Path]],  # a recording, and the file of its embeddings
    channel: Channel,
    spec: EmbeddingSpec,
    gate: GateSpec,
    encoder: Path | None,
) -> None:
    """Encodes recordings and writes a file for each of them."""
    if encoder is None:
        raise EncoderFileError(
            f"found no embeddings of {len(each)} recordings ({channel}), expected an encoder to "
            "make them: KANJO_ENCODER names its file"
        )
    loaded = load_encoder(encoder, spec.encoder)
    if loaded.digest() != spec.digest:
        raise EncoderFileError(
            f"{encoder}: weights {loaded.digest()[:16]}, expected {spec.digest[:16]}"
        )
    embed = ChunkEncoder(loaded, spec.row_steps).eval()
    starts = range(0, len(each), TOGETHER)
    with _one_thread():
        for start in track(starts, f"embeddings, {channel}", len(starts)):
            some = each[start : start + TOGETHER]
            chunks, spans_of, hops_of = [], [], []
            for recording, _ in some:
                pcm = speech(recording, channel, gate)
                hops = len(pcm) // HOP_SAMPLES
                spans = spec.chunk_spans(hops)
                chunks += chunk_frames(pcm, spans, spec)
                spans_of.append(spans)
                hops_of.append(hops)
            encoded = iter(encode(embed, chunks, spec))
            for (_, path), spans, hops in zip(some, spans_of, hops_of, strict=True):
                rows = np.concatenate([next(encoded) for _ in spans])
                weights = np.concatenate([spec.weights(span.end - span.start) for span in spans])
                _write(path, rows, weights, hops)


def _write(path: Path, rows: Rows, weights: NDArray[np.float32], hops: int) -> None:
    with atomic_write(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, rows=rows, weights=weights, hops=np.array(hops))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Encodes in one thread: sums then have one order, and the other cores their own work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
