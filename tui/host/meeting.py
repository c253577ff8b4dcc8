"""Where a host and who asks it meet: a Unix socket in a folder of the user's own, a lock that says that a host lives,
and who is on the other side. Nobody else's folder or process is trusted."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Self

from tui.base.oserrors import os_reason
from tui.config import paths
from tui.words import tr

_BACKLOG = 16
_CREDENTIALS = struct.Struct("iII")
"""Linux's `struct ucred`: process, user, group."""


class HostProblem(Exception):
    """There can be no host, or it cannot be spoken to; the message says why, and what to do."""


class Meeting:
    """An open folder; use it as a context manager. Everything in it is reached through the descriptor: nobody can put
    another folder in its place, and its path may be longer than a socket's may be."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, and `HostProblem` for a folder that is not the user's own."""
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        found = os.fstat(self._descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            os.close(self._descriptor)
            raise HostProblem(
                tr("{folder} is not a folder of yours alone: remove it, or set XDG_RUNTIME_DIR.", folder=folder)
            )
        # One for each home: a user may have several, as in containers that share a /tmp.
        of_home = f"{paths.database_file()}\0{paths.user_settings_file()}".encode("utf-8", "surrogateescape")
        self._name = f"host-{hashlib.sha256(of_home).hexdigest()[:12]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def connected(self) -> socket.socket | None:
        """A connection to the host; None where none listens. Never waits. Raises `HostProblem` for one of another user,
        and one that has stopped letting anybody in."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            connection.connect(self._address)
        except BlockingIOError:  # as many wait as may
            connection.close()
            raise HostProblem(
                tr(
                    "The llmtui in the background has stopped answering. `pgrep -af tui.host.process` lists it: end it "
                    "with kill -9."
                )
            ) from None
        except OSError:  # nobody there, or a socket that a killed host left
            connection.close()
            return None
        connection.setblocking(True)
        if peer(connection)[1] != os.geteuid():
            connection.close()
            raise HostProblem(tr("The llmtui in the background belongs to another user."))
        return connection

    def lock(self) -> int | None:
        """A descriptor that says, while it is open, that there is a host; None where there is one already."""
        while True:
            lock = self._open_lock()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                if self.is_locked():
                    return None
                continue  # somebody was just looking whether there is a host
            if os.fstat(lock).st_nlink:
                return lock
            os.close(lock)  # that of a host which has just ended: another may have made a new one

    def is_locked(self) -> bool:
        """Whether a host lives."""
        try:
            lock = os.open(f"{self._name}.lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._descriptor)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def listen(self) -> socket.socket:
        """A socket that listens, in place of one that a killed host left; only for who has the `lock`."""
        self._remove("sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            listener.bind(self._address)
        finally:
            os.umask(before)
        listener.listen(_BACKLOG)
        return listener

    def leave(self) -> None:
        """Remove the socket and the lock's file; only for who has the `lock`."""
        self._remove("sock")
        self._remove("lock")

    @property
    def _address(self) -> str:
        return f"/proc/self/fd/{self._descriptor}/{self._name}.sock"

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(f"{self._name}.lock", flags, 0o600, dir_fd=self._descriptor)

    def _remove(self, ending: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._name}.{ending}", dir_fd=self._descriptor)


def meeting(*, is_made: bool = False) -> Meeting | None:
    """The folder for hosts of this user: in `$XDG_RUNTIME_DIR` where that is the user's own, else in /tmp. None where
    there is none and it is not to be made; raises `HostProblem` where it cannot be made or is another's."""
    folder = paths.host_dir()
    try:
        if is_made:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        return Meeting(folder)
    except FileNotFoundError:
        if not is_made:
            return None
        raise HostProblem(tr("{file}: {reason}.", file=folder, reason=tr("No such file or directory"))) from None
    except OSError as error:
        raise HostProblem(tr("{file}: {reason}.", file=folder, reason=os_reason(error))) from error


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user on the other side, as the kernel noted them."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(found)
    return pid, uid
