from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "kanjo-compact.pt"  # the model that comes with Kanjo
