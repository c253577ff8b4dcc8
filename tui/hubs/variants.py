"""What of a repository can be loaded: its GGUF files sorted into variants (parts of a split file as one), projectors
and the rest, and the variant that somebody asks for by its label. Goes by names and sizes; no file is opened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches

import msgspec

from tui.base.splitfile import PART, place_of
from tui.base.text import one_line
from tui.hubs.interface import HubError
from tui.hubs.known_hubs import HUBS
from tui.hubs.quant_names import quant_in
from tui.hubs.records import RemoteFile, Repo, RepoContent, RepoId, Variant
from tui.words.later import later

_ENDING = ".gguf"
_PROJECTOR = re.compile(r"(?<![a-z])mmproj(?![a-z])", re.IGNORECASE)
_NO_MODEL = re.compile(r"(?<![a-z])(?:imatrix|vocab)(?![a-z])", re.IGNORECASE)
_HELPER = re.compile(r"(?<![a-z])(?:draft|eagle\d?|mtp|lora|adapter)(?![a-z])", re.IGNORECASE)
"""What goes with another model; in a repository that has nothing else, it is what there is to load."""
_MOST_NEAR = 3
_MOST_TOLD = 12


class _Set(msgspec.Struct, frozen=True):
    """Files that belong together, as one name without its ending and its number."""

    path: str
    files: tuple[RemoteFile, ...]
    is_whole: bool

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def quant(self) -> str:
        """By the file's name, else by its folders' names."""
        return next(filter(None, map(quant_in, reversed(self.path.split("/")))), "")


def content_of(repo: Repo) -> RepoContent:
    """The GGUF files of a repository, sorted. Raises `HubError` when it has none."""
    files = [file for file in repo.files if file.path.lower().endswith(_ENDING)]
    if not files:
        raise _no_gguf(repo)
    projectors = [file for file in files if _PROJECTOR.search(file.path)]
    sets = _sets(file for file in files if not _PROJECTOR.search(file.path))
    wholes = [each for each in sets if each.is_whole and not _NO_MODEL.search(each.name)]
    models = [each for each in wholes if not _HELPER.search(each.name)] or wholes
    rest = [file for each in sets if each not in models for file in each.files]
    variants = [
        Variant(repo=repo.id, commit=repo.commit, label=label, quant=each.quant, files=each.files)
        for each, label in zip(models, _labels(models), strict=True)
    ]
    return RepoContent(
        variants=tuple(sorted(variants, key=lambda variant: (variant.size_bytes, variant.label))),
        projectors=tuple(sorted(projectors, key=lambda file: file.size_bytes)),
        other=tuple(sorted(rest, key=lambda file: file.path)),
    )


def variant_named(content: RepoContent, label: str, repo: RepoId) -> Variant:
    """The variant of this label, or quantization, or file, in capital or small letters. Raises `HubError` with what may
    have been meant."""
    wanted = label.casefold().removesuffix(_ENDING)
    ways: tuple[Callable[[Variant], set[str]], ...] = (lambda each: {each.label}, lambda each: {each.quant}, _names)
    for names_of in ways:
        found = [each for each in content.variants if wanted in {name.casefold() for name in names_of(each)}]
        if len(found) == 1:
            return found[0]
        if found:
            raise _several(label, found, repo)
    raise _unknown(label, content.variants, repo)


def variants_below(content: RepoContent, path: str) -> tuple[Variant, ...]:
    """Those that have this file, or a file in this folder."""
    return tuple(
        each
        for each in content.variants
        if any(file.path == path or file.path.startswith(f"{path}/") for file in each.files)
    )


def _names(variant: Variant) -> set[str]:
    """What a file of it is called, with and without its folder and its number."""
    names = set()
    for file in variant.files:
        path = file.path[: -len(_ENDING)]
        names |= {path, path.rpartition("/")[2], _stem(file.path), _stem(file.path).rpartition("/")[2]}
    return names


def _sets(files: Iterable[RemoteFile]) -> list[_Set]:
    """Files by what they are parts of."""
    alone: list[_Set] = []
    parts: dict[tuple[str, int], dict[int, RemoteFile]] = {}
    for file in files:
        number, total = place_of(file.path)
        if total:
            parts.setdefault((_stem(file.path), total), {})[number] = file
        else:
            alone.append(_Set(_stem(file.path), (file,), True))
    for (path, total), numbered in parts.items():
        alone.append(_Set(path, tuple(numbered[number] for number in sorted(numbered)), len(numbered) == total))
    return alone


def _stem(path: str) -> str:
    match = PART.match(path)
    return match["stem"] if match and place_of(path)[1] else path[: -len(_ENDING)]


def _labels(sets: Sequence[_Set]) -> list[str]:
    """One for each that no other has, the shortest that tells them apart: quantization, name, path."""
    labels = [each.quant or one_line(each.name) for each in sets]
    for longer in ([one_line(each.name) for each in sets], [one_line(each.path) for each in sets]):
        times = Counter(label.casefold() for label in labels)
        labels = [long if times[short.casefold()] > 1 else short for long, short in zip(longer, labels, strict=True)]
    return labels


def _no_gguf(repo: Repo) -> HubError:
    title, name = HUBS[repo.id.hub].title, repo.id.name.rpartition("/")[2]
    has_weights = any(file.path.lower().endswith((".safetensors", ".bin", ".pt", ".pth")) for file in repo.files)
    if has_weights and "gguf" not in name.lower():
        why = later(
            '{repo} on {hub} holds no GGUF file, only weights in another format: search for "{name} GGUF".',
            repo=repo.id.name,
            hub=title,
            name=name,
        )
    else:
        why = later("{repo} on {hub} holds no GGUF file.", repo=repo.id.name, hub=title)
    return HubError("not_found", repo.id.hub, why)


def _several(label: str, found: Sequence[Variant], repo: RepoId) -> HubError:
    why = later(
        "{repo} has several of {label}: write one of {labels}.",
        repo=repo.name,
        label=one_line(label),
        labels=_list([each.label for each in found]),
    )
    return HubError("name", repo.hub, why)


def _unknown(label: str, variants: Sequence[Variant], repo: RepoId) -> HubError:
    labels = [each.label for each in variants]
    by_name = {each.casefold(): each for each in labels}
    near = [by_name[name] for name in get_close_matches(label.casefold(), by_name, n=_MOST_NEAR, cutoff=0.6)]
    said = {"repo": repo.name, "label": one_line(label)}
    if near:
        why = later("{repo} has no {label}. Did you mean {labels}?", labels=_list(near), **said)
    elif labels:
        why = later("{repo} has no {label}. It has {labels}.", labels=_list(labels), **said)
    else:
        why = later("{repo} has no {label}, and no other whole model.", **said)
    return HubError("name", repo.hub, why)


def _list(labels: Sequence[str]) -> str:
    more = ", …" if len(labels) > _MOST_TOLD else ""
    return ", ".join(labels[:_MOST_TOLD]) + more
