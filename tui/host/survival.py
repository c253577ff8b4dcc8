"""What becomes of a process in the background when its user logs out. systemd may end it: at once, with all that the
login had started (`KillUserProcesses`), or with the user's own services after the last login, unless these may
linger."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
from pathlib import Path
from typing import Literal

from tui.words import tr

Survival = Literal["stays", "with login", "with last login"]
"""It goes on; it ends with the login that it was started in; it ends after the user's last one."""
SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "--collect")
"""Before a command: it runs as a service of the user, outside of the login that it was started in."""
_LINGERS = Path("/var/lib/systemd/linger")
_ASK_S = 2.0


def lingers(folder: Path = _LINGERS) -> bool:
    """Whether the user's services go on without a login."""
    with contextlib.suppress(OSError, KeyError):  # KeyError: the system has no name for this user
        return (folder / getpass.getuser()).exists()
    return False


async def ends_with_login() -> bool:
    """Whether systemd ends what a login has started when that ends; not where it is not in charge, or does not say."""
    if not os.environ.get("XDG_SESSION_ID") or shutil.which("loginctl") is None:
        return False
    with contextlib.suppress(OSError, TimeoutError):
        process = await asyncio.create_subprocess_exec(
            *("loginctl", "show-session", "--property=KillUserProcesses", "--value"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_ASK_S):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            raise
        return told.strip() == b"yes"
    return False


async def way_to_start() -> tuple[str, ...]:
    """What goes before the command of a process that is to outlive the login. A scope of the user's own is right where
    it stays, and where everything else would be ended at once; elsewhere the login is: what it leaves behind goes on,
    and a scope would end with the user's services."""
    if not _has_user_manager():
        return ()
    return SCOPE if lingers() or await ends_with_login() else ()


def _has_user_manager() -> bool:
    """Whether systemd runs services for this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime, "systemd", "private").exists() and shutil.which(SCOPE[0]) is not None


def survival(cgroup: str, *, kills: bool, may_linger: bool) -> Survival:
    """Of a process in this cgroup, as /proc/PID/cgroup tells it."""
    if "/session-" in cgroup and kills:
        return "with login"
    if "/user@" in cgroup and not may_linger:
        return "with last login"
    return "stays"


async def own_survival() -> Survival:
    """Of this process."""
    return survival(_own_cgroup(), kills=await ends_with_login(), may_linger=lingers())


def _own_cgroup() -> str:
    try:
        return Path("/proc/self/cgroup").read_text("utf-8", "replace")
    except OSError:
        return ""


def warning(found: str) -> str:
    """What to know of it, and what to do; empty where it stays."""
    match found:
        case "with login":
            return tr("systemd ends it when you log out here: `loginctl enable-linger` keeps it.")
        case "with last login":
            return tr("systemd ends it when you have logged out everywhere: `loginctl enable-linger` keeps it.")
    return ""
