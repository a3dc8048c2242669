import torch

from model.network import EmotionNetwork, Member, NetworkConfig
from model.projection import NoProjection, Projection


def fitted(values: torch.Tensor, components: int, spread: torch.Tensor | None = None) -> Projection:
    torch.manual_seed(0)
    projection = Projection(values.shape[1], components)
    projection.fit(values, spread)
    return projection


def correlated(count: int = 400) -> torch.Tensor:
    """Returns values (N, 40) that two directions make up but for a little noise."""
    generator = torch.Generator().manual_seed(3)
    directions = torch.randn(2, 40, generator=generator)
    along = torch.randn(count, 2, generator=generator)
    return along @ directions + 0.01 * torch.randn(count, 40, generator=generator) + 5


def test_few_components_keep_what_varies() -> None:
    values = correlated()
    projection = fitted(values, 2)
    distances = (values - values.mean(0)) / values.std(0, correction=0)
    found = projection(values)
    rebuilt = found @ torch.linalg.lstsq(found, distances).solution
    assert float((rebuilt - distances).square().mean()) < 0.01
    torch.testing.assert_close(found.std(), torch.tensor(1.0), atol=0.01, rtol=0)


def test_components_are_orthogonal_and_keep_their_own_spreads() -> None:
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(500, 6, generator=generator)
    values[:, 1] += values[:, 0]
    projection = fitted(values, 6)
    products = projection.components.T @ projection.components
    torch.testing.assert_close(products / products[0, 0], torch.eye(6), atol=1e-4, rtol=0)
    spreads = projection(values).std(0)
    assert spreads[0] > 1.2 > 0.8 > spreads[-1]


def test_numbers_are_measured_in_the_spreads_that_are_given() -> None:
    values = correlated()
    projection = fitted(values, 2, torch.full((40,), 2.0))
    assert (projection.spread == 2).all()
    torch.testing.assert_close(projection.mean, values.mean(0))


def test_a_number_far_away_counts_as_eight_spreads() -> None:
    projection = Projection(3, 3)
    far = projection(torch.tensor([[1e9, -1e9, float("inf")]]))
    assert far.tolist() == [[8.0, -8.0, 8.0]]


def test_of_few_values_the_remaining_components_are_zeros() -> None:
    values = correlated(3)
    found = fitted(values, 8)(values)
    assert found.shape == (3, 8)
    assert found.isfinite().all()
    assert (found[:, 3:] == 0).all()


def test_a_number_that_never_varies_does_no_harm() -> None:
    values = correlated()
    values[:, 7] = 1.0
    assert fitted(values, 2)(values).isfinite().all()


def test_without_a_projection_values_stay_as_they_are() -> None:
    values = torch.randn(2, 3)
    assert NoProjection()(values) is values


# In a network.

NETWORK = NetworkConfig(
    d_frame=6,
    d_lstm=5,
    d_att=7,
    d_den1=9,
    d_den2=8,
    n_head=3,
    d_style=4,
    mask_padding=True,
    functionals=7,
    d_voice=4,
    d_projected=4,
    functionals_projected=5,
    plain_functionals=True,
    linear=True,
    members=2,
)


def test_members_are_given_components_and_share_them() -> None:
    torch.manual_seed(0)
    network = EmotionNetwork(NETWORK).eval()
    network.frames.fit(torch.randn(50, 6))
    network.functionals.fit(torch.randn(50, 7))
    frames, lengths = torch.randn(2, 12, 6), torch.tensor([12, 9])
    functionals, baseline = torch.randn(2, 7), torch.randn(2, 7)
    utterances = torch.tensor([0.0, 4.0])
    given = network.projected(frames, lengths, functionals, baseline, utterances)
    torch.testing.assert_close(given[0], network.frames(frames))
    torch.testing.assert_close(given[2], network.functionals(functionals))
    assert (given[3][0] == 0).all(), "without a baseline there is none to project"
    torch.testing.assert_close(given[3][1], network.functionals(baseline)[1])
    with torch.inference_mode():
        one, other = (member(*given)[0] for member in network.members)
        together, _ = network(frames, lengths, functionals, baseline, utterances)
    torch.testing.assert_close(together, (one + other) / 2)


def test_the_linear_share_measures_against_baseline_and_mean_of_the_training() -> None:
    """As the other distance: the mean of all voices, here zero, counts as one utterance."""
    torch.manual_seed(0)
    share = Member(NETWORK).eval().linear
    assert share is not None
    share.logits.weight.data.normal_()
    functionals, baseline, utterances = torch.randn(2, 5), torch.randn(2, 5), torch.tensor([0, 3.0])
    expected = share.logits(
        torch.cat((functionals, functionals - torch.tensor([[0], [0.75]]) * baseline), dim=1)
    )
    torch.testing.assert_close(share(functionals, baseline, utterances), expected)
