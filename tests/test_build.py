"""What is built, installed and run from a checkout: the wheel, the pinned versions, make, the image, the check."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.processes import ROOT
from tests.support.waiting import until

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==[A-Za-z0-9.!+_-]+")


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _files(folder: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=100)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_templates_and_static_files_are_inside_the_package_in_the_wheel(wheel: set[str]) -> None:
    wanted = _files("templates/stompconsole") | _files("static/stompconsole")

    assert wanted
    assert {f"stompconsole/{name}" for name in wanted} <= wheel


def test_the_wheel_holds_the_package_and_its_licence_and_nothing_else(wheel: set[str]) -> None:
    modules = {name for name in _files("stompconsole") if name.endswith(".py")}

    assert modules <= wheel
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
    assert {re.split(r"[/-]", name)[0] for name in wheel} == {"stompconsole"}


def test_every_pinned_version_is_a_plain_name_and_version() -> None:
    assert [line for line in _pins() if not PIN.fullmatch(line)] == []


def test_everything_that_is_needed_is_pinned() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    needed = [
        *project["dependencies"],
        *declared["build-system"]["requires"],
        *itertools.chain(*project["optional-dependencies"].values(), *declared["dependency-groups"].values()),
    ]

    assert {_name(requirement) for requirement in needed} - {_name(line) for line in _pins()} == set()


def test_the_image_copies_only_what_there_is() -> None:
    copies = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert [name for names in copies for name in names.split() if not (ROOT / name).exists()] == []


def test_the_image_is_given_what_it_copies() -> None:
    copies = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {name for names in copies for name in names.split()} == let_in


def test_the_contributors_guide_names_targets_that_make_has() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"^make ([a-z]+)", guide, re.MULTILINE)) <= targets
    assert len(guide.splitlines()) < 60


def test_the_check_is_a_script_that_bash_can_read() -> None:
    script = ROOT / ".ci" / "run"

    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=10)


@pytest.fixture
def pretended_venv(tmp_path: Path) -> Path:
    """A virtual environment that make takes for ready, whose python waits for a signal and says which one came."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "print('started', *sys.argv[1:])\n"
        "got = signal.sigwait({signal.SIGTERM})\n"
        "print('got', got.name)\n"
    )
    python.chmod(0o755)
    for stamp in (".made", ".run-installed", ".dev-installed"):
        (tmp_path / stamp).touch()
    return tmp_path


def test_a_signal_to_make_demo_reaches_the_demo_and_make_ends_after_it(pretended_venv: Path) -> None:
    make = shutil.which("make")
    assert make is not None, "make is needed, as the README says"
    with processes.start([make, "demo", f"VENV={pretended_venv}", "ARGS="], env=processes.OF_NO_MAKE) as running:
        running.wait_for_line("^started manage.py demo$")

        running.signal(signal.SIGTERM)

        until(lambda: running.returncode is not None, what="make ends")
        assert "got SIGTERM" in running.text()
        assert not running.group_is_alive()
