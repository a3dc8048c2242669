"""What training and the service must agree on: audio, features, labels, network and artifact."""

from pathlib import Path

_WEIGHTS = Path(__file__).parent / "weights"
# The models that ship with Kanjo, by the names that settings and commands take.
MODELS = {path.stem.removeprefix("kanjo-"): path for path in sorted(_WEIGHTS.glob("kanjo-*.pt"))}
SHIPPED = _WEIGHTS / "kanjo-compact.pt"  # where nothing else is set


def model_file(given: str) -> Path:
    """Returns the file of a model that is given by its shipped name or as a path."""
    return MODELS.get(given, Path(given))
