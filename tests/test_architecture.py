"""docs/architecture.md has the rooms of the tree, and imports run down its tables only."""

import re
from pathlib import Path

import grimp
import pytest

from tests.paths import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def rooms(package: str) -> list[str]:
    """Returns the rooms of one table, from the top: `service/cli/`, `service/app.py`, ..."""
    return re.findall(rf"^\| `({package}/[\w/.]+)` \|", TEXT, re.MULTILINE)


def rooms_of_the_tree(package: str) -> set[str]:
    """Returns the folders and modules directly below a package."""
    folder = ROOT / package
    found = set()
    for path in folder.iterdir():
        if path.is_dir() and any(path.rglob("*.py")) or path.name == "dashboard":
            found.add(f"{package}/{path.name}/")
        elif path.suffix == ".py" and path.name != "__init__.py":
            found.add(f"{package}/{path.name}")
    return found


def room_of(module: str) -> str:
    package, name, *inner = module.split(".")
    is_folder = bool(inner) or (ROOT / package / name).is_dir()
    return f"{package}/{name}/" if is_folder else f"{package}/{name}.py"


@pytest.mark.parametrize("package", ["service", "training"])
def test_the_table_of_rooms_is_the_tree(package: str) -> None:
    assert len(rooms(package)) == len(set(rooms(package)))
    assert set(rooms(package)) == rooms_of_the_tree(package)


@pytest.mark.parametrize("package", ["service", "training"])
def test_a_room_imports_only_rooms_further_down(package: str) -> None:
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    order = {room: place for place, room in enumerate(rooms(package))}
    upward = []
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            if importer.count(".") and imported.count("."):
                above, below = order[room_of(importer)], order[room_of(imported)]
                if above > below:
                    upward.append(f"{importer} -> {imported}")
    assert upward == []


@pytest.mark.parametrize("package", ["service", "training", "model"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    circular = [
        f"{module} -> {other}"
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
        if graph.chain_exists(importer=other, imported=module)
    ]
    assert circular == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_a_page_names_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:service|training|model|tests|docs)/[\w/.-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_file_outgrew_its_noun() -> None:
    """Checks that no source or test file has more than 400 lines."""
    paths = [
        path
        for package in ("service", "training", "model", "tests")
        for suffix in ("*.py", "*.js", "*.lua")
        for path in (ROOT / package).rglob(suffix)
    ]
    long = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in paths}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
