"""Folders that tests read from."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "service" / "replay" / "samples"
TRANSCRIPTS = ROOT / "tests" / "transcripts"
