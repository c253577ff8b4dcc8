"""Folders and files that only their owner may read: what a person does with llmtui stands in them. Whatever the umask
is and whoever made them first, they are closed to others, and none is opened that another user could have put there."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tui.base.newfile import NewFile
from tui.words import mark, tr

APP = "llmtui"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NotOursError(PermissionError):
    """Another user made it, or a link that leads to it."""

    def __init__(self, path: Path) -> None:
        text = mark("it belongs to another user, who could read or replace what is in it")
        super().__init__(errno.EPERM, text, str(path))


def folder(path: Path) -> Path:
    """Make this folder and those above it, as far as they are missing, for the owner alone, and close it to others when
    it was open; gives it. What lies between it and llmtui's own folder is closed too. Raises OSError, among them
    `NotOursError`."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - links are looked at one by one below
    _check(path)
    for part in [*reversed(path.parents), path]:
        try:
            part.mkdir(mode=0o700)
        except FileExistsError as error:
            if not part.is_dir():
                if part.is_symlink():
                    why = tr("{name} is a link that leads to no folder, where a folder should be", name=part.name)
                else:
                    why = tr("{name} is a file, where a folder should be", name=part.name)
                raise NotADirectoryError(errno.ENOTDIR, why, str(part)) from error
        except OSError:
            if not part.is_dir():  # a root that cannot be written, with folders in it that are there already
                raise
    _check(path)
    for part in _of_the_app(path):
        _close(part, part.stat())
    return path


def open_file(path: Path, flags: int) -> int:
    """`os.open` of a file in a folder that `folder` made, which is for the owner alone when it is made here, and closed
    to others when it was open. Nothing is truncated unless `flags` say so. Raises OSError, among them `NotOursError`
    for a file or a link of another user, and for anything but a regular file."""
    descriptor = os.open(resolved(path), flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, mark("it is not a regular file"), str(path))
    if found.st_uid not in _trusted():
        os.close(descriptor)
        raise NotOursError(path)
    _close(descriptor, found)
    return descriptor


def resolved(path: Path) -> Path:
    """Where a link of our own leads, such as into somebody's dotfiles. Raises `NotOursError` for one of others."""
    path = Path(os.path.abspath(path))  # noqa: PTH100
    _check(path)
    return Path(os.path.realpath(path))


def write_file(path: Path, data: bytes, *, is_durable: bool = True) -> None:
    """Put `data` in the place of what is at `path`, in a folder that is made where it is missing. Whoever reads sees
    the old file or the new one, also after a power cut where it `is_durable`. Raises OSError, with nothing changed."""
    folder(path.parent)
    target = resolved(path)
    with NewFile(target.parent) as new:
        new.stream.write(data)
        new.become(target, is_synced=is_durable)


def make_file(path: Path) -> None:
    """Make this file when it is not there, and close it to others. One that is there is not opened, which would take
    away the locks that this process holds on it. Raises OSError, among them `NotOursError`."""
    place = resolved(path)
    try:
        found = place.stat()
    except FileNotFoundError:
        os.close(open_file(path, os.O_RDWR | os.O_CREAT))
    else:
        _close(place, found)


def _close(what: Path | int, found: os.stat_result) -> None:
    if found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
        # A disk without permissions, or a read-only one, leaves it as it is.
        with contextlib.suppress(OSError):
            os.chmod(what, stat.S_IMODE(found.st_mode) & ~_OTHERS)  # noqa: PTH101 - of a descriptor too


def _of_the_app(path: Path) -> Iterator[Path]:
    """The folder, and those above it up to the one that has llmtui's name."""
    parts = [path, *path.parents]
    names = [part.name for part in parts]
    yield from parts[: names.index(APP) + 1] if APP in names else parts[:1]


def _check(path: Path) -> None:
    """Raises `NotOursError` when a folder or link on the way to `path`, as far as it is there, is another user's. What
    leads to the home folder is trusted."""
    trusted = _trusted()
    home = Path(os.path.abspath(Path.home()))  # noqa: PTH100
    for way in dict.fromkeys((path, Path(os.path.realpath(path)))):
        for part in [*reversed(way.parents), way]:
            if part == home or part in home.parents:
                continue
            try:
                found = part.lstat()
            except FileNotFoundError:
                break
            except OSError:
                return  # opening says why
            if found.st_uid not in trusted:
                raise NotOursError(part)


def _trusted() -> set[int]:
    """Root, ourselves, and whoever owns the home folder: in a container root works in that of another user."""
    users = {0, os.geteuid()}
    try:
        users.add(Path.home().stat().st_uid)
    except OSError:
        return users
    return users
