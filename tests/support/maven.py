"""Servers that come from Maven Central by its usual client: fetched once, kept in a cache folder of the user.

Two runs may race: each writes beside and renames, and the one that comes second takes what is there; their Mavens run
one after the other. What stands in the way (no Maven, no Java, no network, a broken download) is told in Maven's own
words.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from tests.support.servers import Unavailable

PACKAGES = ("maven", "default-jre-headless")
VARIABLE = "STOMPCONSOLE_TEST_MAVEN"
"""Set to ``off`` it leaves these servers out."""

JAVA = 17
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
FETCH_TIMEOUT_S = 240.0
UNPACK_TIMEOUT_S = 60.0
WORDS = 700
"""Characters of what Maven says that are told."""

OPTIONS = (
    "--batch-mode",
    "--quiet",
    "--strict-checksums",  # a broken download fails, and is not kept
    "--update-snapshots",  # what could not be had an hour ago is asked for again
    "-Dstyle.color=never",
    "-Daether.connector.connectTimeout=10000",
    "-Daether.connector.requestTimeout=30000",
)


def is_there() -> bool:
    """Whether Maven and a Java are installed."""
    return which("mvn") is not None and which("java") is not None


def jars(name: str, pom: Path) -> Path:
    """The folder with the jars that a pom asks for. Raises Unavailable."""

    def fetch(folder: Path) -> None:
        _maven("copy-dependencies", f"--file={pom}", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")

    return kept(name, fetch)


def unpacked(name: str, artifact: str) -> Path:
    """The folder that the archive of an artifact holds. Raises Unavailable."""

    def fetch(folder: Path) -> None:
        with TemporaryDirectory(dir=folder.parent) as beside:
            _maven("copy", f"-Dartifact={artifact}", f"-DoutputDirectory={beside}")
            (archive,) = Path(beside).iterdir()
            command = ["tar", "--extract", "--file", str(archive), "--directory", str(folder), "--strip-components=1"]
            try:
                subprocess.run(command, check=True, timeout=UNPACK_TIMEOUT_S)
            except subprocess.SubprocessError as error:
                raise Unavailable(f"{archive.name} can't be unpacked: {error}") from error

    return kept(name, fetch)


def jar(name: str, artifact: str) -> Path:
    """One artifact, as it is. Raises Unavailable."""
    folder = kept(name, lambda folder: _maven("copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"))
    (found,) = folder.iterdir()
    return found


def kept(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder of this name in the cache; if there is none yet, ``fetch`` fills it. Raises Unavailable."""
    if os.environ.get(VARIABLE) == "off":
        raise Unavailable(f"{VARIABLE}=off leaves it out")
    if (version := _java_version()) < JAVA:
        raise Unavailable(f"it needs Java {JAVA}, and this is Java {version}")
    folder = cache() / name
    if folder.exists():
        return folder
    cache().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache(), prefix="fetching-") as beside:
        made = Path(beside) / name
        made.mkdir()
        fetch(made)
        try:
            made.rename(folder)
        except OSError:
            # Another run was quicker: a folder that holds something is never replaced.
            if not folder.exists():
                raise
    return folder


def cache() -> Path:
    """Where fetched servers are kept over runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "stompconsole-tests"


def _maven(goal: str, *arguments: str) -> None:
    command = ["mvn", *OPTIONS, f"{PLUGIN}:{goal}", *arguments]
    try:
        with _alone():
            ran = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
            )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven did not fetch it in {FETCH_TIMEOUT_S:g} s") from None
    if ran.returncode:
        raise Unavailable(f"Maven can't fetch it: {said(ran.stdout + ran.stderr)}")


@contextmanager
def _alone() -> Iterator[None]:
    """One Maven at a time: two would write into its own repository over each other. It is held for as long as one may
    take at most."""
    with cache().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def said(output: str) -> str:
    """What Maven gives as the reason, in one line. It comes first; how to see more of it follows."""
    errors = re.findall(r"^\W*\[ERROR\] +(\S.*)", re.sub(r"\x1b\[\d*m", "", output), re.MULTILINE)
    return (errors[0] if errors else " ".join(output.split()))[:WORDS] or "it said nothing"


def _java_version() -> int:
    ran = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r'version "(\d+)', ran.stderr)
    return int(found[1]) if found else 0
