"""Forms of answers and calls of tools, by the embedded model in its real process.

Its own template has no tools; here it has the one that its authors give its larger sister.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
from msgspec.structs import replace

from aiplat.domain.answers import CallPiece, Resume
from aiplat.domain.chat import Generate, Message, Sampling, ToolCall
from aiplat.engine.catalogue import SMOLLM2
from aiplat.engine.interface import Engine
from aiplat.engine.process import EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.engine.store import models_folder
from aiplat.telemetry.metrics import Metrics
from tests.integration.test_engine_process import running, until
from tests.support.tiny_model import make_tiny_model
from tests.support.tool_model import make_tool_model
from tests.unit.engine.hearing import Heard, asking

pytest.importorskip("torch")
pytest.importorskip("llguidance")

pytestmark = pytest.mark.trio

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "likes": {"type": "array", "items": {"enum": ["tea", "coffee"]}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any]] = [
    PERSON,
    {"enum": ["Paris", "London", "Rome"]},
    {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 9},
        "minItems": 2,
        "maxItems": 4,
    },
    {
        "type": "object",
        "properties": {
            "kind": {"anyOf": [{"const": "city"}, {"type": "null"}]},
            "at": {"$ref": "#/$defs/point"},
            "day": {"type": "string", "format": "date"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
        },
        "required": ["kind", "at", "day", "code"],
        "additionalProperties": False,
        "$defs": {
            "point": {
                "type": "object",
                "properties": {
                    "x": {"type": "integer", "maximum": 99, "minimum": -99},
                    "y": {"type": "boolean"},
                },
                "required": ["x", "y"],
                "additionalProperties": False,
            }
        },
    },
]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: tuple[dict[str, Any], ...] = (
    {"name": "get_weather", "description": "The weather of a city.", "parameters": CITY},
    {"name": "get_time", "description": "The time of a city.", "parameters": CITY},
)
FRANCE = "What is the capital of France?"


def work(text: str, **options: Any) -> Generate:
    wish = {name: options.pop(name) for name in Sampling.__struct_fields__ if name in options}
    return Generate((Message("user", text),), Sampling(**{"temperature": 0.0, **wish}), **options)


def formed(schema: dict[str, Any], **options: Any) -> Generate:
    form = {"type": "json_schema", "schema": schema}
    return work("Make up something. Answer in JSON.", grammar=form, max_tokens=150, **options)


async def said(engine: Engine, *works: Generate, **top: Any) -> list[Heard]:
    """The answers to all of them at once."""
    sinks = [Heard() for _ in works]
    for one, sink in zip(works, sinks, strict=True):
        engine.submit(replace(asking("x", **top), work=one), sink)
    await until(lambda: all(sink.ended for sink in sinks))
    return sinks


def calls(heard: Heard) -> list[ToolCall]:
    """The calls of an answer, put together again."""
    pieces: list[CallPiece] = [piece for delta in heard.deltas for piece in delta.calls]
    made = []
    for index in range(len({piece.index for piece in pieces})):
        own = [piece for piece in pieces if piece.index == index]
        assert [bool(piece.name) for piece in own] == [True] + [False] * (len(own) - 1)
        made.append(ToolCall("", own[0].name, "".join(piece.arguments for piece in own)))
    return made


def make(folder: Path, tmp_path: Path, **settings: Any) -> EngineProcess:
    chosen = EngineSettings(**{"device": "cpu", "slots": 12, **settings})
    return EngineProcess("m", folder, tmp_path / "cache", chosen, tmp_path / "log", Metrics())


@pytest.mark.model
async def test_forms_and_tools(model_cache: Path, tmp_path: Path) -> None:
    pulled = models_folder(model_cache) / SMOLLM2.name
    engine = make(make_tool_model(pulled, tmp_path / "m"), tmp_path)
    assert engine.offer().can == ("generate",)  # nothing more is known of it yet
    async with running(engine):
        assert engine.offer().can == ("generate", "tools", "grammar")
        await _every_form(engine)
        await _in_company(engine)
        await _must_call(engine)
        await _after_a_call(engine)
        await _counts_and_goes_on_with_text(engine)
    again = make(tmp_path / "m", tmp_path)
    assert again.offer().can == ("generate", "tools", "grammar")  # it remembers


async def _every_form(engine: Engine) -> None:
    """Several at once, at no temperature and at a high one: each is what its schema says."""
    works = [
        formed(schema, temperature=heat, seed=seed)
        for schema in SCHEMAS
        for heat, seed in ((0.0, 1), (1.0, 2), (1.0, 3))
    ]
    for one, heard in zip(works, await said(engine, *works), strict=True):
        assert heard.finished.reason == "stop", heard.text
        assert one.grammar is not None
        jsonschema.validate(json.loads(heard.text), one.grammar["schema"])
    (loose,) = await said(engine, work("A person.", grammar={"type": "json_object"}, max_tokens=5))
    assert loose.finished.reason == "length"
    assert loose.text.startswith("{")
    bad, tall = await said(
        engine,
        formed({"type": "strin"}),
        formed({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
    )
    assert (bad.failed.code, bad.failed.param) == ("invalid_request", "response_format")
    assert "Invalid type: strin" in bad.failed.message
    assert tall.failed.param == "response_format"


async def _in_company(engine: Engine) -> None:
    """A row with a grammar changes no other row."""
    plain = work(FRANCE)
    (alone,) = await said(engine, plain)
    beside, *formed_too = await said(engine, plain, *(formed(schema) for schema in SCHEMAS))
    assert beside.text == alone.text
    assert "Paris" in alone.text
    for schema, heard in zip(SCHEMAS, formed_too, strict=True):
        jsonschema.validate(json.loads(heard.text), schema)


async def test_the_same_seed_says_the_same_in_any_company_and_elsewhere(tmp_path: Path) -> None:
    engine = make(
        make_tiny_model(tmp_path / "m"), tmp_path, deterministic=True, dtype="float32", threads=1
    )
    warm, other = (formed(PERSON, temperature=1.0, seed=seed) for seed in (7, 8))
    async with running(engine):
        (alone,) = await said(engine, warm)
        jsonschema.validate(json.loads(alone.text), PERSON)
        plain, first, second, third = await said(
            engine, work(FRANCE, max_tokens=30), warm, warm, other
        )
        assert first.text == second.text == alone.text != third.text
        (bare,) = await said(engine, work(FRANCE, max_tokens=30))
        assert plain.ids == bare.ids
        (rest,) = await said(engine, warm, resume=Resume(tuple(alone.ids[:6])))
        assert alone.ids[6:] == rest.ids
        (broken,) = await said(engine, warm, resume=Resume((70, 70)))
        assert broken.failed.param == "resume"


async def _must_call(engine: Engine) -> None:
    weather = "What is the weather in Paris?"
    works = [
        work(weather, tools=TOOLS, tool_choice="required", one_call=True),
        work("What time is it in Tokyo?", tools=TOOLS, tool_choice="required", one_call=True),
        work(weather, tools=TOOLS, tool="get_time", temperature=1.0, seed=4, max_tokens=300),
        work(weather, tools=TOOLS, tool_choice="none", max_tokens=20),
        work(weather, max_tokens=20),
    ]
    asked, clock, named, none, bare = await said(engine, *works)
    assert calls(asked) == [ToolCall("", "get_weather", '{"city": "Paris"}')]
    assert (asked.text, asked.finished.reason) == ("", "tool_calls")
    assert asked.finished.usage.completion_tokens == len(asked.ids) > 10
    assert calls(clock) == [ToolCall("", "get_time", '{"city": "Tokyo"}')]
    for call in calls(named):
        assert call.name == "get_time"
        jsonschema.validate(json.loads(call.arguments), CITY)
    assert calls(named)
    assert not calls(none)
    assert none.text == bare.text  # the template was given no tools


async def _after_a_call(engine: Engine) -> None:
    """A conversation with a call in it, and what the tool said."""
    messages = (
        Message("user", "What is the weather in Paris?"),
        Message("assistant", "", (ToolCall("call_1", "get_weather", '{"city": "Paris"}'),)),
        Message("tool", "It rains.", (), "call_1", "get_weather"),
    )
    one = Generate(messages, Sampling(temperature=0.0, max_tokens=20), TOOLS)
    (heard,) = await said(engine, one)
    assert heard.finished.usage.completion_tokens > 0
    wrong = replace(one, messages=(replace(messages[1], calls=(ToolCall("", "x", "{"),)),))
    (refused,) = await said(engine, wrong)
    assert (refused.failed.code, refused.failed.param) == ("invalid_request", "messages")


async def _counts_and_goes_on_with_text(engine: Engine) -> None:
    asked = work(FRANCE, max_tokens=1)
    counted, answered = await said(engine, replace(asked, only_count=True), asked)
    assert counted.started.prompt_tokens == answered.started.prompt_tokens == 37
    assert not counted.deltas
    assert counted.finished.usage.total_tokens == 0
    once = Generate(
        (), Sampling(temperature=0.0, max_tokens=3, stop=(" Paris",)), prompt="France's capital is"
    )
    (heard,) = await said(engine, once)
    assert heard.started.prompt_tokens < 10
    assert heard.finished.stop in ("", " Paris")
