"""What training and the service must agree on: audio, features, labels, network and artifact."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "kanjo-compact.pt"  # the model that ships with Kanjo
