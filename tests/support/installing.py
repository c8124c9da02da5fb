"""Installing Debian packages for a test run: only as root on Debian, and without starting their services."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which

POLICY = Path("/usr/sbin/policy-rc.d")
INSTALL_TIMEOUT_S = 600.0


def is_possible() -> bool:
    """Whether packages can be installed here."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Install packages and what they need. Raises CalledProcessError; what apt says goes to our stderr."""
    with _services_stay_off():
        _apt("update", "-qq")
        _apt("install", "-qq", "--yes", "--no-install-recommends", *packages)


def _apt(*arguments: str) -> None:
    subprocess.run(
        ["apt-get", *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=INSTALL_TIMEOUT_S,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
    )


@contextmanager
def _services_stay_off() -> Iterator[None]:
    # Debian starts a service when its package is installed, unless this script says no (exit 101).
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
