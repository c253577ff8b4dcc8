"""Answers that keep to a JSON schema or a grammar, by the real engine; and what is said of those that none can keep."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE
from tests.engine.asking import GREEDY, Reply, ask, paused, user
from tui.engines.interface import Engine, EngineError
from tui.protocol.messages import Generate
from tui.protocol.records import AnswerFormat, LoadSettings, Sampling

HELLO = "Hello! I am Tiny Qwen. How can I help you today?"
THOUGHT = "The user greets me. I should greet them back and offer help."
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 1, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3},
        "score": {"type": ["number", "null"]},
    },
    "required": ["name", "age", "tags", "score"],
}
HOT = Sampling(temperature=1.5, top_k=0, top_p=1.0)


def schema(wanted: Any) -> AnswerFormat:
    return AnswerFormat(kind="json_schema", text=json.dumps(wanted))


def gbnf(text: str) -> AnswerFormat:
    return AnswerFormat(kind="gbnf", text=text)


async def said(engine: Engine, wanted: AnswerFormat | None, question: str = "hello", **options: Any) -> Reply:
    return await ask(engine, user(question), **{"answer_format": wanted, "thinking": False, **options})


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(seed=1), *(HOT for _ in range(1))], ids=["greedy", "few", "all"])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_written_is_what_the_schema_asks_for(shared_tiny: Engine, sampling: Sampling) -> None:
    for seed in range(3):
        chosen = msgspec.structs.replace(sampling, seed=seed)
        reply = await said(shared_tiny, schema(PERSON), sampling=chosen, max_tokens=400)
        assert reply.done.stop == "stop" and not reply.done.is_incomplete, reply.text
        answer = json.loads(reply.text)
        assert list(answer) == list(PERSON["properties"])
        assert len(answer["name"]) <= 12 and 1 <= answer["age"] <= 99
        assert 1 <= len(answer["tags"]) <= 3 and set(answer["tags"]) <= {"a", "b"}
        assert answer["score"] is None or isinstance(answer["score"], int | float)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_grammar_is_kept_and_without_one_the_text_is_as_before(shared_tiny: Engine) -> None:
    for _ in range(2):
        assert (await said(shared_tiny, None)).text == HELLO
        reply = await said(shared_tiny, gbnf('root ::= "yes" | "no"'))
        assert reply.text in ("yes", "no") and reply.done.stop == "stop" and not reply.done.is_incomplete
    # What the model would say by itself stays as it is.
    assert (await said(shared_tiny, gbnf("root ::= [A-Za-z !.?]+"))).text == HELLO
    assert (await said(shared_tiny, gbnf('root ::= "你好，" [^\\x00-\\x7f]{2} "。"'))).text.startswith("你好，")


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_thought_before_is_free(shared_tiny: Engine, thinking: bool) -> None:
    reply = await said(
        shared_tiny,
        schema({"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x"]}),
        thinking=thinking,
    )
    assert reply.thinking.strip() == (THOUGHT if thinking else "")
    assert reply.text.startswith("{") and isinstance(json.loads(reply.text)["x"], bool)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_thought_that_is_cut_short_is_followed_by_what_was_asked_for(shared_tiny: Engine) -> None:
    reply = await said(shared_tiny, gbnf('root ::= "yes"'), thinking=True, thinking_budget=4)
    assert reply.done.thinking_cut and reply.thinking and reply.text == "yes"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_ends_too_early_says_that_it_is_not_whole(shared_tiny: Engine) -> None:
    reply = await said(shared_tiny, schema(PERSON), max_tokens=3)
    assert reply.done.stop == "length" and reply.done.is_incomplete
    thought = await said(shared_tiny, schema(PERSON), max_tokens=3, thinking=True)
    assert thought.done.is_incomplete
    assert not (await said(shared_tiny, None, max_tokens=3)).done.is_incomplete


@pytest.mark.asyncio
async def test_an_answer_goes_on_within_its_grammar_after_a_load(tiny: Engine) -> None:
    wanted = gbnf('root ::= [a-z] [a-zA-Z ,]{400} "."')
    whole = await paused(tiny, user("hello"), answer_format=wanted, thinking=False)
    await tiny.load(DENSE, LoadSettings(n_ctx=2048, n_threads=2), keep_context=True)
    async for event in tiny.generate(Generate(sampling=GREEDY, resume=True, answer_format=wanted, thinking=False)):
        whole.add(event)
    assert len(whole.text) == 402 and whole.text.endswith(".") and not whole.done.is_incomplete


WRONG: list[tuple[AnswerFormat, str]] = [
    (gbnf("root ::= [a-z"), "line 1, column 14: unexpected end of input"),
    (gbnf('root ::= "a"\nother ::= ) "b"'), "line 2, column 11: expecting newline or end"),
    (gbnf('root ::= "é" word\n'), 'line 1, column 14: there is no rule "word"'),
    (gbnf('other ::= "a"'), "grammar does not contain a 'root' symbol"),
    (gbnf("root ::= root"), "left recursion"),
    (gbnf(" "), "is empty"),
    (gbnf("root ::= " + "(" * 100_000), "nested too deeply"),
    (gbnf("root ::= a\0"), "no text"),
    (AnswerFormat(kind="json_schema", text='{"type":\n  oops}'), "line 2, column 3"),
    (schema([1]), "must be an object"),
    (schema({"type": "integer", "minimum": 1}), '"minimum" at #'),
    (schema({"properties": {"a": {"items": {"multipleOf": 2, "type": "number"}}}}), "at #/properties/a/items"),
    (schema({"type": "string", "pattern": "a+"}), "must begin with ^"),
    (schema({"type": "array", "uniqueItems": True}), '"uniqueItems"'),
    (schema({"not": {}}), '"not"'),
    (schema({"$ref": "https://example.com/schema.json"}), "$ref: https://example.com"),
    (schema({"$ref": "#/$defs/gone"}), "cannot be kept"),
    (schema({"type": "strange"}), "type: strange"),
    (schema({"type": [["string"]]}), '"type" at #'),
    (schema({"type": "object", "required": [{}]}), '"required" at #'),
    (schema({"type": "array", "items": {"type": "null"}, "maxItems": 10**9}), "maxItems: 1000000000"),
    (schema({"type": "string", "minLength": -1}), "minLength: -1"),
    (schema({"type": "array", "minItems": 3, "maxItems": 2}), "minItems: 3"),
    (schema({"type": "string", "pattern": "^a{1,999999999999}$"}), "pattern: ^a{1,9"),
    (schema({"type": "string", "pattern": "^((a{2000}){2000}){2000}$"}), "pattern: ^((a"),
    (AnswerFormat(kind="json_schema", text='{"const": ' + "1" * 5000 + "}"), "cannot be kept"),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "why"), WRONG, ids=[why for _, why in WRONG])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_no_answer_can_keep_is_refused_with_its_place(
    shared_tiny: Engine, wanted: AnswerFormat, why: str
) -> None:
    with pytest.raises(EngineError) as refused:
        await said(shared_tiny, wanted)
    assert refused.value.info.kind == "bad_format" and why in refused.value.info.text
    assert (await said(shared_tiny, None)).text == HELLO


KEPT: list[Any] = [
    {},
    True,
    {"title": "Any", "description": "d", "default": 1, "$comment": "c"},
    {"type": "object"},
    {"type": "object", "required": ["a"]},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"properties": {"root": {"type": "string", "format": "date"}, "object": {"const": {"x": 1}}}, "required": ["root"]},
    {"$defs": {"n": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}}},
     "$ref": "#/$defs/n"},
    {"allOf": [{"$ref": "#/definitions/n"}], "definitions": {"n": {"enum": [1, "two", None]}}},
    {"prefixItems": [{"type": "boolean"}, {"type": "null"}]},
    {"type": "string", "pattern": "^[a-c]{2,4}$"},
    {"type": "string", "pattern": "^\\d{2}-[\\w.]+ [^x]{3} .{5}\\.$"},
    {"type": "string", "format": "email"},
    {"type": "string", "pattern": "^[a-f]{8}-([a-f]{4}-){3}[a-f]{12}$"},
]  # fmt: skip


@pytest.mark.parametrize("wanted", KEPT, ids=str)
@pytest.mark.asyncio(loop_scope="module")
async def test_schemas_of_all_kinds_give_json(shared_tiny: Engine, wanted: Any) -> None:
    reply = await said(shared_tiny, schema(wanted), max_tokens=500)
    if not reply.done.is_incomplete:
        json.loads(reply.text)
    assert reply.done.is_incomplete == (reply.done.stop == "length")
