"""The sizes of what a network is given of a window, from log-mel frames or from embeddings."""

from typing import NamedTuple

from model.embedding import EmbeddingSpec
from model.features import FeatureSpec
from model.functionals import functional_count

InputSpec = FeatureSpec | EmbeddingSpec  # how speech becomes what the network is given


class InputSizes(NamedTuple):
    """The sizes of a window's arrays: frames (T, n_features) with T at most `longest`, and (F,)."""

    n_features: int
    functionals: int
    longest: int


def input_sizes(spec: InputSpec) -> InputSizes:
    """Returns the sizes that a network of this spec is built for; a row counts as a frame."""
    if isinstance(spec, EmbeddingSpec):
        return InputSizes(spec.d_frame, spec.functionals, spec.window_rows)
    return InputSizes(spec.n_features, functional_count(spec), spec.window_frames)
