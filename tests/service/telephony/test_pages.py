"""The pages beside the bridges: one a bridge, linked from both tables."""

import re
from pathlib import Path

import pytest

import service.telephony
from service.replay.player import CLIENTS
from service.settings import Settings

PAGES = Path(service.telephony.__file__).parent
ROOT = PAGES.parents[1]


@pytest.mark.parametrize("table", [ROOT / "README.md", PAGES / "README.md"])
def test_the_table_leads_to_every_bridge_and_its_page(table: Path) -> None:
    text = table.read_text()
    for bridge in CLIENTS:
        assert f"`/calls/{bridge}`" in text
    linked = {(table.parent / path).resolve() for path in re.findall(r"\]\(([\w/.]+)[)#]", text)}
    assert {PAGES / f"{bridge}.md" for bridge in CLIENTS if bridge != "native"} <= linked
    assert all(path.exists() for path in linked)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_names_settings_and_paths_that_there_are(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"`KANJO_([A-Z_]+)`", text):
        assert name.lower() in Settings.model_fields
    assert set(re.findall(r"/calls/(\w+)", text)) <= set(CLIENTS)
