"""Documents that keep to the code."""

from __future__ import annotations

import re
from pathlib import Path

from stompconsole.conf import _OURS, STOMP_SETTING_NAMES

ROOT = Path(__file__).resolve().parents[1]


def test_every_setting_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    ours, stomp = text.split("## Those of django-stomp")
    assert set(re.findall(r"^\| `([A-Z_]+)`", ours, re.MULTILINE)) == set(_OURS)
    named = set(re.findall(r"`((?:DEFAULT_)?STOMP_[A-Z_]+)`", stomp))
    assert named == set(STOMP_SETTING_NAMES)


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readmes_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in ("demo", "test", "fast", "lint", "bench"):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
        assert f"make {command}" in (ROOT / "README.md").read_text() or command in (ROOT / "README.md").read_text()
