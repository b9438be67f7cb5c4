"""Small files of JSON in a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from aiplat.domain.errors import ConfigError


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one where there is no file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
