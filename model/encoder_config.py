"""The sizes of the speech encoder, and the digests of its weights."""

from dataclasses import dataclass

# The SHA-256 (`Encoder.digest`) of the first layers of openai/whisper-base, by their number.
WHISPER_BASE = {
    1: "84fb1f14defa3c976fb7185329477d8f859db507898daece83b18744be8e479a",
    2: "514625edb5a237d7651b27b7d1baa1b2d504d47c400b464f03a80892bd2635e4",
    3: "5e7aab142940ee58ad6ca8201100fe6c4f1b522b553975d908aee9a53892fbe9",
    4: "763bba41b8be9382fd934a73442ae73c9ed7fc0a0d8d59a579f5c88fa866d015",
}


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Every size of the encoder. The defaults are those of Whisper's `base`, cut after 3 layers.

    Raises:
        ValueError: an encoder of these sizes cannot be built.
    """

    n_mels: int = 80
    d_model: int = 512
    n_head: int = 8
    d_inner: int = 2048  # nodes between a layer's two linear maps
    positions: int = 1500  # longest chunk: 30 s of 20 ms
    outputs: tuple[int, ...] = (1, 2, 3)  # layers whose outputs are returned; 1 is the first

    def __post_init__(self) -> None:
        if self.d_model % self.n_head:
            raise ValueError(
                f"d_model is {self.d_model}, expected a multiple of n_head, {self.n_head}"
            )
        if not self.outputs or list(self.outputs) != sorted(set(self.outputs)):
            raise ValueError(f"outputs are {self.outputs}, expected rising numbers of layers")
        if self.outputs[0] < 1:
            raise ValueError(f"outputs begin with {self.outputs[0]}, expected 1 or more")

    @property
    def layers(self) -> int:
        """Layers that are computed: none after the last whose output is returned."""
        return self.outputs[-1]
