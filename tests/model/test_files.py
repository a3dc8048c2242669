from pathlib import Path

import pytest

from model.files import atomic_write


def test_a_file_is_there_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with atomic_write(path) as unfinished:
        unfinished.write_text("half")
        assert not path.exists()
        assert (unfinished.parent, unfinished.suffix) == (tmp_path, ".csv")
        unfinished.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_previous_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("previous")

    def fail() -> None:
        with atomic_write(path) as unfinished:
            unfinished.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "previous"
    assert list(tmp_path.iterdir()) == [path]
