"""Folders of other programs as these lay them out, with small models, and a picture of a folder to compare with."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from tests.models.gguf_files import Shape

REVISION, OLDER = "a" * 40, "b" * 40


def sha256(path: Path) -> str:
    """The sum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def picture(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Everything below a folder: mode, time of the last change, names of the file, content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else sha256(path) if path.is_file() else ""
        found[str(path.relative_to(folder))] = status.st_mode, status.st_mtime_ns, status.st_nlink, content
    return found


def in_hub(hub: Path, repo: str, name: str, model: Path, revision: str = REVISION, *, is_shared: bool = False) -> Path:
    """Move a file into a cache of huggingface_hub's layout, or only link it in another snapshot when it is there."""
    folder = hub / f"models--{repo.replace('/', '--')}"
    digest = sha256(model) if model.exists() else model.name
    blob = folder / "blobs" / digest
    blob.parent.mkdir(parents=True, exist_ok=True)
    if is_shared:
        xet = hashlib.sha256(digest.encode()).hexdigest()
        stored = hub / "blobs" / xet[:2] / xet
        stored.parent.mkdir(parents=True, exist_ok=True)
        if not stored.exists():
            model.rename(stored)
        with stored.with_name(f"{xet}.refs").open("a") as refs:
            refs.write(f"{folder.name}/blobs/{digest}\n")
        blob.symlink_to(os.path.relpath(stored, blob.parent))
    elif not blob.exists():
        model.rename(blob)
    link = folder / "snapshots" / revision / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(REVISION)
    return link


def in_ollama(folder: Path, name: str, model: Path | None, *, media: str = "model", n_layers: int = 1) -> Path:
    """Put a file into Ollama's store under a name such as "library/qwen3:4b"; the manifest."""
    registry, rest = ("registry.ollama.ai", name) if name.count("/") < 2 else name.split("/", 1)
    path, _, tag = rest.partition(":")
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    layers = [{"mediaType": "application/vnd.ollama.image.template", "digest": f"sha256:{'1' * 64}", "size": 5}]
    for number in range(n_layers):
        digest = sha256(model) if model else str(number) * 64
        if model:
            (folder / "blobs" / f"sha256-{digest}").write_bytes(model.read_bytes())
        layers.append({"mediaType": f"application/vnd.ollama.image.{media}", "digest": f"sha256:{digest}", "size": 9})
    (folder / "blobs" / f"sha256-{'1' * 64}").write_text("{{ .Prompt }}")
    manifest = folder / "manifests" / registry / path / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:0"},
                "layers": layers,
            }
        )
    )
    return manifest


def everything(home: Path, spare: Path) -> dict[str, str]:
    """A model in each store below `home`, each of another content; the name of the model by its source."""
    sources = ("huggingface", "lmstudio", "ollama", "llamacpp", "modelscope", "jan", "gpt4all")
    models = [
        Shape(n_layers=n).write(spare / f"{source}.gguf", general__name=f"Kept by {source}")
        for n, source in enumerate(sources, start=1)
    ]
    hub, studio, ollama, llama, scope, jan, nomic = models
    in_hub(home / ".cache/huggingface/hub", "Qwen/Qwen3-GGUF", "Qwen3-Q4_K_M.gguf", hub)
    _move(studio, home / ".lmstudio/models/lmstudio-community/Qwen3-GGUF/Qwen3-Q4_K_M.gguf")
    in_ollama(home / ".ollama/models", "library/qwen3:4b", ollama)
    flat = _move(llama, home / ".cache/llama.cpp/ggml-org_Qwen3-GGUF_Qwen3-Q8_0.gguf")
    flat.with_name(f"{flat.name}.json").write_text('{"etag": "1"}')
    _move(scope, home / ".cache/modelscope/hub/models/Qwen/Qwen3___5-GGUF/Qwen3.5-Q4_K_M.gguf")
    kept = _move(jan, home / ".local/share/Jan/data/llamacpp/models/Qwen3-4B/model.gguf")
    kept.with_name("model.yml").write_text("model_path: llamacpp/models/Qwen3-4B/model.gguf\nname: Qwen3-4B\n")
    _move(nomic, home / ".local/share/nomic.ai/GPT4All/Qwen3-Q4_0.gguf")
    return {source: "qwen3:4b" if source == "ollama" else f"Kept by {source}" for source in sources}


def _move(model: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    return model.rename(to)
