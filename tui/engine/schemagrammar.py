"""A JSON schema as a grammar in GBNF, by llama-cpp-python's converter. That one passes over what it cannot express, so
a schema is looked through first: whatever would not be kept is refused, with its place. Runs in the engine process
only.

What says nothing about the text (titles, descriptions, defaults, formats that are not known) is left out. `oneOf` is
read as `anyOf`, and an object without `additionalProperties` has no others.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from tui.base.text import one_line
from tui.engine.llamalog import LlamaError
from tui.protocol.records import AnswerFormat
from tui.words.later import Later, later

_MOST_VALUES = 1000
"""Of whole numbers between two limits: they become a list of values."""
_MOST_REPEATS = 2000
"""Of characters or items: llama.cpp reads no more, and the converter writes each of them out."""
_MOST_WRITTEN = 1_000_000
"""Of a pattern's repetitions, those of groups in each other multiplied."""
_REPEATS = re.compile(r"(\)?)\{(\d*),?(\d*)\}")
_DEEPEST = 64
_TYPES = ("string", "number", "integer", "boolean", "null", "object", "array")
_KEYWORDS = {
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": (),
    "integer": ("minimum", "maximum"),
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
}
"""What is kept, by type."""
_FORMATS = ("date", "time", "date-time", "uuid", "uuid1", "uuid2", "uuid3", "uuid4", "uuid5")
_NOT_KEPT = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "not", "if", "then", "else"),
    *("uniqueItems", "contains", "minContains", "maxContains", "unevaluatedItems", "additionalItems"),
    *("patternProperties", "propertyNames", "minProperties", "maxProperties", "unevaluatedProperties"),
    *("dependentRequired", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef"),
)
_MEANS = {
    "string": ("pattern", "minLength", "maxLength"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "object": ("properties", "required", "additionalProperties"),
}
"""The type that is meant where none is given."""
_TEXT = r'[^"\\\x00-\x1F\x7F]'
"""A character that may stand in a JSON string as it is: the converter takes line ends and the like for such, too."""
_ANY_CHARACTER = r'^(char ::= )\[\^"\\\\\]'
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": " "}
"""Of patterns, which GBNF does not have. Of blanks only the space stands in a JSON string as it is."""
_SIGNS = tuple(".^$*+?()|{}/-")
"""That stand for themselves behind a backslash, which the converter leaves there at times."""
_ANYTHING = {"type": "value"}
"""In the converter's own words; what JSON schema writes as {} it takes for an object."""


def grammar_text(wanted: AnswerFormat) -> str:
    """What an answer is to keep to, in GBNF. Raises `LlamaError` of the kind "bad_format"."""
    if not wanted.text.strip():
        raise _bad(later("what the answer is to keep to is empty"))
    return grammar_of(wanted.text) if wanted.kind == "json_schema" else wanted.text


def grammar_of(schema: str) -> str:
    """The grammar. Raises `LlamaError` of the kind "bad_format", which says what is wrong, and where."""
    try:
        table = json.loads(schema)
    except json.JSONDecodeError as error:
        raise _bad(
            later(
                "the JSON schema is not JSON: line {line}, column {column}: {reason}",
                line=str(error.lineno),
                column=str(error.colno),
                reason=error.msg,
            )
        ) from None
    except RecursionError:
        raise _bad(later("the JSON schema is nested too deeply")) from None
    except ValueError as error:  # a number of thousands of digits
        raise _bad(later("the JSON schema cannot be kept: {reason}", reason=one_line(str(error)[:200]))) from None
    if table is True:
        table = {}
    if not isinstance(table, dict):
        raise _bad(later("the JSON schema must be an object, in braces"))
    definitions = {key: table[key] for key in ("$defs", "definitions") if isinstance(table.get(key), dict)}
    shaped = _shaped(table, "#", 0)
    if definitions and "$ref" in shaped:  # beside one the converter looks for no others
        shaped = {"anyOf": [shaped]}
    for key, schemas in definitions.items():
        shaped[key] = {name: _shaped(one, f"#/{key}/{name}", 1) for name, one in schemas.items()}
    converter = importlib.import_module("llama_cpp.llama_grammar")
    try:
        grammar = str(converter.json_schema_to_gbnf(json.dumps(shaped)))
    except Exception as error:
        reason = one_line(str(error)[:200]) or type(error).__name__
        raise _bad(later("the JSON schema cannot be kept: {reason}", reason=reason)) from error
    return re.sub(_ANY_CHARACTER, lambda found: f"{found[1]}{_TEXT}", grammar, flags=re.MULTILINE)


def _bad(detail: Later) -> LlamaError:
    return LlamaError("bad_format", detail)


def _refused(keyword: str, place: str) -> LlamaError:
    return _bad(
        later(
            'the JSON schema asks for "{keyword}" at {place}, which cannot be kept while an answer is written: '
            "leave it out",
            keyword=one_line(keyword[:60]),
            place=one_line(place[:200]),
        )
    )


def _shaped(schema: Any, place: str, depth: int) -> dict[str, Any]:
    """The schema in the words of which the converter keeps each. Raises `LlamaError`."""
    if depth > _DEEPEST:
        raise _bad(later("the JSON schema is nested too deeply"))
    if schema is True:
        return dict(_ANYTHING)
    if not isinstance(schema, Mapping):
        raise _bad(later("the JSON schema has no schema at {place}, but something else", place=one_line(place[:200])))

    def inner(one: Any, name: str) -> dict[str, Any]:
        return _shaped(one, f"{place}/{name}", depth + 1)

    parts = schema.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and not _constraints(schema) - {"allOf"}:
        return inner(parts[0], "allOf/0")
    if "$ref" in schema:
        if not isinstance(schema["$ref"], str) or not schema["$ref"].startswith("#/"):
            raise _refused(f"$ref: {schema['$ref']}", place)
        _only(schema, place, "$ref")
        return {"$ref": schema["$ref"]}
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return _joined(schema, name, place, depth)
    if "const" in schema:
        return {"const": schema["const"]}
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return {"enum": schema["enum"]}
    kind = schema.get("type") or next(
        (kind for kind, words in _MEANS.items() if any(word in schema for word in words)), None
    )
    if isinstance(kind, list):
        if not kind or not all(isinstance(one, str) for one in kind):
            raise _refused("type", place)
        others = {key: value for key, value in schema.items() if key != "type"}
        alternatives = [inner(_of_type(others, one), f"type/{number}") for number, one in enumerate(kind)]
        return {"anyOf": alternatives}
    if kind is None:
        _only(schema, place)
        return dict(_ANYTHING)
    if kind not in _TYPES:
        raise _refused(f"type: {kind}", place)
    _only(schema, place, *_KEYWORDS.get(kind, ()))
    return {"type": kind, **_MAKERS.get(kind, _plain)(schema, place, depth)}


def _of_type(schema: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """What of a schema for several types concerns this one."""
    others = {word for one, words in _KEYWORDS.items() if one != kind for word in words} - set(_KEYWORDS.get(kind, ()))
    return {"type": kind, **{key: value for key, value in schema.items() if key not in others}}


def _constraints(schema: Mapping[str, Any]) -> set[str]:
    """The keywords that say something about the text."""
    words = {word for kept in _KEYWORDS.values() for word in kept} | set(_NOT_KEPT)
    words |= {"$ref", "anyOf", "oneOf", "allOf", "const", "enum", "type"}
    return {
        key
        for key, value in schema.items()
        if key in words and not (key == "format" and value not in _FORMATS) and not (key == "uniqueItems" and not value)
    }


def _only(schema: Mapping[str, Any], place: str, *kept: str) -> None:
    """Raises `LlamaError` for a keyword that is not among these."""
    for keyword in schema:
        if keyword in _constraints(schema) - {*kept, "type"}:
            raise _refused(keyword, place)


def _joined(schema: Mapping[str, Any], name: str, place: str, depth: int) -> dict[str, Any]:
    _only(schema, place, name)
    parts = schema[name]
    if not isinstance(parts, list) or not parts:
        raise _refused(name, place)
    shaped = [_shaped(part, f"{place}/{name}/{number}", depth + 1) for number, part in enumerate(parts)]
    if name != "allOf":
        return {"anyOf": shaped}
    if any("properties" not in part and "$ref" not in part for part in shaped):
        raise _refused(name, place)  # the converter joins the properties of objects only
    return {"allOf": shaped}


def _plain(schema: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
    return {}


def _string(schema: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
    kept = {word: schema[word] for word in _KEYWORDS["string"] if word in _constraints(schema)}
    _limits(kept, "minLength", "maxLength", place=place)
    pattern = kept.get("pattern")
    if pattern is not None and not _is_writable(str(pattern)):
        raise _refused(f"pattern: {str(pattern)[:40]}", place)
    if pattern is not None and not (str(pattern).startswith("^") and str(pattern).endswith("$")):
        raise _bad(
            later(
                'the "pattern" at {place} must begin with ^ and end with $: only a whole text can be kept to it',
                place=one_line(place[:200]),
            )
        )
    if len(kept) > 1 and kept.keys() != {"minLength", "maxLength"}:
        raise _refused(list(kept)[1], place)  # of several the converter keeps the first
    if pattern is not None:
        kept["pattern"] = _in_quotes(str(pattern))
    return kept


def _is_writable(pattern: str) -> bool:
    """Whether the converter can write its repetitions out."""
    found = [
        (bool(group), max((int(n[:9]) for n in numbers if n), default=0))
        for group, *numbers in _REPEATS.findall(pattern)
    ]
    once = max((n for is_group, n in found if not is_group), default=1)
    return all(n <= _MOST_REPEATS for _, n in found) and (
        math.prod(max(n, 1) for is_group, n in found if is_group) * max(once, 1) <= _MOST_WRITTEN
    )


def _limits(kept: Mapping[str, Any], least: str, most: str, *, place: str) -> None:
    """Raises `LlamaError` unless these are numbers that can be kept, of which the first is not the greater one."""
    for word in {least, most} & kept.keys():
        if type(kept[word]) is not int or not 0 <= kept[word] <= _MOST_REPEATS:
            raise _refused(f"{word}: {kept[word]}", place)
    if kept.get(least, 0) > kept.get(most, _MOST_REPEATS):
        raise _refused(f"{least}: {kept[least]}", place)


def _in_quotes(pattern: str) -> str:
    """The pattern with what stands for any character, or all but some, kept to those that a JSON string may have."""
    made, at, is_in_class = "", 0, False
    while at < len(pattern):
        here, following = pattern[at], pattern[at + 1 : at + 2]
        if here == "\\" and following in _CLASSES:
            made += _CLASSES[following] if is_in_class else f"[{_CLASSES[following]}]"
            at += 1
        elif here == "\\":
            is_sign = following in _SIGNS and not is_in_class
            made += f"[\\x{ord(following):02X}]" if is_sign else here + following
            at += 1
        elif here == "[" and not is_in_class:
            is_in_class = True
            made += _TEXT.removesuffix("]") if following == "^" else here
            at += following == "^"
        elif here == "." and not is_in_class:
            made += _TEXT
        else:
            is_in_class = is_in_class and here != "]"
            made += here
        at += 1
    return made


def _integer(schema: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
    limits = [schema.get(word) for word in _KEYWORDS["integer"]]
    if limits == [None, None]:
        return {}
    least, most = limits
    if not isinstance(least, int) or not isinstance(most, int) or not 0 <= most - least < _MOST_VALUES:
        raise _refused("minimum" if least is not None else "maximum", place)
    return {"enum": list(range(least, most + 1))}


def _object(schema: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
    named, required = schema.get("properties") or {}, schema.get("required") or []
    if not isinstance(named, Mapping):
        raise _refused("properties", place)
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise _refused("required", place)
    properties = {name: _shaped(one, f"{place}/properties/{name}", depth + 1) for name, one in named.items()}
    properties |= {name: dict(_ANYTHING) for name in required if name not in properties}
    made: dict[str, Any] = {"properties": properties, "required": required} if properties else {}
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping) or others is True:
        made["additionalProperties"] = _shaped(others, f"{place}/additionalProperties", depth + 1)
    elif others is False:
        made |= {"properties": properties, "additionalProperties": False}
    return made


def _array(schema: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
    tuple_of = schema.get("prefixItems")
    limits = {key: schema[key] for key in ("minItems", "maxItems") if key in schema}
    _limits(limits, "minItems", "maxItems", place=place)
    if tuple_of is not None:
        if schema.get("items") not in (None, False) or limits or not isinstance(tuple_of, list) or not tuple_of:
            raise _refused("prefixItems", place)
        items: Any = [_shaped(one, f"{place}/prefixItems/{at}", depth + 1) for at, one in enumerate(tuple_of)]
        return {"prefixItems": items}
    if "items" not in schema and not limits:
        return {}
    return {"items": _shaped(schema.get("items", True), f"{place}/items", depth + 1), **limits}


_MAKERS = {"string": _string, "integer": _integer, "object": _object, "array": _array}
