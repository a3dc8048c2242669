"""The settings about callers: what is known of them, and who may see it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.setting_types import CallUrl, FactNames


class CallerSettings(BaseModel):
    """Which parameters of calls are facts, the calls' addresses, and who sees whole numbers."""

    model_config = ConfigDict(frozen=True)

    facts: FactNames | None = Field(
        None,
        description="parameters of calls (metadata) that are facts, "
        "`queue=cc_queue,queue=Queue,caller_number=ani`: of "
        "`caller_number`, `called_number`, `queue`, `agent`, `language`, `call_url`, `consent`",
    )
    call_url: CallUrl | None = Field(
        None,
        description="address of a call in the PBX, where the provider says none: "
        "`https://pbx.example/monitor?id={call_id}`; with `call_id`, `bridge`, `caller_number`, "
        "`called_number`, `queue`, `language`",
    )
    numbers_for: Literal["viewer", "operator", "admin"] = Field(
        "operator", description="lowest role that is shown whole telephone numbers"
    )
    consent: Literal["optional", "required"] = Field(
        "optional", description="`required`: nothing is analysed until the caller agreed"
    )
