"""The first layers of Whisper's speech encoder, which turn log-mel frames into embeddings.

The weights are OpenAI's (MIT licence), read from the file of the Hugging Face checkpoint
`openai/whisper-base` or from a part of it with the same names. Nothing is downloaded.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from model.encoder_config import EncoderConfig
from model.files import atomic_write


class EncoderFileError(ValueError):
    """A file does not hold the encoder that was asked of it."""


class EncoderLayer(nn.Module):
    """One transformer layer, with its normalisation before each of its two parts."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d_model = config.d_model
        self.n_head = config.n_head
        self.attention_norm = nn.LayerNorm(d_model)
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.value = nn.Linear(d_model, d_model)
        self.joined = nn.Linear(d_model, d_model)
        self.inner_norm = nn.LayerNorm(d_model)
        self.widen = nn.Linear(d_model, config.d_inner)
        self.narrow = nn.Linear(config.d_inner, d_model)

    def _heads(self, steps: Tensor) -> Tensor:
        split = steps.view(steps.shape[0], steps.shape[1], self.n_head, -1)
        return split.transpose(1, 2)  # (B, n_head, S, d)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Takes steps (B, S, d_model) and their mask (B, S), true where not padding."""
        normed = self.attention_norm(steps)
        attended = scaled_dot_product_attention(
            self._heads(self.query(normed)),
            self._heads(self.key(normed)),
            self._heads(self.value(normed)),
            attn_mask=mask[:, None, None, :],
        )
        steps = steps + self.joined(attended.transpose(1, 2).flatten(2))
        inner: Tensor = self.narrow(gelu(self.widen(self.inner_norm(steps))))
        return steps + inner


class Encoder(nn.Module):
    """Whisper's two convolutions, its positions and its first layers."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.outputs = list(config.outputs)
        self.conv1 = nn.Conv1d(config.n_mels, config.d_model, 3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(config.positions, config.d_model))
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Takes frames (B, T, n_mels) every 10 ms and their numbers (B,), each 1 or more.

        Returns embeddings (B, outputs, ceil(T / 2), d_model) every 20 ms. A chunk has the same
        embeddings however long its batch's padding is, and zeros there.

        Raises:
            ValueError: the chunks are longer than the encoder has positions.
        """
        longest = 2 * self.positions.shape[0]
        if frames.shape[1] > longest:
            raise ValueError(f"encoder: got {frames.shape[1]} frames, expected {longest} or fewer")
        at = torch.arange(frames.shape[1], device=frames.device)
        real = (at[None, :] < lengths[:, None])[:, None, :]  # (B, 1, T)
        hidden = gelu(self.conv1(frames.transpose(1, 2).masked_fill(~real, 0.0)))
        hidden = gelu(self.conv2(hidden.masked_fill(~real, 0.0)))
        steps = hidden.transpose(1, 2)  # (B, S, d_model)
        steps = steps + self.positions[: steps.shape[1]]
        mask = real[:, 0, ::2]  # (B, S)
        returned: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            steps = layer(steps, mask)
            if number + 1 in self.outputs:
                returned.append(steps.masked_fill(~mask[:, :, None], 0.0))
        return torch.stack(returned, dim=1)

    @torch.jit.unused
    def digest(self) -> str:
        """Returns the SHA-256 of the weights in half precision, in the order of the parameters."""
        sha = hashlib.sha256()
        for weight in self.state_dict().values():
            sha.update(weight.half().contiguous().numpy().tobytes())
        return sha.hexdigest()


PREFIX = "model.encoder."  # of every name of the encoder in the checkpoint
_NAMES = {"positions": "embed_positions.weight"}
_MODULES = {
    "attention_norm": "self_attn_layer_norm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "joined": "self_attn.out_proj",
    "inner_norm": "final_layer_norm",
    "widen": "fc1",
    "narrow": "fc2",
}


def checkpoint_name(name: str) -> str:
    """Returns a parameter's name in the checkpoint: `layers.0.query.bias` is `...q_proj.bias`."""
    parts = (_MODULES.get(part, part) for part in name.split("."))
    return PREFIX + _NAMES.get(name, ".".join(parts))


def _weights(path: Path, encoder: Encoder) -> Iterator[tuple[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        present = set(file.keys())
        for name, parameter in encoder.state_dict().items():
            theirs = checkpoint_name(name)
            if theirs not in present:
                raise EncoderFileError(
                    f"{path}: no {theirs} among {len(present)} tensors,"
                    f" expected an encoder of {len(encoder.layers)} layers or more"
                )
            # The shape is read first: a file's tensor of another size is never loaded.
            shape = tuple(file.get_slice(theirs).get_shape())
            if shape != tuple(parameter.shape):
                raise EncoderFileError(
                    f"{path}: {theirs} is {shape}, expected {tuple(parameter.shape)}"
                )
            weight = file.get_tensor(theirs)
            if not weight.is_floating_point():
                raise EncoderFileError(
                    f"{path}: {theirs} is {weight.dtype}, expected floating point"
                )
            half = weight.half()
            if not half.isfinite().all():
                raise EncoderFileError(
                    f"{path}: {theirs} has numbers that half precision has not,"
                    " expected finite ones"
                )
            yield name, half.float()


def load_encoder(path: Path, config: EncoderConfig | None = None) -> Encoder:
    """Returns the encoder of a checkpoint's file, ready to compute in single precision.

    Its weights are rounded to half precision, so that the checkpoint in single precision and a
    part of it in half give the same embeddings.

    Raises:
        EncoderFileError: the file cannot be read, or lacks a weight, or has another of its name.
    """
    config = config or EncoderConfig()
    encoder = Encoder(config)
    try:
        weights = dict(_weights(path, encoder))
    except (OSError, SafetensorError) as error:
        raise EncoderFileError(f"{path}: {error}, expected a safetensors file") from error
    encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)


def save_encoder(encoder: Encoder, path: Path) -> None:
    """Writes the encoder in half precision, under the names that `load_encoder` reads.

    Raises:
        OSError: the file cannot be written; a file that was there stays as it was.
    """
    weights = {
        checkpoint_name(name): weight.half().contiguous()
        for name, weight in encoder.state_dict().items()
    }
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(save(weights, {"format": "pt"}))
