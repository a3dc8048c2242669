"""The query parameter with which a period begins, as every route that has one takes it."""

from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

From = Annotated[
    AwareDatetime | None,
    Query(alias="from", description="ISO 8601 with an offset, or epoch seconds; included"),
]
