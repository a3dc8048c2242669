"""The providers' pages: one a folder, linked from both tables."""

import re
from pathlib import Path

import pytest

import service.telephony
from service.settings import Settings
from service.telephony.providers import PROVIDERS

FOLDER = Path(service.telephony.__file__).parent
ROOT = FOLDER.parents[1]
PAGES = {name: FOLDER / name / "README.md" for name in PROVIDERS if name != "native"}


@pytest.mark.parametrize("table", [ROOT / "README.md", FOLDER / "README.md"])
def test_the_table_leads_to_every_bridge_and_its_page(table: Path) -> None:
    text = table.read_text()
    for name in PROVIDERS:
        assert f"`/calls/{name}`" in text
    linked = {(table.parent / path).resolve() for path in re.findall(r"\]\(([\w/.]+)[)#]", text)}
    assert set(PAGES.values()) <= linked
    assert all(path.exists() for path in linked)


@pytest.mark.parametrize(
    "page",
    sorted(FOLDER.rglob("*.md")),
    ids=lambda page: str(page.relative_to(FOLDER)),
)
def test_a_page_names_settings_and_paths_that_there_are(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"`KANJO_([A-Z_]+)`", text):
        assert name.lower() in Settings.model_fields
    assert set(re.findall(r"/calls/(\w+)", text)) <= set(PROVIDERS)
