import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.calls.recent import Recent


@given(sizes=st.lists(st.integers(0, 20), max_size=40), least=st.integers(1, 30))
def test_the_latest_values_are_there_whatever_their_pieces(sizes: list[int], least: int) -> None:
    recent = Recent(least, 20, (2,), np.int16)
    whole = np.arange(2 * sum(sizes), dtype=np.int16).reshape(-1, 2)
    fed = 0
    for size in sizes:
        recent.extend(whole[fed : fed + size])
        first, fed = max(0, fed - least), fed + size
        if fed > first:
            np.testing.assert_array_equal(recent.between(first, fed), whole[first:fed])


def test_what_is_returned_stays_when_more_comes_in() -> None:
    recent = Recent(2, 4, (), np.int16)
    recent.extend(np.array([1, 2, 3]))
    kept = recent.between(0, 3)
    recent.extend(np.array([4, 5, 6, 7]))
    recent.extend(np.array([8, 9, 10, 11]))
    assert kept.tolist() == [1, 2, 3]
