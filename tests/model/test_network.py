from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from model.labels import EMOTIONS, STYLES
from model.network import (
    PRESETS,
    EmotionNetwork,
    Member,
    NetworkConfig,
    WithSpeakerBaseline,
    operations,
)
from model.speaker_baseline import BASELINE_UTTERANCES

TINY = NetworkConfig(
    d_frame=6, d_lstm=5, d_att=7, d_den1=9, d_den2=8, n_head=3, d_style=4, padded_frames=60
)
TINY_COMPACT = replace(TINY, mask_padding=True, conv_channels=(5, 6), conv_width=3)
TINY_MASKED = replace(TINY, mask_padding=True)
TINY_BASELINE = replace(TINY_COMPACT, functionals=7, d_voice=4)
TINY_TWO = replace(TINY_BASELINE, members=2)
TINY_PROJECTED = replace(
    TINY_MASKED,
    functionals=7,
    d_voice=4,
    d_projected=4,
    functionals_projected=5,
    plain_functionals=True,
    linear=True,
    members=2,
)
KINDS = {
    "padded": TINY,
    "masked": TINY_MASKED,
    "convolutions": TINY_COMPACT,
    "baseline": TINY_BASELINE,
    "two members": TINY_TWO,
    "projected": TINY_PROJECTED,
}

# functionals (B, F), baseline (B, F), baseline_utterances (B,)
Voices = tuple[Tensor, Tensor, Tensor]


def network_of(config: NetworkConfig, seed: int = 0) -> EmotionNetwork:
    """Returns a network in evaluation mode, with batch statistics as after a training."""
    torch.manual_seed(seed)
    network = EmotionNetwork(config)
    for name, buffer in network.named_buffers():
        if name.endswith("mean"):
            buffer.normal_()
        elif name.endswith(("running_var", "spread")):
            buffer.uniform_(0.5, 2.0)
    for parameter in network.parameters():
        parameter.data *= 3  # so that answers differ clearly
    return network.eval()


def windows(lengths: list[int], d_frame: int = 6, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, d_frame, generator=generator) for length in lengths]


def voices(config: NetworkConfig, utterances: list[int], seed: int = 2) -> Voices:
    """Returns random voices with baselines of so many utterances."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(utterances), config.functionals)
    functionals, baseline = (torch.randn(shape, generator=generator) for _ in range(2))
    count = torch.tensor(utterances, dtype=torch.float32)
    return functionals, baseline * (count > 0)[:, None], count


def padded(each: list[Tensor], steps: int, padding: float) -> tuple[Tensor, Tensor]:
    """Returns the windows as one batch (B, steps, d_frame), and their lengths (B,)."""
    frames = torch.full((len(each), steps, each[0].shape[1]), padding)
    for row, window in zip(frames, each, strict=True):
        row[: len(window)] = window
    return frames, torch.tensor([len(window) for window in each])


def members(network: EmotionNetwork) -> list[Member]:
    return [member for member in network.members if isinstance(member, Member)]


def answer(
    network: EmotionNetwork, frames: Tensor, lengths: Tensor, given: Voices | None = None
) -> Tensor:
    """Returns the posteriors of both heads, (B, 6)."""
    given = given or voices(network.config, [0] * len(frames))
    with torch.inference_mode():
        emotion, style = network(frames, lengths, *given)
    return torch.cat((emotion.softmax(1), style.softmax(1)), dim=1)


def test_the_paper_preset_has_the_sizes_of_table_2() -> None:
    with torch.device("meta"):
        network = EmotionNetwork(PRESETS["paper"])
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    lstm = {
        f"members.0.lstms.{layer}.{direction}_lstm.{kind}_l0": shape
        for layer, d_in in ((0, 40), (1, 512))
        for direction in ("forward", "backward")
        for kind, shape in (
            ("weight_ih", (4 * 256, d_in)),
            ("weight_hh", (4 * 256, 256)),
            ("bias_ih", (4 * 256,)),
            ("bias_hh", (4 * 256,)),
        )
    }
    assert shapes == lstm | {
        "members.0.attention.w1.weight": (512, 512),
        "members.0.attention.w2.weight": (8, 512),
        "members.0.emotion.0.weight": (4096, 8 * 512),
        "members.0.emotion.0.bias": (4096,),
        "members.0.emotion.3.weight": (1024, 4096),
        "members.0.emotion.3.bias": (1024,),
        "members.0.emotion.5.weight": (len(EMOTIONS), 1024),
        "members.0.emotion.5.bias": (len(EMOTIONS),),
        "members.0.style.0.weight": (1024, 8 * 512),
        "members.0.style.0.bias": (1024,),
        "members.0.style.2.weight": (len(STYLES), 1024),
        "members.0.style.2.bias": (len(STYLES),),
    }
    assert [member.dropout.p for member in members(network)] == [0.2]


def test_compact_costs_at_most_an_eighth_of_the_paper() -> None:
    assert 8 * operations(PRESETS["compact"], 748) <= operations(PRESETS["paper"], 748)


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # by `flags`
@pytest.mark.parametrize("kind", ["padded", "convolutions", "baseline", "two members", "projected"])
def test_operations_are_what_torch_counts(kind: str) -> None:
    config = KINDS[kind]
    network = EmotionNetwork(config).eval()
    (window,) = windows([60])
    # Without oneDNN an LSTM is made of matrix products, which the counter counts.
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        network(window[None], torch.tensor([60]), *voices(config, [3]))
    assert operations(config, 60) == counter.get_total_flops()


def test_operations_of_a_network_that_pads_do_not_depend_on_the_window() -> None:
    assert operations(TINY, 20) == operations(TINY, 60) < operations(TINY, 80)
    assert operations(TINY_MASKED, 20) < operations(TINY_MASKED, 60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [0.0, 1e4, float("nan"), float("inf")])
def test_a_window_has_the_same_answer_alone_and_in_a_padded_batch(
    kind: str, padding: float
) -> None:
    network = network_of(KINDS[kind])
    each = windows([60, 1, 17, 2, 40])
    given = voices(network.config, [0, 3, 1, 50, 0])
    together = answer(network, *padded(each, 60, padding), given)
    for row, window in enumerate(each):
        own = tuple(tensor[row : row + 1] for tensor in given)
        alone = answer(network, window[None], torch.tensor([len(window)]), own)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)
    assert float((together[0] - together[2]).abs().max()) > 0.01


def test_the_compact_preset_ignores_padding() -> None:
    network = network_of(PRESETS["compact"])
    each = windows([200, 61, 150], d_frame=40)
    together = answer(network, *padded(each, 200, 1e3))
    for row, window in zip(together, each, strict=True):
        alone = answer(network, window[None], torch.tensor([len(window)]))
        torch.testing.assert_close(row[None], alone, rtol=0, atol=1e-5)


def test_without_the_mask_windows_are_padded_with_zeros_to_the_paper_s_length() -> None:
    network, (window,) = network_of(TINY), windows([25])
    alone = answer(network, window[None], torch.tensor([25]))
    written_out, _ = padded([window], TINY.padded_frames, 0.0)
    torch.testing.assert_close(alone, answer(network, written_out, torch.tensor([60])))
    masked = EmotionNetwork(TINY_MASKED).eval()
    masked.load_state_dict(network.state_dict())
    unpadded = answer(masked, window[None], torch.tensor([25]))
    assert float((alone - unpadded).abs().max()) > 1e-3


@pytest.mark.parametrize("kind", ["padded", "convolutions"])
def test_every_frame_of_a_window_changes_the_answer(kind: str) -> None:
    network = network_of(KINDS[kind])
    frames = torch.stack(windows([24])).requires_grad_()
    emotion, style = network(frames, torch.tensor([24]), *voices(network.config, [2]))
    (emotion[0, 0] + style[0, 0]).backward()
    assert frames.grad is not None
    assert (frames.grad.abs().amax(dim=2) > 0).all()


def test_attention_is_equations_1_and_2() -> None:
    attention = Member(TINY).attention
    hidden = torch.randn(12, 10)
    w1, w2 = attention.w1.weight, attention.w2.weight
    expected = []
    for head in range(TINY.n_head):
        energy = w2[head] @ torch.tanh(w1 @ hidden.T)  # (T,)
        expected.append(energy.softmax(0) @ hidden)
    torch.testing.assert_close(
        attention(hidden[:, None], torch.tensor([12])),
        torch.cat(expected)[None],
        rtol=1e-5,
        atol=1e-6,
    )


def test_one_step_of_the_paper_s_network_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = EmotionNetwork(replace(PRESETS["paper"], padded_frames=20)).eval()
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, weight_decay=1e-5)
    frames, lengths = padded(windows([20, 12, 16, 7], d_frame=40), 20, 0.0)
    emotion = torch.tensor([0, 1, 2, 3])
    no_baseline = voices(network.config, [0] * 4)

    def loss() -> Tensor:
        return cross_entropy(network(frames, lengths, *no_baseline)[0], emotion)

    before = loss().item()
    network.train()
    loss().backward()
    optimizer.step()
    network.eval()
    assert loss().item() < before - 0.002


# The speaker baseline.


def baseline_layer(network: EmotionNetwork) -> WithSpeakerBaseline:
    (member,) = members(network)
    assert isinstance(member.voice, WithSpeakerBaseline)
    return member.voice


def distances(network: EmotionNetwork, given: Voices) -> Tensor:
    """Returns the input (B, F + 1) of the first layer that is given the distances of voices."""
    frames, lengths = padded(windows([9] * len(given[2])), 9, 0.0)
    inputs: list[Tensor] = []
    layer = baseline_layer(network).distance
    hook = layer.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    answer(network, frames, lengths, given)
    hook.remove()
    return inputs[0]


def test_without_a_baseline_a_voice_is_measured_by_the_mean_of_the_training() -> None:
    network = network_of(TINY_BASELINE)
    mean, spread = baseline_layer(network).mean, baseline_layer(network).spread
    functionals, _, utterances = voices(TINY_BASELINE, [0, 0])
    far = distances(network, (functionals, torch.full_like(functionals, 1e3), utterances))
    torch.testing.assert_close(far[:, :-1], (functionals - mean) / spread)
    at_the_mean = distances(
        network, (mean.expand(2, -1), torch.zeros_like(functionals), utterances)
    )
    assert (at_the_mean[:, :-1] == 0).all()


@pytest.mark.parametrize("utterances", [1, 3, 100])
def test_a_voice_at_its_baseline_has_no_distance(utterances: int) -> None:
    """In the baseline, the mean of the training counts for one utterance."""
    network = network_of(TINY_BASELINE)
    _, baseline, count = voices(TINY_BASELINE, [utterances])
    same = (baseline_layer(network).mean + utterances * baseline) / (1 + utterances)
    torch.testing.assert_close(
        distances(network, (same, baseline, count))[:, :-1], torch.zeros(1, 7), rtol=0, atol=1e-5
    )
    higher = distances(network, (same + baseline_layer(network).spread, baseline, count))
    torch.testing.assert_close(higher[:, :-1], torch.ones(1, 7), rtol=0, atol=1e-5)


def test_no_functional_is_farther_away_than_six_spreads() -> None:
    network = network_of(TINY_BASELINE)
    functionals, baseline, utterances = voices(TINY_BASELINE, [4])
    for shift in (1e3, -1e3, float("inf")):
        far = distances(network, (functionals + shift, baseline, utterances))[:, :-1]
        assert (far == (6.0 if shift > 0 else -6.0)).all()


def test_the_number_of_utterances_counts_up_to_a_complete_baseline() -> None:
    assert BASELINE_UTTERANCES == 8
    given = voices(TINY_BASELINE, [0, 2, 4, 8, 9, 1000])
    completeness = distances(network_of(TINY_BASELINE), given)[:, -1]
    assert completeness.tolist() == [-1.0, -0.5, 0.0, 1.0, 1.0, 1.0]


def test_the_answer_depends_on_the_distance_from_the_baseline() -> None:
    network = network_of(TINY_BASELINE)
    (window,) = windows([30])
    functionals, baseline, utterances = voices(TINY_BASELINE, [5])
    one, other = (
        answer(network, window[None], torch.tensor([30]), (functionals, own, utterances))
        for own in (baseline, functionals)
    )
    assert float((one - other).abs().max()) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_of_the_network_is_trained(kind: str) -> None:
    network = network_of(KINDS[kind]).train()
    frames, lengths = padded(windows([60, 40, 30, 50]), 60, 0.0)
    emotion, style = network(frames, lengths, *voices(network.config, [0, 1, 5, 9]))
    targets = torch.tensor([0, 1, 2, 3])
    (cross_entropy(emotion, targets) + cross_entropy(style, targets % 2)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    untrained = {name for name, _ in network.named_buffers()}
    assert not untrained & {name for name, _ in network.named_parameters()}


def test_the_mean_and_spread_of_the_training_are_kept_with_the_weights() -> None:
    network, other = network_of(TINY_BASELINE), EmotionNetwork(TINY_BASELINE).eval()
    other.load_state_dict(network.state_dict())
    frames, lengths = padded(windows([20, 10]), 20, 0.0)
    given = voices(TINY_BASELINE, [0, 4])
    torch.testing.assert_close(
        answer(other, frames, lengths, given),
        answer(network, frames, lengths, given),
        rtol=0,
        atol=0,
    )


def test_a_network_without_functionals_has_no_weights_for_them() -> None:
    assert not [name for name in EmotionNetwork(TINY).state_dict() if "baseline" in name]
    assert voices(TINY, [3])[0].shape == (1, 0)


@pytest.mark.parametrize("kind", ["padded", "convolutions", "baseline", "two members", "projected"])
def test_as_torchscript_it_gives_the_same_answers(kind: str) -> None:
    network = network_of(KINDS[kind])
    scripted = torch.jit.freeze(torch.jit.script(network))
    for lengths, utterances in (([60], [0]), ([1], [2]), ([17, 60, 2], [0, 1, 30])):
        given = (*padded(windows(lengths), 60, 0.0), *voices(network.config, utterances))
        with torch.inference_mode():
            for one, other in zip(network(*given), scripted(*given), strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


# Several members.


def test_the_answer_is_the_mean_of_the_members() -> None:
    network = network_of(TINY_TWO)
    given = (*padded(windows([60, 17]), 60, 0.0), *voices(TINY_TWO, [0, 3]))
    with torch.inference_mode():
        one, other = (member(*given) for member in network.members)
        together = network(*given)
    for a, b, both in zip(one, other, together, strict=True):
        assert float((a - b).abs().max()) > 1e-3  # their initial weights differ
        torch.testing.assert_close(both, (a + b) / 2)


def test_every_member_costs_as_much() -> None:
    assert operations(TINY_TWO, 60) == 2 * operations(TINY_BASELINE, 60)


def test_sizes_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="members is 0, expected 1 or more"):
        NetworkConfig(members=0)
    with pytest.raises(ValueError, match="n_att_layers is 2, only 1"):
        NetworkConfig(n_att_layers=2)
    with pytest.raises(ValueError, match="conv_width is 4, expected an odd"):
        NetworkConfig(conv_width=4)
    with pytest.raises(ValueError, match="functionals is 0, expected some: functionals_projected"):
        NetworkConfig(linear=True)


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_is_restored_from_plain_values(name: str) -> None:
    assert NetworkConfig(**asdict(PRESETS[name])) == PRESETS[name]
