"""Ollama: `manifests/<registry>/<namespace>/<name>/<tag>` lists the layers of a model, of which one is its GGUF file,
`blobs/sha256-<sum>`. A model is called by its name and tag.

Template, parameters, licence and projector are layers of their own, which are left alone: a GGUF file has its template
itself. Tags for MLX hold no GGUF file. Source: Ollama's `docs/`, `types/model/name.go`, `manifest/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from tui.base.text import one_line
from tui.base.userpath import user_path
from tui.models.stores.modelstore import FolderStore, KeptModel, Source, read_note
from tui.words.later import Later, later

_MODEL = "application/vnd.ollama.image.model"
_TENSOR = "application/vnd.ollama.image.tensor"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_REGISTRY, _NAMESPACE = "registry.ollama.ai", "library"
_FOR_MLX = re.compile(r"[-_:](mlx|nvfp4|mxfp[48]|int[48])[-\w]*$")
PARTIAL = "-partial"
"""In the name of a file that it is fetching."""
_DEPTH = 4
"""Registry, namespace, name, tag."""
_SERVICES = (
    "/usr/share/ollama/.ollama/models",
    "/var/lib/ollama/.ollama/models",
    "/var/lib/ollama/models",
    "/var/lib/ollama",
    "/var/lib/private/ollama/models",
    "/var/snap/ollama/common/models",
)
"""Where it keeps models as a service: its installer, packages of distributions, snap."""


class _Layer(msgspec.Struct, rename="camel"):
    media_type: str = ""
    digest: str = ""


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []
    config: _Layer = msgspec.field(default_factory=_Layer)

    @property
    def sums(self) -> set[str]:
        """Of all files that it needs."""
        return {found[1] for one in (*self.layers, self.config) if (found := _DIGEST.fullmatch(one.digest))}


class Ollama(FolderStore):
    """What its manifests name."""

    source: Source = "ollama"
    title = "Ollama"
    switch = "ollama"

    def folders(self, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
        """What `OLLAMA_MODELS` names, else the user's own and those of a service."""
        if named := environ.get("OLLAMA_MODELS"):
            return (user_path(named),)
        return (home / ".ollama" / "models", *map(Path, _SERVICES))

    def roots(self, folder: Path) -> Iterable[Path]:
        """None: its files have the names of their sums."""
        return ()

    def watched(self, folder: Path) -> Iterator[Path]:
        """All manifests, which come after their files and are written over in place, and the folders that they and the
        files are in."""
        yield from (folder / "blobs", folder / "manifests")
        for place, folders, names in os.walk(folder / "manifests"):
            yield from (Path(place, name) for name in (*folders, *names))

    def kept(self, folder: Path) -> Iterator[KeptModel]:
        """One for each tag; several tags may have the same file."""
        for path in _manifests(folder / "manifests"):
            if (manifest := _read(path)) is None:
                continue
            name = _name(path.relative_to(folder / "manifests").parts)
            files = [_DIGEST.fullmatch(one.digest) for one in manifest.layers if one.media_type == _MODEL]
            if any(one.media_type == _TENSOR for one in manifest.layers):
                yield KeptModel(path=path, name=name, why_not=_no_gguf(name))
            elif len(files) == 1 and files[0]:
                yield KeptModel(path=_blob(folder, files[0][1]), name=name)
            elif files:
                why = later("Ollama keeps it in several files that belong to no split model: get a GGUF file of it.")
                yield KeptModel(path=path, name=name, why_not=why)


def tags_of(blob: Path) -> tuple[str, ...]:
    """The names under which Ollama keeps a file of its store; empty for any other file."""
    found = _DIGEST.fullmatch(blob.name)
    if found is None or blob.parent.name != "blobs":
        return ()
    manifests = blob.parent.parent / "manifests"
    names = []
    for path in _manifests(manifests):
        manifest = _read(path)
        if manifest is not None and any(one.digest in (f"sha256:{found[1]}", blob.name) for one in manifest.layers):
            names.append(_name(path.relative_to(manifests).parts))
    return tuple(names)


def files_of_tag(blob: Path, name: str) -> tuple[Path, ...] | None:
    """What goes with a tag of this file: its manifest first, so that no manifest is ever without its files, then what
    no other manifest needs. None where that cannot be told for sure: a manifest cannot be read, or Ollama fetches
    something, whose manifest comes last. Raises OSError."""
    folder = blob.parent.parent
    manifests, own = folder / "manifests", Path()
    sums: set[str] = set()
    needed: set[str] = set()
    if any(PARTIAL in other.name for other in blob.parent.iterdir()):
        return None
    for place, _, names in os.walk(manifests, onerror=_raise):
        for path in (Path(place, one) for one in names if not one.startswith(".")):
            manifest = _read(path)
            parts = path.relative_to(manifests).parts
            is_it = len(parts) == _DEPTH and _name(parts) == name
            if manifest is None or len(parts) != _DEPTH or (is_it and sums):
                return None
            if is_it:
                own, sums = path, manifest.sums
            else:
                needed |= manifest.sums
    if not sums:
        return None
    blobs = (_blob(folder, one) for one in sorted(sums - needed))
    return (own, *(path for path in blobs if os.path.lexists(path)))


def _raise(error: OSError) -> None:
    raise error


def _blob(folder: Path, digest: str) -> Path:
    """Versions before 0.1.33 wrote a colon into the name."""
    path = folder / "blobs" / f"sha256-{digest}"
    old = path.with_name(f"sha256:{digest}")
    return old if not path.exists() and old.exists() else path


def _manifests(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda one: one.name)
    except (OSError, ValueError):
        return
    for entry in found:
        if depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from _manifests(Path(entry.path), depth - 1)
        elif depth == 1 and entry.is_file():
            yield Path(entry.path)


def _read(path: Path) -> _Manifest | None:
    try:
        return msgspec.json.decode(read_note(path), type=_Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _name(parts: tuple[str, ...]) -> str:
    """As `ollama list` shows it."""
    registry, namespace, name, tag = parts
    owner = "" if (registry, namespace) == (_REGISTRY, _NAMESPACE) else f"{namespace}/"
    return one_line(f"{owner if registry == _REGISTRY else f'{registry}/{namespace}/'}{name}:{tag}")


def _no_gguf(name: str) -> Later:
    return later(
        "Ollama has it for MLX, without a GGUF file. `ollama pull {name}` gets one that llama.cpp can load.",
        name=_FOR_MLX.sub("", name),
    )
