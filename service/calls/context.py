"""What all calls of one service share."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.artifact import ArtifactMeta
from service.alerts.policy import AlertRule
from service.metrics import Metrics
from service.scoring.batcher import Batcher
from service.store.store import Store


@dataclass(frozen=True, slots=True)
class CallContext:
    """What all calls have in common."""

    meta: ArtifactMeta
    batcher: Batcher
    store: Store
    metrics: Metrics
    rules: Sequence[AlertRule]
    gate: bool
    first_s: float
    hop_s: float
