"""Every setting, from the environment: `KANJO_` and the field's name in capitals."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from model import SHIPPED

PREFIX = "KANJO_"
NOT_OURS = {"corpora"}  # KANJO_CORPORA is the training's


class Settings(BaseModel):
    """What an operator may decide. A misspelt or impossible setting stops the start."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False
    )

    host: str = Field("127.0.0.1", description="address to listen at")
    port: int = Field(8000, ge=1, le=65535, description="port to listen at")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least important lines that are logged"
    )
    log_format: Literal["text", "json"] = Field("text", description="how a line is logged")
    shutdown_s: int = Field(10, ge=1, description="longest wait for calls to end at a stop")

    # What is heard
    analyse_agent: str | None = Field(
        None,
        min_length=10,
        description="recorded purpose for which the agent's voice is analysed too (medical or "
        "safety; EU AI Act Art. 5(1)(f)); without one it never is",
    )
    gate: bool = Field(True, description="score speech only; off: sliding 7.5 s of everything")
    first_s: float = Field(1.5, ge=0.5, le=7.5, description="speech before its first reading")
    hop_s: float = Field(1.0, ge=0.25, le=7.5, description="speech from one reading to the next")
    max_calls: int = Field(200, ge=1, description="live calls; one more is refused")
    max_frame_bytes: int = Field(524_288, ge=1024, description="largest message of audio")

    # What scores it
    model: Path = Field(SHIPPED, description="artifact to load")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda")
    torch_threads: int = Field(1, ge=1, description="CPU threads of one batch")
    batch_max: int = Field(64, ge=1, le=256, description="windows scored at once")
    batch_wait_ms: float = Field(10, ge=0, description="longest a window waits for company")
    queue_max: int = Field(512, ge=1, description="waiting windows; one more drops the oldest")
    window_max_age_s: float = Field(3.0, gt=0, description="a window that waited longer is dropped")

    # What becomes an alert
    anger_fire_at: float | None = Field(
        None, ge=0, le=1, description="smoothed probability; without it, the model's own"
    )
    anger_clear_at: float | None = Field(
        None,
        ge=0,
        le=1,
        validate_default=True,
        description="below it an alert is on its way out; goes with the former",
    )
    happiness_fire_at: float | None = Field(None, ge=0, le=1, description="as for anger")
    happiness_clear_at: float | None = Field(
        None, ge=0, le=1, validate_default=True, description="as for anger"
    )
    hold_s: float = Field(2.5, ge=0, description="speech at or above before an alert fires")
    release_s: float = Field(4.0, ge=0, description="time below before it resolves")
    smooth_s: float = Field(3.0, ge=0, description="speech over which probabilities are smoothed")

    # What is kept
    redis_url: str | None = Field(
        None, pattern=r"^(redis|rediss|unix)://", description="without it: in this process only"
    )
    state_dir: Path = Field(
        Path("var"), description="where the outbox lives that waits for an absent Redis"
    )
    retention_days: float = Field(30, gt=0, description="how long calls and alerts are kept")

    # POST /classify
    classify_max_s: float = Field(600, gt=0, description="longest recording")
    classify_max_bytes: int = Field(50_000_000, ge=1, description="largest upload")

    @property
    def ws_max_size(self) -> int:
        """A little more than the largest frame is read, so that it can be answered with words."""
        return max(2 * self.max_frame_bytes, 2_097_152)

    @field_validator("anger_clear_at", "happiness_clear_at")
    @classmethod
    def _goes_with_fire_at(cls, clear_at: float | None, info: ValidationInfo) -> float | None:
        assert info.field_name
        other = info.field_name.replace("clear", "fire")
        if other in info.data:  # else it is impossible itself
            fire_at = info.data[other]
            if (fire_at is None) != (clear_at is None):
                raise ValueError(f"got {clear_at} and {other} {fire_at}, expected both or neither")
            if fire_at is not None and clear_at is not None and clear_at > fire_at:
                raise ValueError(f"got {clear_at}, expected at most {other}, {fire_at}")
        return clear_at

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Reads all variables that begin with KANJO_.

        Raises:
            ValidationError: one is unknown or its value impossible.
        """
        own = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environ.items()
            if name.startswith(PREFIX)
        }
        return cls.model_validate({k: v for k, v in own.items() if k not in NOT_OURS})
