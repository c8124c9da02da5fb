"""Servers from Maven Central: fetched once, whole or not at all, and missed with Maven's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import maven
from tests.support.ports import free_port
from tests.support.servers import Unavailable

SETTINGS = (
    "<settings><mirrors><mirror><id>gone</id><mirrorOf>*</mirrorOf><url>{url}</url></mirror></mirrors></settings>"
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not maven.is_there():
        pytest.skip("no Maven or no Java")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(maven.VARIABLE, raising=False)


def left_in_the_cache() -> list[str]:
    return sorted(path.name for path in maven.cache().iterdir())


def test_what_was_fetched_is_kept_and_not_fetched_again() -> None:
    fetched: list[Path] = []

    def fetch(folder: Path) -> None:
        fetched.append(folder)
        (folder / "server.jar").touch()

    first, second = maven.kept("server-1", fetch), maven.kept("server-1", fetch)

    assert (first, len(fetched)) == (second, 1)
    assert [path.name for path in first.iterdir()] == ["server.jar"]
    assert left_in_the_cache() == ["server-1"]


def test_a_fetch_that_fails_leaves_nothing_behind() -> None:
    def fetch(folder: Path) -> None:
        (folder / "half.jar").touch()
        raise Unavailable("the connection was lost")

    with pytest.raises(Unavailable, match="the connection was lost"):
        maven.kept("server-1", fetch)

    assert left_in_the_cache() == []


def test_of_two_runs_that_fetch_at_once_the_second_takes_what_the_first_has_got() -> None:
    def fetch(folder: Path) -> None:
        (folder / "ours.jar").touch()
        maven.kept("server-1", lambda others: (others / "theirs.jar").touch())

    assert [path.name for path in maven.kept("server-1", fetch).iterdir()] == ["theirs.jar"]
    assert left_in_the_cache() == ["server-1"]


def test_it_is_left_out_on_request_though_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    maven.kept("server-1", lambda folder: (folder / "server.jar").touch())
    monkeypatch.setenv(maven.VARIABLE, "off")

    with pytest.raises(Unavailable, match="STOMPCONSOLE_TEST_MAVEN=off leaves it out"):
        maven.kept("server-1", lambda folder: None)


@pytest.mark.long
def test_a_repository_out_of_reach_is_told_in_mavens_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "settings.xml"
    settings.write_text(SETTINGS.format(url=f"http://127.0.0.1:{free_port()}/"))
    elsewhere = (f"--settings={settings}", f"-Dmaven.repo.local={tmp_path / 'repository'}")
    monkeypatch.setattr(maven, "OPTIONS", (*maven.OPTIONS, *elsewhere))

    with pytest.raises(Unavailable, match=r"Maven can't fetch it: .*Connection refused"):
        maven.unpacked("server-1", "no.such:server:1:tar.gz")

    assert left_in_the_cache() == []


def test_mavens_reasons_are_told_in_one_line_of_bounded_length() -> None:
    output = "[INFO] Scanning\n\x1b[0m[ERROR] Could not transfer artifact\n[ERROR] \n[ERROR] Re-run Maven with -e\n"

    assert maven.said(output) == "Could not transfer artifact"
    assert len(maven.said("[ERROR] " + "x" * 10_000)) == maven.WORDS
    assert maven.said("sh: mvn: not found\n") == "sh: mvn: not found"
    assert maven.said("") == "it said nothing"
