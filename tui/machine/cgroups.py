"""The control groups that this process is in, of version 1 and 2, as folders: its own, and those above it, whose limits
hold for it too. What their files mean is for whoever reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tui.machine.files import read_text

_ESCAPE = re.compile(r"\\([0-7]{3})")


class ControlGroup(msgspec.Struct, frozen=True):
    """A control group's folder."""

    folder: Path
    is_v2: bool


class _Mount(msgspec.Struct, frozen=True):
    """Where a hierarchy, or a part of it, can be seen."""

    folder: Path
    top: str
    """The group that lies at `folder`; "/" when the whole hierarchy can be seen."""
    controllers: frozenset[str]
    is_v2: bool


def groups_of(controller: str, root: Path = Path("/")) -> tuple[ControlGroup, ...]:
    """Folders of this process's groups that the controller ("memory", "cpu") acts through, from its own outward, as
    far as they can be seen. `root` holds proc/ and sys/. Whether such a folder is there is not looked at."""
    mounts = _mounts(root)
    found: list[ControlGroup] = []
    for line in (read_text(str(root / "proc/self/cgroup")) or "").splitlines():
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        is_v2 = not controllers
        for mount in mounts:
            if mount.is_v2 == is_v2 and (is_v2 or controller in mount.controllers):
                found += [ControlGroup(folder, is_v2) for folder in _outward(mount, path)]
                break
    return tuple(dict.fromkeys(found))


def _outward(mount: _Mount, path: str) -> Iterator[Path]:
    """The folders of the group at `path` and of those above it."""
    inside = path.removeprefix(mount.top.rstrip("/")) if _is_below(path, mount.top) else path
    # In a container the path may be the host's, while only the container's own group can be seen: at the base.
    parts = Path(inside.lstrip("/")).parts
    if ".." not in parts:  # the process was moved out of its namespace
        for depth in range(len(parts), 0, -1):
            yield mount.folder.joinpath(*parts[:depth])
    yield mount.folder


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top.rstrip('/')}/")


def _mounts(root: Path) -> tuple[_Mount, ...]:
    """As the kernel tells them, in its order; the usual places where it does not."""
    found: list[_Mount] = []
    for line in (read_text(str(root / "proc/self/mountinfo")) or "").splitlines():
        # proc(5): id, parent, device, root, mount point, options, optional fields, "-", type, source, super options
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 6 and len(right) >= 3 and right[0] in ("cgroup", "cgroup2"):
            folder = root / _unescaped(left[4]).lstrip("/")
            options = frozenset(right[2].split(","))
            found.append(_Mount(folder, _unescaped(left[3]), options, right[0] == "cgroup2"))
    if found:
        return tuple(found)
    base = root / "sys/fs/cgroup"
    v1 = [_Mount(base / name, "/", frozenset({name}), False) for name in ("memory", "cpu")]
    return (*v1, _Mount(base, "/", frozenset(), True))


def _unescaped(text: str) -> str:
    """Of mountinfo, where a space is written as "\\040"."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
