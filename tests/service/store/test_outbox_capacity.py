"""The outbox holds two hours of the most calls, all speaking all the time; README says its size."""

from pathlib import Path

from model import SHIPPED
from model.artifact import load
from service.settings import Settings
from service.store.entries import ReadingEntry
from service.store.outbox import Outbox
from service.store.store import OUTBOX_LIMIT
from service.store.views import ReadingView
from tests.service.store.facts import reading

TWO_HOURS_S = 7_200
BYTES = 700  # of a reading on disk, at most


def entry(number: int) -> ReadingEntry:
    r = reading(number)
    third = (1 - number % 97 / 97) / 3
    view = ReadingView(
        call_id=f"CA{number:032x}",
        number=number,
        track=r.track,
        start_s=number + 1 / 3,
        end_s=number + 7 + 1 / 3,
        heard_s=1.0,
        probabilities=dict.fromkeys(r.probabilities, third),
        at=1_795_816_545.6799545 + number,
    )
    return ReadingEntry(f"{number:032x}", view)


def test_the_outbox_holds_two_hours_of_the_most_calls() -> None:
    serving = load(SHIPPED).meta.serving
    readings_per_s = Settings().max_calls / serving.hop_s  # if no caller ever pauses
    assert readings_per_s * TWO_HOURS_S <= OUTBOX_LIMIT


def test_a_reading_takes_no_more_room_on_disk_than_is_stated(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o", OUTBOX_LIMIT)
    for at in range(0, 10_000, 1_000):
        outbox.append([entry(number) for number in range(at, at + 1_000)])
    outbox.checkpoint()
    assert (tmp_path / "o").stat().st_size / 10_000 <= BYTES
    outbox.close()
