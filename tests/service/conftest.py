from collections.abc import Iterator

import pytest

from tests.one_model import one_model


@pytest.fixture(autouse=True, scope="package")
def model_loaded_once() -> Iterator[None]:
    with one_model():
        yield
