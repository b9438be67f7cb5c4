"""Grammars over a real tokenizer: what is kept to, what is refused, and each row its own."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest

from aiplat.domain.chat import Generate, Message
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.engine.calling.bodies import read_calls
from aiplat.engine.calling.formats import CODER, FORMATS, HERMES, LLAMA, MISTRAL, Format
from aiplat.engine.forms import grammar_of
from aiplat.engine.outbox import Outbox
from aiplat.engine.rows import Draw, Drawn, Fault, Row
from tests.support.counting import Numerals
from tests.support.tiny_model import make_tiny_model
from tests.unit.engine.calling.saying import ONE, TOOLS, found

torch = pytest.importorskip("torch")
pytest.importorskip("llguidance")

from transformers import AutoTokenizer  # noqa: E402  # needs torch

from aiplat.engine.backends.slots.grammars import Grammars, Keeping  # noqa: E402  # needs torch
from aiplat.engine.backends.slots.sampling import choose  # noqa: E402  # needs torch

END = 2
PADDING = 60
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = AutoTokenizer.from_pretrained(make_tiny_model(tmp_path_factory.mktemp("m") / "tiny"))
    made.add_special_tokens({"additional_special_tokens": [MISTRAL.begin]})
    return made


@pytest.fixture(scope="module")
def grammars(tokenizer: Any) -> Grammars:
    return Grammars("tiny", tokenizer, len(tokenizer) + PADDING, (END,))


def schema(of: Any) -> Generate:
    return Generate((Message("user", "x"),), grammar={"type": "json_schema", "schema": of})


def calling(**options: Any) -> Generate:
    return Generate((Message("user", "x"),), tools=TOOLS, **options)


def keeping(grammars: Grammars, work: Generate, form: Format | None = None) -> Keeping:
    matcher = grammars.matcher(work, form, ())
    assert matcher is not None
    return matcher


def takes(grammars: Grammars, tokenizer: Any, work: Generate, text: str, form: Any = None) -> bool:
    """Whether the text is allowed, token by token, and may be all."""
    matcher = keeping(grammars, work, form)
    for token in tokenizer.encode(text, add_special_tokens=False):
        if token not in matcher.allowed(len(tokenizer)) or not matcher.take(token):
            return False
    return matcher.ended or END in matcher.allowed(len(tokenizer))


def test_free_text_has_no_grammar(grammars: Grammars) -> None:
    assert grammars.matcher(Generate((Message("user", "x"),)), None, ()) is None
    assert grammars.matcher(calling(), HERMES, ()) is None
    assert grammars.matcher(calling(tool_choice="none"), HERMES, ()) is None


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"name":"Ada","age":36}', True),
        ('{"name": "Ada", "age": 36}', True),
        ('{"name":"Ada"}', True),
        ('{"age":36}', False),
        ('{"name":"Ada","age":3.5}', False),
        ('{"name":"much too long"}', False),
        ('{"name":"Ada","spare":1}', False),
        ('{"name":"Ada"', False),
        ('{\n"name":"Ada"}', False),
        ("no JSON", False),
    ],
)
def test_an_answer_keeps_to_its_schema(
    grammars: Grammars, tokenizer: Any, text: str, fits: bool
) -> None:
    assert takes(grammars, tokenizer, schema(PERSON), text) is fits


def test_any_object(grammars: Grammars, tokenizer: Any) -> None:
    work = Generate((Message("user", "x"),), grammar={"type": "json_object"})
    assert takes(grammars, tokenizer, work, '{"a": [1, {"b": null}], "c": "ä"}')
    assert not takes(grammars, tokenizer, work, "[1]")


def test_what_refers_to_its_own_parts_is_kept_to(grammars: Grammars, tokenizer: Any) -> None:
    tree = {
        "$defs": {"node": {
            "type": "object",
            "properties": {"in": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["in"], "additionalProperties": False,
        }},
        "$ref": "#/$defs/node",
    }  # fmt: skip
    assert takes(grammars, tokenizer, schema(tree), '{"in": [{"in": []}, {"in": []}]}')
    assert not takes(grammars, tokenizer, schema(tree), '{"in": [{}]}')


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ({"type": "strin"}, "Invalid type: strin"),
        ({"not": {"type": "string"}}, 'Unimplemented keys: ["not"]'),
        ({"$ref": "https://example.com/a"}, "retriev"),
        ({"type": "string", "pattern": "(?=a)"}, "look-ahead"),
        ({"type": "string", "pattern": "("}, "regex parse error"),
        ({"type": "integer", "minimum": 5, "maximum": 2}, "minimum (5) is greater"),
        ({"oneOf": [{"type": "object"}, {}]}, "oneOf constraints are not supported"),
        (
            {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
            "nothing that could be said",
        ),
        ({"$ref": "#"}, "nothing that could be said"),
        ({"type": "no such\n" + "x" * 5000}, "Invalid type: no such"),
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused_with_the_reason(
    grammars: Grammars, of: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        grammars.matcher(schema(of), None, ())
    assert refused.value.param == "response_format"
    assert why in str(refused.value)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "form", [{"type": "text"}, {"type": "json_schema"}, {}, {"type": "json_schema", "schema": True}]
)
def test_a_form_that_is_none_is_refused(grammars: Grammars, form: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="json_object"):
        grammars.matcher(Generate((Message("user", "x"),), grammar=form), None, ())


def test_who_asks_sets_no_option_of_the_library(grammars: Grammars, tokenizer: Any) -> None:
    loose = {**PERSON, "x-guidance": {"whitespace_flexible": True, "lenient": True}}
    assert not takes(grammars, tokenizer, schema(loose), '{\n"name":"Ada"}')
    with pytest.raises(InvalidRequest, match="Unimplemented"):
        grammars.matcher(schema({"not": {}, "x-guidance": {"lenient": True}}), None, ())


def test_a_tool_whose_schema_cannot_be_kept_to_is_named(grammars: Grammars) -> None:
    bad = {"name": "bad", "parameters": {"type": "object", "properties": {"x": {"not": {}}}}}
    work = Generate((Message("user", "x"),), tools=(*TOOLS, bad), tool_choice="required")
    with pytest.raises(InvalidRequest, match="the tool 'bad'") as refused:
        grammars.matcher(work, HERMES, ())
    assert refused.value.param == "tools"
    free = Generate((Message("user", "x"),), tools=(bad,))
    assert grammars.matcher(free, HERMES, ()) is None  # nothing has to be kept to


@pytest.mark.parametrize("form", FORMATS)
def test_who_must_call_calls_as_its_family_writes_it(
    grammars: Grammars, tokenizer: Any, form: Format
) -> None:
    (text,) = [text for of, text in ONE.values() if of is form and not text.startswith("<|python")]
    work = calling(tool_choice="required")
    assert takes(grammars, tokenizer, work, text, form)
    assert found(form, text)[1]
    assert not takes(grammars, tokenizer, work, "I call nothing.", form)
    assert not takes(
        grammars, tokenizer, work, text.replace("Paris", "P").replace("city", "town"), form
    )
    only = calling(tool="now")
    assert not takes(grammars, tokenizer, only, text, form)
    assert takes(grammars, tokenizer, calling(tool_choice="required", one_call=True), text, form)
    twice = f"{text}\n{text}" if form.end else text + text
    one = calling(tool_choice="required", one_call=True)
    assert not takes(grammars, tokenizer, one, twice, form)


def test_a_mark_that_is_a_token_is_that_token(grammars: Grammars, tokenizer: Any) -> None:
    matcher = keeping(grammars, calling(tool_choice="required"), MISTRAL)
    mark = tokenizer.convert_tokens_to_ids(MISTRAL.begin)
    assert list(matcher.allowed(len(tokenizer))) == [mark]


def test_an_answer_of_a_form_may_call_instead(grammars: Grammars, tokenizer: Any) -> None:
    work = calling(grammar={"type": "json_schema", "schema": PERSON})
    assert takes(grammars, tokenizer, work, '{"name":"Ada"}', HERMES)
    assert takes(grammars, tokenizer, work, ONE["hermes"][1], HERMES)
    assert not takes(grammars, tokenizer, work, '{"age":"Ada"}', HERMES)


STRICT = tuple({**tool, "strict": True} for tool in TOOLS)


def choosing(*tools: dict[str, Any], **options: Any) -> Generate:
    return Generate((Message("user", "x"),), tools=tools or STRICT, **options)


@pytest.mark.parametrize("way", ONE)
def test_strict_calls_of_a_model_that_may_choose_keep_to_their_schema(
    grammars: Grammars, tokenizer: Any, way: str
) -> None:
    form, text = ONE[way]
    marked = text if text.startswith(form.begin) else form.begin + text
    wrong = marked.replace("city", "town")
    for fits in ("", "I call nothing, {you}.", '{"a": 1}', text, f"I look.\n{marked}"):
        assert takes(grammars, tokenizer, choosing(), fits, form), fits
    for unfit in (text.replace("city", "town"), wrong, f"I look.\n{wrong}", marked + " So."):
        assert not takes(grammars, tokenizer, choosing(), unfit, form), unfit
    assert grammars.matcher(choosing(tool_choice="none"), form, ()) is None


TWICE = {
    way: text[:-1] + ", " + text[text.index("[{") + 1 :] if form is MISTRAL
    else text.replace("}]", "}, " + text[text.index("[{") + 1 : text.index("}]") + 1] + "]")
    if form.body == "list" else f"{text}\n{text}" if form.end else text + text
    for way, (form, text) in ONE.items() if not form.one
}  # fmt: skip


@pytest.mark.parametrize("way", TWICE)
@pytest.mark.parametrize("forced", [False, True])
def test_there_may_be_several_calls_unless_one_is_asked_for(
    grammars: Grammars, tokenizer: Any, way: str, forced: bool
) -> None:
    form, text = ONE[way]
    must: dict[str, Any] = {"tool_choice": "required"} if forced else {}
    assert len(found(form, TWICE[way])[1]) == 2
    assert takes(grammars, tokenizer, choosing(**must), TWICE[way], form)
    assert not takes(grammars, tokenizer, choosing(one_call=True, **must), TWICE[way], form)
    assert takes(grammars, tokenizer, choosing(one_call=True, **must), text, form)


@pytest.mark.parametrize("way", ONE)
def test_only_strict_tools_are_held_and_looked_at(
    grammars: Grammars, tokenizer: Any, way: str
) -> None:
    form, text = ONE[way]
    bad = {"name": "bad", "parameters": {"type": "object", "properties": {"x": {"not": {}}}}}
    mixed = choosing(TOOLS[0], STRICT[1], bad)
    assert takes(grammars, tokenizer, mixed, text, form)
    assert takes(grammars, tokenizer, mixed, text.replace("city", "town"), form)
    empty = text.replace('{"city": "Paris"}', "{}").replace(
        "<parameter=city>\nParis\n</parameter>\n", ""
    )
    assert takes(grammars, tokenizer, mixed, empty.replace("get_weather", "now"), form)
    assert not takes(grammars, tokenizer, mixed, text.replace("get_weather", "now"), form)
    with pytest.raises(InvalidRequest, match="the tool 'bad'"):
        grammars.matcher(choosing(TOOLS[0], {**bad, "strict": True}), form, ())


JSON_ANSWERS = (
    '{"name": "Ada", "age": 3}',
    '{"type": "object", "x": 1}',
    '\n{"parameters": [1]}',
    '[{"name": "get_weather"}]',
)


@pytest.mark.parametrize("text", JSON_ANSWERS)
def test_json_that_is_no_call_may_be_said(grammars: Grammars, tokenizer: Any, text: str) -> None:
    assert takes(grammars, tokenizer, choosing(), text, LLAMA)
    assert found(LLAMA, text) == (text, [])


BARE = (
    '{"name": "get_weather", "parameters": {"city": "Paris"}}',
    '\n{ "type": "function", "name": "get_weather",\n  "arguments": {"city": "Paris"}\n}',
)


@pytest.mark.parametrize("text", BARE)
def test_a_bare_call_may_be_written_as_it_is_read(
    grammars: Grammars, tokenizer: Any, text: str
) -> None:
    for call in (text, "\x1c" + text, text.replace("get_weather", "get_\\u0077eather")):
        wrong = call.replace("city", "town")
        assert found(LLAMA, wrong)[1]
        assert not takes(grammars, tokenizer, choosing(), wrong, LLAMA)
    assert found(LLAMA, text)[1]
    assert takes(grammars, tokenizer, choosing(), text, LLAMA)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer whose marks are tokens, some of them special, as those of real families."""
    made = AutoTokenizer.from_pretrained(make_tiny_model(tmp_path_factory.mktemp("t") / "tiny"))
    made.add_tokens(["<tool_call>", "</tool_call>", "<think>", "</think>"])
    special = ["<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "<end>", "<aside>"]
    made.add_special_tokens({"additional_special_tokens": special})
    return made


@pytest.mark.parametrize("way", ONE)
def test_tokens_that_are_no_text_may_stand_in_it_and_marks_are_held_however_written(
    marked: Any, way: str
) -> None:
    form, text = ONE[way]
    end = marked.convert_tokens_to_ids("<end>")
    grammars = Grammars("marked", marked, len(marked), (END, end))

    def ids(text: str, *, spelled: bool = False) -> list[int]:
        parts = text if spelled else [text]
        return [token for part in parts for token in marked.encode(part, add_special_tokens=False)]

    def fits(tokens: list[int]) -> bool:
        matcher = keeping(grammars, choosing(), form)
        for token in tokens:
            if token not in matcher.allowed(len(marked)) or not matcher.take(token):
                return False
        return matcher.ended or {END, end} <= set(matcher.allowed(len(marked)))

    whole = text if text.startswith(form.begin) else form.begin + text
    wrong = whole.replace("city", "town")
    thought = "<think>\nhm\n</think>\n\n"
    assert fits(ids(thought + "Hello.</think>"))
    assert fits(ids(thought + whole))
    assert not fits(ids(thought + wrong))
    assert fits(ids("I look.") + ids(form.begin, spelled=True) + ids(whole[len(form.begin) :]))
    assert not fits(ids("I look.") + ids(form.begin, spelled=True) + ids(wrong[len(form.begin) :]))
    if not form.bare:  # of those that nobody sees some may be thoughts, and they split no mark
        hidden = [marked.convert_tokens_to_ids("<aside>")]
        assert fits(hidden + ids("Hm.") + hidden + ids(whole))
        parts = ids(form.begin[:-1], spelled=True) + hidden + ids(wrong[len(form.begin) - 1 :])
        assert not fits(parts)
    assert grammars.matcher(choosing(), form, ids(thought + whole[: len(form.begin) + 9]))


def coder(city: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": city}, "required": ["city"], **more}
    return {"name": "get_weather", "parameters": schema, "strict": True}


@pytest.mark.parametrize(
    ("city", "fits", "unfit"),
    [
        ({"type": "string"}, ["a\nb", "", "<parameter"], ["a</parameter>b", "a</function>b"]),
        ({"type": "string", "maxLength": 3, "minLength": 1}, ["abc"], ["", "abcd"]),
        ({"type": "string", "maxLength": 2000}, ["Paris", "x" * 500], []),
        ({"type": "string", "minLength": 3}, ["abc\nd"], ["ab"]),
        ({"type": "string", "const": "x"}, ["x"], ["y"]),
        ({"enum": ["5", "6"]}, ["5"], ["7", '"5"']),
        ({"type": "integer", "maximum": 5}, ["5"], ["6", "x"]),
        ({"type": ["string", "null"]}, ["null", '"x"', '"</parameter>"', '"</function>"'], ["x"]),
        ({"enum": ["a</parameter>b", "c"]}, ["a</parameter>b", "c"], ["a"]),
        ({"$ref": "#/$defs/a"}, ["7"], ["x"]),
    ],
)
def test_arguments_in_xml_are_held_to_their_schema(
    grammars: Grammars, tokenizer: Any, city: dict[str, Any], fits: list[str], unfit: list[str]
) -> None:
    tool = coder(city, **{"$defs": {"a": {"type": "integer"}}})

    def call(value: str) -> str:
        return ONE["coder"][1].replace("Paris", value)

    for value in fits:
        assert takes(grammars, tokenizer, choosing(tool), call(value), CODER), value
        (made,) = read_calls(call(value)[11:-12], CODER, {"get_weather": tool["parameters"]})
        jsonschema.validate(json.loads(made.arguments), tool["parameters"])
    for value in unfit:
        assert not takes(grammars, tokenizer, choosing(tool), call(value), CODER), value


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (coder({"type": "string", "pattern": "^[0-9]+$"}), "'pattern' of 'city'"),
        (coder({"type": "string"}, anyOf=[{"required": ["city"]}]), "'anyOf' stands at its top"),
        (
            coder({"type": "string"}, required=["town"], additionalProperties=True),
            "requires 'town'",
        ),
        (coder({"type": "string"}, properties={"a>b": {}}, required=[]), "is no name"),
    ],
)
def test_what_xml_cannot_be_held_to_is_refused_where_it_is_strict(
    grammars: Grammars, tokenizer: Any, tool: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        grammars.matcher(choosing(tool), CODER, ())
    assert refused.value.param == "tools"


def test_what_can_be_held_is_held_beside_what_cannot(grammars: Grammars, tokenizer: Any) -> None:
    dated = {"type": "string", "format": "date"}
    both = {"city": dated, "days": {"type": "integer"}}
    tool = {**coder(dated, properties=both, required=["city", "days"]), "strict": False}
    days = "<parameter=days>\n3\n</parameter>\n</function>"
    good = ONE["coder"][1].replace("</function>", days)
    must = choosing(tool, tool_choice="required")
    assert takes(grammars, tokenizer, must, good, CODER)
    assert not takes(grammars, tokenizer, must, good.replace("\n3\n", "\nx\n"), CODER)
    assert not takes(grammars, tokenizer, must, ONE["coder"][1], CODER)


def test_definitions_go_where_they_are_named(grammars: Grammars, tokenizer: Any) -> None:
    many = {f"d{at}": {"type": "integer", "maximum": at} for at in range(300)}
    named = {f"p{at}": {"$ref": f"#/$defs/d{at}"} for at in range(300)}
    tool = coder({}, properties=named, required=["p5"], **{"$defs": many})
    work = choosing(tool)
    assert len(grammar_of(work, CODER, json.dumps)) < 100_000
    call = ONE["coder"][1].replace("parameter=city", "parameter=p5")
    assert takes(grammars, tokenizer, work, call.replace("Paris", "5"), CODER)
    assert not takes(grammars, tokenizer, work, call.replace("Paris", "6"), CODER)


def test_what_was_said_elsewhere_goes_on_there(grammars: Grammars, tokenizer: Any) -> None:
    said = tokenizer.encode('{"name":"A', add_special_tokens=False)
    matcher = grammars.matcher(schema(PERSON), None, said)
    assert matcher is not None
    assert all(matcher.take(token) for token in tokenizer.encode('da"}', add_special_tokens=False))
    assert matcher.ended
    with pytest.raises(InvalidRequest) as refused:
        grammars.matcher(schema(PERSON), None, tokenizer.encode('{"age', add_special_tokens=False))
    assert refused.value.param == "resume"


def test_without_the_library_it_is_refused_by_name(grammars: Grammars, tokenizer: Any) -> None:
    bare = Grammars("tiny", tokenizer, 300, (END,))
    bare.works = False
    for work, param in (
        (schema(PERSON), "response_format"),
        (calling(tool="now"), "tool_choice"),
        (Generate((Message("user", "x"),), tools=STRICT), "tools"),
    ):
        with pytest.raises(UnsupportedParameter, match="tiny") as refused:
            bare.matcher(work, HERMES, ())
        assert refused.value.param == param


# -- drawing -----------------------------------------------------------------------------------


def row(matcher: Any, **draw: Any) -> Row:
    wish = Draw(**{"temperature": 0.0, "top_p": 1.0, "seed": 7, **draw})
    return Row(
        number=1, ids=[5], prompt_tokens=1, limit=500, draw=wish, voice=Numerals(),
        outbox=Outbox(0), arrived=0.0, deadline=1.0, matcher=matcher,
    )  # fmt: skip


DRAWS: list[dict[str, Any]] = [
    {},
    {"temperature": 1.0},
    {"temperature": 2.0, "top_p": 0.5},
    {"temperature": 1.0, "top_k": 3, "min_p": 0.1},
    {"repetition": 1.5, "presence": 1.0, "frequency": 0.5},
    {"temperature": 1.0, "bias": ((70, 100.0), (90, -100.0))},
    {"logprobs": 2},
]


def answer(grammars: Grammars, tokenizer: Any, one: Row, noise: Any) -> str:
    for _ in range(400):
        if one.matcher is None or one.matcher.ended:
            break
        logits = torch.randn(1, len(tokenizer) + PADDING, generator=noise) * 3
        logits[0, len(tokenizer) :] += 50.0  # a model may think most of ids that have no token
        (drawn,) = choose(logits, [one])
        assert isinstance(drawn, Drawn)
        if one.draw.logprobs is not None:
            raw = torch.log_softmax(logits[0], -1)
            assert drawn.logprob == pytest.approx(float(raw[drawn.token]))
            assert drawn.top[0][0] == int(raw.argmax())
        if drawn.token == END:
            break
        one.ids.append(drawn.token)
        assert one.matcher.take(drawn.token)
    return str(tokenizer.decode(one.ids[1:]))


@pytest.mark.parametrize("draw", DRAWS)
def test_however_it_is_drawn_noise_becomes_what_the_schema_says(
    grammars: Grammars, tokenizer: Any, draw: dict[str, Any]
) -> None:
    fixed = {
        "type": "object",
        "properties": {
            "name": {"enum": ["Ada", "Grace"]},
            "year": {"type": "integer", "minimum": 1900, "maximum": 1999},
            "likes": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 4},
        },
        "required": ["name", "year", "likes"],
        "additionalProperties": False,
    }
    for seed in range(3):
        noise = torch.Generator().manual_seed(seed)
        one = row(grammars.matcher(schema(fixed), None, ()), **draw)
        told = json.loads(answer(grammars, tokenizer, one, noise))
        assert told["name"] in ("Ada", "Grace")
        assert 1900 <= told["year"] <= 1999
        assert set(told["likes"]) <= {"a", "b"}


def test_a_row_without_a_grammar_beside_one_with_it_is_as_alone(
    grammars: Grammars, tokenizer: Any
) -> None:
    logits = torch.randn(3, len(tokenizer) + PADDING, generator=torch.Generator().manual_seed(1))
    kept = row(grammars.matcher(schema(PERSON), None, ()))
    plain, drawn = row(None), row(None, temperature=1.0)
    together = choose(logits, [plain, kept, drawn])
    assert [together[0]] == choose(logits[:1], [plain])
    assert [together[2]] == choose(logits[2:], [drawn])
    assert isinstance(together[1], Drawn)
    assert tokenizer.decode([together[1].token]) == "{"


def test_a_grammar_that_breaks_down_ends_its_row_alone() -> None:
    class Broken:
        ended = False

        def allowed(self, width: int) -> Any:
            raise ValueError("too complex")

        def take(self, token: int) -> bool:
            return False

    logits = torch.randn(2, 300)
    broken, plain = choose(logits, [row(Broken()), row(None)])
    assert isinstance(broken, Fault)
    assert "too complex" not in broken.message
    assert isinstance(plain, Drawn)
