"""Gets packages by name from the Debian machine's own mirror: installs them with root's rights, or unpacks one from
another release into a folder, leaving the system as it is. Standard library only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path


class PackageError(Exception):
    """A package could not be had; the message says why in one line."""


def os_release() -> dict[str, str]:
    """The fields of /etc/os-release, unquoted; empty where there is none."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return {}
    fields = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in fields}


def install_command() -> list[str] | None:
    """`apt-get` with the rights to install, or None without apt-get, root or sudo that asks no password."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n", "apt-get"]
    return None


def install(packages: Sequence[str]) -> None:
    """Install packages from the machine's sources, refreshing the lists when they are absent or stale.

    Raises `PackageError` without the rights to do so and when apt-get fails.
    """
    apt_get = install_command()
    if apt_get is None:
        raise PackageError(f"{' '.join(packages)} missing and cannot be installed without root or passwordless sudo")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = [*apt_get, "-y", "-q", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends", *packages]
    if subprocess.run(command, capture_output=True, env=environment, check=False).returncode != 0:
        subprocess.run([*apt_get, "update", "-q"], capture_output=True, env=environment, check=False)
        _run(command, environment)


def unpack_from_release(package: str, release: str, folder: Path) -> None:
    """Unpack a package of another release, for this machine's architecture, into a new `folder`; needs no rights.

    The mirror is the one that the machine's own sources name, and its signatures are checked as apt always does.
    Raises `PackageError`. `folder` appears complete or not at all.
    """
    mirror = _mirror()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".packages-") as name:
        scratch = Path(name)
        (scratch / "lists" / "partial").mkdir(parents=True)
        (scratch / "archives" / "partial").mkdir(parents=True)
        sources = scratch / "sources.list"
        sources.write_text(f"deb {mirror} {release} main\n", encoding="utf-8")
        # The sandbox user of apt cannot write into a home folder; we are in ours.
        apt_get = [
            *("apt-get", "-q", "-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"),
            *("-o", f"Dir::State::Lists={scratch / 'lists'}", "-o", f"Dir::Cache={scratch}"),
            *("-o", f"Dir::Cache::Archives={scratch / 'archives'}", "-o", "APT::Sandbox::User=root"),
            *("-o", "Acquire::Languages=none"),
        ]
        _run([*apt_get, "update"])
        _run([*apt_get, "download", f"{package}/{release}"], cwd=scratch)
        archive = next(scratch.glob(f"{package}_*.deb"), None)
        if archive is None:
            raise PackageError(f"{package} of {release} was not downloaded from {mirror}")
        _run(["dpkg", "-x", str(archive), str(scratch / "unpacked")])
        (scratch / "unpacked").replace(folder)


def _mirror() -> str:
    """Address of the archive from which this machine gets its own release, asked of apt, which knows every format of
    its sources; nothing is fetched for it."""
    codename = os_release().get("VERSION_CODENAME", "")
    told = subprocess.run(["apt-get", "update", "--print-uris"], capture_output=True, text=True, check=False)
    found = re.search(rf"^'(\S+)/dists/{re.escape(codename)}/(?:In)?Release", told.stdout, re.MULTILINE)
    if not codename or found is None:
        raise PackageError(f"apt's sources name no mirror of this machine's release ({codename or 'unknown'})")
    return found.group(1)


def _run(command: Sequence[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith(("E:", "Err:", "dpkg"))]
        told = " ".join(errors[-2:]) or f"exit code {done.returncode}"
        verb = next(word for word in command if word in ("install", "update", "download", "-x"))
        raise PackageError(f"`{Path(command[0]).name} {verb}` failed: {told}")
