"""The runtime's own settings, and the list of every section that aiplat has.

``python -m aiplat.runtime.settings`` writes ``docs/settings.md`` on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from aiplat.accounts.settings import AccountsSettings
from aiplat.config.describe import document
from aiplat.config.loader import Loaded, load
from aiplat.config.sections import SectionClass
from aiplat.domain.errors import ConfigError
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.engine.settings import EngineSettings
from aiplat.history.settings import HistorySettings
from aiplat.http.settings import HttpSettings
from aiplat.node.settings import NodeSettings
from aiplat.roles.settings import ClientSettings, GatewaySettings, ShareSettings
from aiplat.runtime.changes_file import ChangesFile
from aiplat.runtime.places import Places
from aiplat.series.settings import SeriesSettings
from aiplat.stored.settings import StoredSettings


class RuntimeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A node's life: how it starts, says what it does, and ends."""

    SECTION: ClassVar[str] = "runtime"

    grace_seconds: Annotated[
        float,
        Meta(description="Seconds that running requests get when the node stops.", ge=0, le=3600),
    ] = 30.0
    idle_minutes: Annotated[
        float,
        Meta(
            description="Minutes without work after which a node that a face started leaves; "
            "0 for never.",
            ge=0,
            le=100_000,
        ),
    ] = 30.0
    start_seconds: Annotated[
        float,
        Meta(description="Seconds that a face waits for the node it started.", ge=0.1, le=3600),
    ] = 60.0
    prompt_bytes: Annotated[
        int,
        Meta(
            description="The most bytes that `ask` and `chat` take as a prompt, files with it; at "
            "most nine tenths of http.max_body_bytes.",
            ge=1,
            le=2**30,
        ),
    ] = 800_000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least level that is logged; DEBUG=1 means debug."),
    ] = "info"
    log_bytes: Annotated[
        int,
        Meta(description="Bytes after which the log file is rotated.", ge=10_000, le=2**40),
    ] = 5_000_000
    log_lines: Annotated[
        int,
        Meta(
            description="The newest lines of the log that the node keeps in memory, for `aiplat "
            "logs` and the terminal; older ones are in its file.",
            ge=100,
            le=100_000,
        ),
    ] = 2000
    log_files: Annotated[
        int, Meta(description="Rotated log files that are kept.", ge=1, le=1000)
    ] = 3


SECTIONS: tuple[SectionClass, ...] = (
    RuntimeSettings,
    NodeSettings,
    GatewaySettings,
    ClientSettings,
    AccountsSettings,
    EngineSettings,
    UpstreamSettings,
    ShareSettings,
    SeriesSettings,
    HistorySettings,
    StoredSettings,
    HttpSettings,
)
"""Every section, in the order of the docs."""


def load_settings(
    places: Places, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Loaded:
    """Read the settings of the installation at `places`.

    Raises:
        ConfigError: as `aiplat.config.loader.load`, or two settings do not fit each other.
    """
    kept = ChangesFile(places.changes)
    loaded = load(SECTIONS, places.config_file, environ, overrides, kept.read(), str(kept.path))
    prompt, body = loaded[RuntimeSettings].prompt_bytes, loaded[HttpSettings].max_body_bytes
    if prompt > (most := body * 9 // 10):
        raise ConfigError(
            f"{loaded.source('runtime.prompt_bytes')}: prompt_bytes is {prompt}, but a prompt must "
            f"fit http.max_body_bytes, {body}: set it to at most {most}."
        )
    return loaded


if __name__ == "__main__":
    sys.stdout.write(document(SECTIONS))
