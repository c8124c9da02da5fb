"""Chromium, a site to look at, and a folder for what was seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import PASSWORD, USER, Site
from tests.support import installing
from tests.support.pool import tell_missing

SCREENSHOTS = Path(__file__).resolve().parents[1] / "screenshots"
PACKAGES = ("chromium",)

Photograph = Callable[[Page, str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in Path(item.path).parts:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless. Playwright runs an event loop on this thread: not beyond the tests that need it."""
    path = shutil.which("chromium")
    if path is None and installing.is_possible():
        installing.install(PACKAGES)
        path = shutil.which("chromium")
    if path is None:
        tell_missing("no Chromium: install Debian's chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Page]:
    """Logged in, at desktop width; an error of a script fails the test."""
    context = chromium.new_context(viewport={"width": 1360, "height": 830}, base_url=site.url)
    context.set_default_timeout(15_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/console/")
    page.fill("#id_username", USER)
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def photograph(request: pytest.FixtureRequest) -> Photograph:
    """Keep what a page looks like, wide and at phone width, as files to look at; nothing scrolls sideways."""

    def take(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        for suffix, width, height in (("", 1360, 830), ("-phone", 360, 740)):
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=SCREENSHOTS / f"{name}{suffix}.png", full_page=True)
            sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert sideways <= 0, f"{name} scrolls sideways by {sideways} px at {width} px"
        page.set_viewport_size({"width": 1360, "height": 830})

    return take
