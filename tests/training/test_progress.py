import pytest

from training.progress import ProgressBar, track


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_without_a_terminal_there_is_a_line_now_and_then_and_one_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with ProgressBar("training", 10, clock=clock) as bar:
        for number in range(1, 8):
            clock.now_s += 10.0
            bar.update(number, note=f"loss {number}")
        bar.update(7, total=20, note="loss [7]")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: 3 of 10, loss 3",
        "training: 6 of 10, loss 6",
        "training: 7 of 20, loss [7]",
    ]


def test_tracked_items_are_counted_from_what_was_done_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(track(iter("cd"), "letters", 4, completed=2)) == ["c", "d"]
    assert capsys.readouterr().err == "letters: 4 of 4\n"
