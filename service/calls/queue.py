"""The queue in which a caller waited, as far as the call's provider says it."""

from collections.abc import Mapping

KEY = "queue"  # of a call's metadata


def queue_of(metadata: Mapping[str, str]) -> str | None:
    """Returns the name of a call's queue; None if the metadata name none."""
    return metadata.get(KEY) or None
