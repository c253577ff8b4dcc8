"""What people copy along with the name of a model: quotation marks, brackets, the command or the line of Python that a
page offers, a link for another program. Finds the words that say which model; `reference` reads them."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote

_MOST = 2000
"""Characters that are looked at."""
_AROUND = "\"'`“”‘’«»<>()[]{}「」『』（）【】 \t\r\n"
_BEHIND = ".,;!?。，、；！？"
"""What ends a sentence, and no name."""
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{1,20})://[^\s<>()\[\]\"'`“”「」『』（）【】，。、；！？]+")
_SSH = re.compile(r"(?:ssh://)?git@([\w.-]+)[:/](.+)")
_REPO_OPTIONS = frozenset(
    {"-hf", "-hfr", "--hf", "--hf-repo", "--model", "--model-id", "--repo", "--repo-id", "model", "repo_id"}
)
_FILE_OPTIONS = frozenset({"-hff", "--hf-file", "--file", "--filename", "filename"})
_PROGRAMS = {"lmstudio": ("model", "file"), "jan": ("", "")}
"""Schemes of links that open a model of Hugging Face in another program, and which of their parameters name it."""
_CLIENTS = {"hf": "hf://", "huggingface-cli": "hf://", "modelscope": "ms://"}
"""Programs of a hub's own."""
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,40}")


def named(text: str) -> str:
    """The words that say which model is meant, as "OWNER/NAME", "OWNER/NAME:LABEL", "OWNER/NAME/FILE" or an address;
    the text itself, without what is around it, where that cannot be told."""
    text = _UNSEEN.sub("", text[:_MOST]).replace("：", ":").replace("／", "/").strip(_AROUND)
    if text[:12].lower().startswith(("https%3a", "http%3a")):
        text = unquote(text)
    if len(addresses := set(_ADDRESS.findall(text))) == 1:
        told = _without_program(addresses.pop().rstrip(_BEHIND))
    else:
        words = [_word(word) for word in re.split(r"[\s,]+", text)]
        told = (words[0] if len(words) == 1 else _of_command([word for word in words if word])) or text
    return f"{found[1]}/{found[2]}" if (found := _SSH.fullmatch(told)) else told


def _word(word: str) -> str:
    word = word.strip(_AROUND)
    return word if word.endswith("..") else word.rstrip(_BEHIND)


def _without_program(address: str) -> str:
    """A link that opens a model in another program, as the name of the model."""
    scheme, _, rest = address.partition("://")
    if scheme.lower() in _PROGRAMS:
        asked = parse_qs(rest.partition("?")[2])
        name, file = ((asked.get(key) or [""])[0] for key in _PROGRAMS[scheme.lower()])
        if name:
            return f"hf://{name}/{file}" if file else f"hf://{name}"
        if rest.startswith("models/huggingface/"):
            return f"hf://{rest.removeprefix('models/huggingface/')}"
    if rest.startswith("model.lmstudio.ai/download/"):
        return f"hf://{rest.removeprefix('model.lmstudio.ai/download/')}"
    return address


def _of_command(words: list[str]) -> str:
    """What a command, or a call in Python, names; "" where that is not clear."""
    options: dict[str, str] = {}
    plain: list[str] = []
    before = ""
    for word in words:
        name, has_value, value = word.partition("=")
        name = name.rpartition("(")[2].strip(_AROUND)
        if has_value and (name.startswith("-") or name in _REPO_OPTIONS | _FILE_OPTIONS):
            options[name.replace("_", "-") if name.startswith("-") else name] = value.strip(_AROUND)
            before = ""
        elif word.startswith("-"):
            before = word.replace("_", "-")
        elif before:
            options[before] = word
            before = ""
        else:
            plain.append(word.rpartition("(")[2].strip(_AROUND) or word)
    asked = [value for name, value in options.items() if name in _REPO_OPTIONS and "/" in value]
    shown = [word for word in plain if "/" in word and not word.startswith(("/", ".", "~"))]
    names = list(dict.fromkeys(asked or shown))
    if len(names) != 1:
        return ""
    name = names[0]
    files = [value for option, value in options.items() if option in _FILE_OPTIONS]
    files += [word for word in plain if "/" not in word]
    file = next((one for one in files if one.lower().endswith(".gguf")), "")
    if "://" not in name:
        name = _CLIENTS.get(plain[0] if plain else "", "") + name
    if ":" in name.rpartition("/")[2]:
        return name
    if file and "*" not in file:
        return f"{name}/{file}"
    pattern = options.get("--include", file).strip("*/").removesuffix(".gguf").strip("*.-_")
    label = pattern or (plain[1] if plain[:1] == [name] and len(plain) == 2 else "")
    return f"{name}:{label}" if _LABEL.fullmatch(label) else name
