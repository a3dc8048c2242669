"""The encoder computes what Whisper's does, and refuses files that are not its own."""

import os
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from model.encoder import Encoder, EncoderFileError, checkpoint_name, load_encoder
from model.encoder_config import EncoderConfig

TINY = EncoderConfig(n_mels=8, d_model=16, n_head=2, d_inner=32, positions=40, outputs=(1, 2))


def tiny_weights() -> dict[str, Tensor]:
    """Returns random weights of a tiny encoder under the checkpoint's names, single precision."""
    generator = torch.Generator().manual_seed(1)
    return {
        checkpoint_name(name): 0.3 * torch.randn(parameter.shape, generator=generator)
        for name, parameter in Encoder(TINY).state_dict().items()
    }


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_file(tiny_weights(), path)
    return path


def reference(frames: Tensor, weights: dict[str, Tensor], n_head: int, layers: int) -> Tensor:
    """Returns every layer's output (layers, S, d) for frames (T, n_mels), written out plainly."""
    w = {name.removeprefix("model.encoder."): tensor.half() for name, tensor in weights.items()}
    w = {name: tensor.double() for name, tensor in w.items()}

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = frames.double().T[None]
    x = functional.gelu(functional.conv1d(x, w["conv1.weight"], w["conv1.bias"], 1, 1))
    x = functional.gelu(functional.conv1d(x, w["conv2.weight"], w["conv2.bias"], 2, 1))
    x = x[0].T
    x = x + w["embed_positions.weight"][: len(x)]
    outputs = []
    for layer in range(layers):
        at = f"layers.{layer}"
        normed = norm(x, f"{at}.self_attn_layer_norm")
        q, k, v = (linear(normed, f"{at}.self_attn.{part}_proj") for part in "qkv")
        heads = []
        for rows in torch.arange(x.shape[1]).chunk(n_head):
            scores = q[:, rows] @ k[:, rows].T / len(rows) ** 0.5
            heads.append(scores.softmax(1) @ v[:, rows])
        x = x + linear(torch.cat(heads, 1), f"{at}.self_attn.out_proj")
        inner = functional.gelu(linear(norm(x, f"{at}.final_layer_norm"), f"{at}.fc1"))
        x = x + linear(inner, f"{at}.fc2")
        outputs.append(x)
    return torch.stack(outputs)


@pytest.mark.parametrize("frames", [1, 2, 31, 80])
def test_every_layer_is_the_reference(tiny_file: Path, frames: int) -> None:
    x = torch.randn(frames, TINY.n_mels, generator=torch.Generator().manual_seed(2))
    got = load_encoder(tiny_file, TINY)(x[None], torch.tensor([frames]))[0]
    expected = reference(x, tiny_weights(), TINY.n_head, TINY.layers)
    torch.testing.assert_close(got.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.encoder
def test_the_real_encoder_is_the_reference() -> None:
    path = Path(os.environ["KANJO_ENCODER"])
    x = torch.randn(200, 80, generator=torch.Generator().manual_seed(3)) * 0.5
    got = load_encoder(path)(x[None], torch.tensor([200]))[0]
    expected = reference(x, load_file(path), 8, 3)
    torch.testing.assert_close(got.double(), expected, atol=1e-3, rtol=1e-3)


def test_a_chunk_has_the_same_embeddings_in_any_batch(tiny_file: Path) -> None:
    encoder = load_encoder(tiny_file, TINY)
    batch = torch.randn(3, 40, TINY.n_mels)  # the padding is noise, and must not matter
    lengths = torch.tensor([40, 17, 2])
    together = encoder(batch, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = encoder(batch[row : row + 1, :length], lengths[row : row + 1])[0]
        steps = alone.shape[1]
        torch.testing.assert_close(together[row, :, :steps], alone, atol=1e-5, rtol=1e-5)
        assert not together[row, :, steps:].any()


def test_a_chunk_longer_than_its_positions_is_refused(tiny_file: Path) -> None:
    with pytest.raises(ValueError, match="got 81 frames, expected 80 or fewer"):
        load_encoder(tiny_file, TINY)(torch.zeros(1, 81, TINY.n_mels), torch.tensor([81]))


def test_it_can_be_scripted(tiny_file: Path, tmp_path: Path) -> None:
    encoder = load_encoder(tiny_file, TINY)
    torch.jit.script(encoder).save(tmp_path / "scripted.pt")
    scripted = torch.jit.load(tmp_path / "scripted.pt")
    frames, lengths = torch.randn(2, 30, TINY.n_mels), torch.tensor([30, 21])
    torch.testing.assert_close(scripted(frames, lengths), encoder(frames, lengths))


def test_only_chosen_layers_are_returned_and_none_after_them_computed(tiny_file: Path) -> None:
    frames, lengths = torch.randn(1, 30, TINY.n_mels), torch.tensor([30])
    sizes = {"n_mels": 8, "d_model": 16, "n_head": 2, "d_inner": 32, "positions": 40}
    first = load_encoder(tiny_file, EncoderConfig(**sizes, outputs=(1,)))
    assert len(first.layers) == 1
    both = load_encoder(tiny_file, TINY)(frames, lengths)
    torch.testing.assert_close(first(frames, lengths)[:, 0], both[:, 0])


def test_a_checkpoint_in_half_precision_gives_the_same_weights(tmp_path: Path) -> None:
    weights = tiny_weights()
    save_file(weights, tmp_path / "single")
    save_file({name: weight.half() for name, weight in weights.items()}, tmp_path / "half")
    single, half = (load_encoder(tmp_path / name, TINY) for name in ("single", "half"))
    for name, weight in single.state_dict().items():
        assert torch.equal(weight, half.state_dict()[name])


NAME = "model.encoder.layers.1.fc1.weight"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, f"no {NAME} among 34 tensors, expected an encoder of 2 layers"),
        (torch.zeros(32, 15), f"{NAME} is (32, 15), expected (32, 16)"),
        (torch.zeros(32, 16, dtype=torch.int32), "is torch.int32, expected floating point"),
        (torch.full((32, 16), torch.nan), "expected finite ones"),
        (torch.full((32, 16), 1e6), "expected finite ones"),
    ],
)
def test_a_wrong_weight_is_named(tmp_path: Path, wrong: Tensor | None, message: str) -> None:
    weights = tiny_weights()
    del weights[NAME]
    if wrong is not None:
        weights[NAME] = wrong
    save_file(weights, tmp_path / "wrong")
    with pytest.raises(EncoderFileError, match=re.escape(message)):
        load_encoder(tmp_path / "wrong", TINY)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", None])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EncoderFileError, match="expected a safetensors file"):
        load_encoder(path, TINY)


@pytest.mark.parametrize(
    "sizes", [{"outputs": ()}, {"outputs": (2, 1)}, {"outputs": (0, 1)}, {"n_head": 7}]
)
def test_sizes_that_cannot_be_built_are_refused(sizes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        EncoderConfig(**sizes)  # type: ignore[arg-type]
