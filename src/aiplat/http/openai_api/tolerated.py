"""Fields that are about an account at OpenAI's and not about the answer: taken when they are well
formed, and kept nowhere.

`user`, `safety_identifier` and `prompt_cache_key` name somebody or something to OpenAI. Here a key
says whose a request is, and the cache of prompts is by user. `metadata` belongs to answers that are
stored, which chat completions are not here.
"""

from __future__ import annotations

from aiplat.domain.errors import InvalidRequest, clip
from aiplat.http.reading import Fields, shown

MAX_METADATA = 16
MAX_KEY_CHARS = 64
MAX_VALUE_CHARS = 512
MAX_LABEL_CHARS = 1024


def check_labels(fields: Fields) -> None:
    """Look at `user`, `safety_identifier` and `prompt_cache_key`.

    Raises:
        InvalidRequest: one is no string, or too long.
    """
    for name in ("user", "safety_identifier", "prompt_cache_key"):
        text = fields.text(name)
        if text is not None and len(text) > MAX_LABEL_CHARS:
            raise InvalidRequest(
                f"{name} may have at most {MAX_LABEL_CHARS} characters, but has {len(text)}.",
                param=name,
            )


def parse_metadata(fields: Fields) -> dict[str, str]:
    """The field `metadata`: names and texts, of OpenAI's number and lengths.

    Raises:
        InvalidRequest: names what is wrong, and the bound.
    """
    pairs, value = fields.inner("metadata"), fields.raw("metadata")
    if pairs is None or not isinstance(value, dict):
        return {}
    if len(value) > MAX_METADATA:
        raise InvalidRequest(
            f"metadata may hold at most {MAX_METADATA} pairs, but holds {len(value)}.",
            param="metadata",
        )
    for key, text in value.items():
        _check_pair(key, text)
    return value


def _check_pair(key: str, text: object) -> None:
    if len(key) > MAX_KEY_CHARS:
        raise InvalidRequest(
            f"A key of metadata may have at most {MAX_KEY_CHARS} characters, but {clip(key)!r} has "
            f"{len(key)}.",
            param="metadata",
        )
    path = f"metadata.{clip(key)}"
    if not isinstance(text, str):
        raise InvalidRequest(f"{path} must be a string, but is {shown(text)}.", param=path)
    if len(text) > MAX_VALUE_CHARS:
        raise InvalidRequest(
            f"{path} may have at most {MAX_VALUE_CHARS} characters, but has {len(text)}.",
            param=path,
        )
