"""The start and the samples of a call, from the events of its bridge."""

import numpy as np

from service.events import Audio, CallStarted, Event, Gap, Track


def started(events: list[Event]) -> CallStarted:
    (start,) = [event for event in events if isinstance(event, CallStarted)]
    return start


def pcm(events: list[Event], track: Track = Track.CALLER) -> list[int]:
    """Returns the samples of one track, each lost one as -1."""
    pieces = [
        event.pcm if isinstance(event, Audio) else np.full(event.samples, -1, np.int16)
        for event in events
        if isinstance(event, Audio | Gap) and event.track is track
    ]
    return [int(sample) for piece in pieces for sample in piece]
