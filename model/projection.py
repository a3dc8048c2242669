"""Principal components: what is left of an embedding's thousands of numbers for the network."""

import torch
from torch import Tensor, nn

OVERSAMPLED = 30  # components that are computed beyond those that are kept, for their accuracy
ROUNDS = 3  # of the power iteration
LEAST_SPREAD = 1e-3


class Projection(nn.Module):
    """Takes each number as its distance from a mean, in spreads, and these to their components.

    It is fitted before a training and does not change in it. The components keep their own
    spreads, which on average are 1, so that what varies little also counts little.
    """

    def __init__(self, numbers: int, components: int) -> None:
        super().__init__()
        self.farthest = 8.0  # spreads
        self.mean = nn.Buffer(torch.zeros(numbers))
        self.spread = nn.Buffer(torch.ones(numbers))
        self.components = nn.Buffer(torch.eye(numbers, components))

    def forward(self, values: Tensor) -> Tensor:
        """Takes values (..., numbers); returns (..., components)."""
        spreads = ((values - self.mean) / self.spread).clamp(-self.farthest, self.farthest)
        return torch.matmul(spreads, self.components)

    @torch.jit.unused
    def fit(self, values: Tensor, spread: Tensor | None = None) -> None:
        """Finds the components of values (N, numbers).

        Where there are fewer values or numbers than components, the remaining ones are zeros.
        The random numbers of the search come from torch's generator.

        Args:
            spread: (numbers,) in place of that of the values.
        """
        self.mean.copy_(values.mean(0))
        self.spread.copy_(values.std(0, correction=0) if spread is None else spread)
        self.spread.clamp_(min=LEAST_SPREAD)
        spreads = ((values - self.mean) / self.spread).clamp(-self.farthest, self.farthest)
        kept = min(self.components.shape[1], *spreads.shape)
        sought = min(kept + OVERSAMPLED, *spreads.shape)
        _, _, found = torch.pca_lowrank(spreads, sought, center=False, niter=ROUNDS)
        components = found[:, :kept]
        scale = (spreads @ components).std().clamp(min=LEAST_SPREAD)
        self.components.zero_()
        self.components[:, :kept] = components / scale


class NoProjection(nn.Module):
    """Stands where there is no projection, and returns values as they are."""

    def forward(self, values: Tensor) -> Tensor:
        return values
