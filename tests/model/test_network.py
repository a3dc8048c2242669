from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from model.labels import EMOTIONS, STYLES
from model.network import PRESETS, EmotionNetwork, NetworkConfig, mask_of, operations, reversal

TINY = NetworkConfig(
    n_mels=6, d_lstm=5, d_att=7, d_den1=9, d_den2=8, n_head=3, d_style=4, padded_frames=60
)
TINY_COMPACT = replace(TINY, mask_padding=True, conv_channels=(5, 6), conv_width=3)
TINY_MASKED = replace(TINY, mask_padding=True)


def network_of(config: NetworkConfig, seed: int = 0) -> EmotionNetwork:
    """In evaluation mode, with batch statistics that are not those of a network without a past."""
    torch.manual_seed(seed)
    network = EmotionNetwork(config)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    for parameter in network.parameters():
        parameter.data *= 3  # answers far enough apart to be told apart
    return network.eval()


def windows(lengths: list[int], n_mels: int = 6, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, n_mels, generator=generator) for length in lengths]


def padded(each: list[Tensor], steps: int, padding: float) -> tuple[Tensor, Tensor]:
    frames = torch.full((len(each), steps, each[0].shape[1]), padding)
    for row, window in zip(frames, each, strict=True):
        row[: len(window)] = window
    return frames, torch.tensor([len(window) for window in each])


def answer(network: EmotionNetwork, frames: Tensor, lengths: Tensor) -> Tensor:
    """(B, 6): both heads' posteriors."""
    with torch.inference_mode():
        emotion, style = network(frames, lengths)
    return torch.cat((emotion.softmax(1), style.softmax(1)), dim=1)


def test_the_paper_preset_has_the_sizes_of_table_2() -> None:
    with torch.device("meta"):
        network = EmotionNetwork(PRESETS["paper"])
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    lstm = {
        f"lstms.{layer}.{way}_lstm.{kind}_l0": shape
        for layer, d_in in ((0, 40), (1, 512))
        for way in ("forward", "backward")
        for kind, shape in (
            ("weight_ih", (4 * 256, d_in)),
            ("weight_hh", (4 * 256, 256)),
            ("bias_ih", (4 * 256,)),
            ("bias_hh", (4 * 256,)),
        )
    }
    assert shapes == lstm | {
        "attention.w1.weight": (512, 512),
        "attention.w2.weight": (8, 512),
        "emotion.0.weight": (4096, 8 * 512),
        "emotion.0.bias": (4096,),
        "emotion.2.weight": (1024, 4096),
        "emotion.2.bias": (1024,),
        "emotion.4.weight": (len(EMOTIONS), 1024),
        "emotion.4.bias": (len(EMOTIONS),),
        "style.0.weight": (1024, 8 * 512),
        "style.0.bias": (1024,),
        "style.2.weight": (len(STYLES), 1024),
        "style.2.bias": (len(STYLES),),
    }
    assert network.dropout.p == 0.2


def test_compact_costs_at_most_an_eighth_of_the_paper() -> None:
    assert 8 * operations(PRESETS["compact"], 748) <= operations(PRESETS["paper"], 748)


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # by `flags`
@pytest.mark.parametrize("config", [TINY, TINY_COMPACT], ids=["paper's", "with convolutions"])
def test_operations_are_what_torch_counts(config: NetworkConfig) -> None:
    network = EmotionNetwork(config).eval()
    frames = torch.randn(1, 60, config.n_mels)
    # Without oneDNN an LSTM is made of matrix products, which the counter knows.
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        network(frames, torch.tensor([60]))
    assert operations(config, 60) == counter.get_total_flops()


def test_operations_of_a_network_that_pads_do_not_depend_on_the_window() -> None:
    assert operations(TINY, 20) == operations(TINY, 60) < operations(TINY, 80)
    assert operations(TINY_MASKED, 20) < operations(TINY_MASKED, 60)


@pytest.mark.parametrize(
    "config", [TINY, TINY_MASKED, TINY_COMPACT], ids=["padding heard", "masked", "convolutions"]
)
@pytest.mark.parametrize("padding", [0.0, 1e4, float("nan"), float("inf")])
def test_a_window_is_answered_the_same_alone_and_in_a_padded_batch(
    config: NetworkConfig, padding: float
) -> None:
    network = network_of(config)
    each = windows([60, 1, 17, 2, 40])
    together = answer(network, *padded(each, 60, padding))
    for row, window in zip(together, each, strict=True):
        alone = answer(network, window[None], torch.tensor([len(window)]))
        torch.testing.assert_close(row[None], alone, rtol=0, atol=1e-5)
    assert float((together[0] - together[2]).abs().max()) > 0.01


def test_the_compact_preset_never_hears_padding() -> None:
    network = network_of(PRESETS["compact"])
    each = windows([200, 61, 150], n_mels=40)
    together = answer(network, *padded(each, 200, 1e3))
    for row, window in zip(together, each, strict=True):
        alone = answer(network, window[None], torch.tensor([len(window)]))
        torch.testing.assert_close(row[None], alone, rtol=0, atol=1e-5)


def test_without_the_mask_zeros_up_to_the_paper_s_length_are_heard() -> None:
    network, (window,) = network_of(TINY), windows([25])
    alone = answer(network, window[None], torch.tensor([25]))
    written_out, _ = padded([window], TINY.padded_frames, 0.0)
    torch.testing.assert_close(alone, answer(network, written_out, torch.tensor([60])))
    masked = EmotionNetwork(TINY_MASKED).eval()
    masked.load_state_dict(network.state_dict())
    unpadded = answer(masked, window[None], torch.tensor([25]))
    assert float((alone - unpadded).abs().max()) > 1e-3


@pytest.mark.parametrize("config", [TINY, TINY_COMPACT], ids=["paper's", "with convolutions"])
def test_the_whole_window_is_heard(config: NetworkConfig) -> None:
    """Every frame of it moves the answer: the first, the last, and those between."""
    network = network_of(config)
    frames = torch.stack(windows([24])).requires_grad_()
    emotion, style = network(frames, torch.tensor([24]))
    (emotion[0, 0] + style[0, 0]).backward()
    assert frames.grad is not None
    assert (frames.grad.abs().amax(dim=2) > 0).all()


def test_attention_is_equations_1_and_2() -> None:
    attention = EmotionNetwork(TINY).attention
    hidden = torch.randn(12, 10)
    w1, w2 = attention.w1.weight, attention.w2.weight
    heard = []
    for head in range(TINY.n_head):
        energy = w2[head] @ torch.tanh(w1 @ hidden.T)  # (T,)
        heard.append(energy.softmax(0) @ hidden)
    torch.testing.assert_close(
        attention(hidden[:, None], torch.tensor([12])), torch.cat(heard)[None], rtol=1e-5, atol=1e-6
    )


def test_both_directions_together_are_a_bidirectional_lstm() -> None:
    torch.manual_seed(0)
    layer = EmotionNetwork(TINY).lstms[0]
    whole = torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    for own, way in ((layer.forward_lstm, ""), (layer.backward_lstm, "_reverse")):
        whole.load_state_dict(
            {f"{name}{way}": weight for name, weight in own.state_dict().items()}, strict=False
        )
    frames, lengths = torch.randn(3, 9, 6), torch.tensor([9, 4, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(frames, lengths, batch_first=True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(whole(packed)[0], batch_first=True)
    found = layer(frames.transpose(0, 1), reversal(lengths, 9)).transpose(0, 1)
    found = found.masked_fill(~mask_of(lengths, 9)[:, :, None], 0.0)
    torch.testing.assert_close(found, expected)


def test_one_step_of_the_paper_s_network_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = EmotionNetwork(replace(PRESETS["paper"], padded_frames=20)).eval()
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, weight_decay=1e-5)
    frames, lengths = padded(windows([20, 12, 16, 7], n_mels=40), 20, 0.0)
    emotion = torch.tensor([0, 1, 2, 3])

    def loss() -> Tensor:
        return cross_entropy(network(frames, lengths)[0], emotion)

    before = loss().item()
    network.train()
    loss().backward()
    optimizer.step()
    network.eval()
    assert loss().item() < before - 0.002


def test_unbuildable_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="n_att_layers is 2, only 1"):
        NetworkConfig(n_att_layers=2)
    with pytest.raises(ValueError, match="conv_width is 4, expected an odd"):
        NetworkConfig(conv_width=4)


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_as_plain_values(name: str) -> None:
    assert NetworkConfig(**asdict(PRESETS[name])) == PRESETS[name]
