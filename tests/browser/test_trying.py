"""A person tries today's handler before sending anything back, in a real browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import Photograph
from tests.browser.site import Site
from tests.browser.test_console import add_broker, add_consumer, orders, reload_until

RUN_MS = 60_000
"""A worker imports the project once more before it tries the first handler."""


def test_a_handler_is_tried_on_one_message_and_on_a_sample_of_its_group(
    page: Page, site: Site, photograph: Photograph
) -> None:
    add_broker(page, site)
    add_consumer(page, "orders", "orders")
    site.worker()
    site.send("/queue/orders", orders(3, fails=1) + orders(2, fails=-1))
    page.goto("/console/dead-letters/")
    reload_until(page, page.locator("table.letters tbody tr"), 5)

    page.locator("table.letters [data-open]").first.click()
    page.get_by_role("button", name="Try handler…").click()
    expect(page.locator("main")).to_contain_text("HTTP calls, files, mails")
    photograph(page, "trial-plan")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("#sentence")).to_contain_text("of 1 would pass now", timeout=RUN_MS)
    expect(page.locator("#trial-item")).to_contain_text("As it died")
    expect(page.locator("#trial-summary .pill")).to_have_text("done", timeout=RUN_MS)
    photograph(page, "trial-of-one")

    page.goto("/console/groups/")
    page.locator("main a[href*='/console/groups/']", has_text="KeyError").first.click()
    page.get_by_role("button", name="Try on a sample…").click()
    page.select_option("#size", "50")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("#sentence")).to_have_text("3 of 5 would pass now; 2 still KeyError.", timeout=RUN_MS)
    page.locator("#trial-items a").first.click()
    expect(page.locator("#trial-item")).to_contain_text("fails as before")
    photograph(page, "trial-of-a-sample")
    page.get_by_role("button", name="Plan a replay of this group").click()
    expect(page.locator("h1")).to_contain_text("Replay 5 messages")
