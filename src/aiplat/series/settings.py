"""The settings of the series behind the graphs. Times are in seconds where no name says more."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta


class SeriesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node keeps for its graphs, and how much of it."""

    SECTION: ClassVar[str] = "series"

    rows: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Rows of one minute, or one hour: distinct role, "
             "model, key and peer. What is beyond is summed under the name `other`. "
             "100 rows in every minute come to some 140 MiB of disk."),
    ] = 100  # fmt: skip
    flush_seconds: Annotated[
        float,
        Meta(gt=0, le=3600, description="How often the newest figures go to the disk: what a "
             "killed node loses at most."),
    ] = 5.0  # fmt: skip
    kept_minutes: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Minutes that are kept in memory while the file cannot "
             "be written; older ones are dropped."),
    ] = 120  # fmt: skip
    minutes_days: Annotated[
        float, Meta(ge=0.1, le=365, description="Days after which minutes are folded to hours.")
    ] = 2.0
    days: Annotated[
        float, Meta(ge=1, le=3650, description="Days after which hours are deleted.")
    ] = 30.0
    reading_seconds: Annotated[
        float,
        Meta(ge=15, le=3600, description="How often the engines' processes, and the GPUs while a "
             "model is loaded, are looked at."),
    ] = 15.0  # fmt: skip
