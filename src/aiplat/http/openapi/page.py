"""The description as a page for people: made by the node, with a style of its own and no script."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup, escape

from aiplat.http.openapi.operation import Operation
from aiplat.http.openapi.schemas import Schema

POLICY = (
    b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
STYLE = (files(__package__) / "page.css").read_bytes()


def page(operations: tuple[Operation, ...], document: dict[str, Any]) -> bytes:
    """Make it.

    Arguments:
        operations: all that are told.
        document: the OpenAPI document of them.
    """
    surroundings = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    surroundings.filters.update(kind=_kind, bounds=_bounds, pretty=_pretty, code=_code)
    template = surroundings.from_string((files(__package__) / "page.html").read_text("utf-8"))
    return template.render(operations=operations, document=document).encode()


def _kind(schema: Schema) -> str:
    """What a value is, in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].rpartition(".")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _bounds(schema: Schema) -> str:
    """Its bounds, such as ``from 0 to 2``."""
    least, most = schema.get("minimum"), schema.get("maximum")
    words = [f"from {least:g}"] if least is not None else []
    words += [f"to {most:g}"] if most is not None else []
    if "maxItems" in schema:
        words.append(f"at most {schema['maxItems']}")
    return " ".join(words)


def _code(text: str) -> Markup:
    """A text whose code stands between backticks."""
    parts = [escape(part) for part in text.split("`")]
    marked = [Markup("<code>{}</code>").format(one) for one in parts[1::2]]
    parts[1::2] = marked
    return Markup("").join(parts)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
