"""A person at the console: define a consumer, watch it, find what failed, send it back. In a real browser."""

from __future__ import annotations

import re
import signal

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Photograph
from tests.browser.site import Site
from tests.support.waiting import until

LIVE_MS = 10_000
"""How long a page may take to show what has happened, without being reloaded."""


def add_broker(page: Page, site: Site) -> None:
    page.goto("/admin/stompconsole/broker/add/")
    page.fill("#id_name", "local")
    page.fill("#id_host", "127.0.0.1")
    page.fill("#id_port", str(site.broker_port))
    page.click("[name=_save]")
    expect(page.locator(".messagelist .success")).to_contain_text("local")


def add_consumer(page: Page, name: str, handler: str, **fields: str) -> None:
    page.goto("/admin/stompconsole/consumer/add/")
    page.fill("#id_name", name)
    page.select_option("#id_broker", label="local")
    page.fill("#id_destination", f"/queue/{name}")
    page.select_option("#id_handler", value=f"stompconsole.project.handlers.{handler}")
    for field, value in fields.items():
        page.fill(f"#id_{field}", value)
    page.click("[name=_save]")
    expect(page.locator(".messagelist .success")).to_contain_text(name)


def row(page: Page, name: str) -> Locator:
    return page.locator("#consumer-rows tr", has=page.get_by_role("link", name=name, exact=True))


def orders(count: int, fails: int = 0) -> list[dict[str, object]]:
    return [{"order": number, "sku": "A-17", "fails": fails} for number in range(count)]


def reload_until(page: Page, found: Locator, count: int) -> None:
    def seen() -> bool:
        page.reload()
        return found.count() == count

    until(seen, 20, f"{count} rows on {page.url}")


def confirm_replay(page: Page, reason: str) -> None:
    page.fill("#reason", reason)
    page.get_by_role("button", name=re.compile(r"^Replay \d+ message")).click()


def test_a_consumer_is_defined_run_paused_changed_and_deleted_while_the_overview_follows(
    page: Page, site: Site, photograph: Photograph
) -> None:
    expect(page.locator("main")).to_contain_text("broker")
    photograph(page, "overview-empty")
    add_broker(page, site)
    add_consumer(page, "orders", "orders")
    page.goto("/console/")
    expect(page.locator("main")).to_contain_text("runworker stomp")

    site.worker()
    page.evaluate("window.marker = 'not reloaded'")
    expect(row(page, "orders")).to_contain_text("running 1 of 1", timeout=20_000)
    site.send("/queue/orders", orders(300))
    expect(page.locator("[id$=-acked]").first).to_have_text(re.compile(r"\d"), timeout=LIVE_MS)
    site.send("/queue/orders", orders(2, fails=1))
    expect(row(page, "orders").locator("a.count")).to_have_text("2", timeout=LIVE_MS)
    assert page.evaluate("window.marker") == "not reloaded"
    photograph(page, "overview")

    row(page, "orders").get_by_role("button", name="Pause orders").click()
    expect(row(page, "orders")).to_contain_text("paused", timeout=LIVE_MS)
    site.send("/queue/orders", orders(1, fails=1))
    photograph(page, "overview-paused")
    row(page, "orders").get_by_role("button", name="Resume orders").click()
    expect(row(page, "orders").locator("a.count")).to_have_text("3", timeout=LIVE_MS)

    page.goto("/admin/stompconsole/consumer/")
    page.get_by_role("link", name="orders", exact=True).click()
    photograph(page, "admin-consumer")
    page.fill("#id_prefetch", "7")
    page.click("[name=_save]")
    page.goto("/console/")
    expect(row(page, "orders").locator(".flight")).to_contain_text("/7", timeout=LIVE_MS)
    expect(row(page, "orders")).to_contain_text("running 1 of 1", timeout=LIVE_MS)

    page.goto("/admin/stompconsole/consumer/")
    page.get_by_role("link", name="orders", exact=True).click()
    page.locator("a.deletelink").first.click()
    page.locator("input[type=submit]").click()
    page.goto("/console/dead-letters/")
    expect(page.locator("table.letters tbody tr")).to_have_count(3)
    expect(page.locator("table.letters")).to_contain_text("gone")


def test_the_overview_says_why_what_runs_differs_from_what_is_wanted(
    page: Page, site: Site, photograph: Photograph
) -> None:
    add_broker(page, site)
    add_consumer(page, "orders", "orders")
    page.goto("/admin/stompconsole/broker/add/")
    page.fill("#id_name", "nowhere")
    page.fill("#id_port", "1")
    page.click("[name=_save]")
    page.goto("/admin/stompconsole/consumer/add/")
    page.fill("#id_name", "lost")
    page.select_option("#id_broker", label="nowhere")
    page.fill("#id_destination", "/queue/lost")
    page.select_option("#id_handler", value="stompconsole.project.handlers.mail")
    page.click("[name=_save]")
    worker = site.worker()
    page.goto("/console/")
    expect(row(page, "lost")).to_contain_text("can't reach 127.0.0.1:1", timeout=20_000)
    expect(row(page, "lost")).to_contain_text("backing off")
    expect(row(page, "orders")).to_contain_text("running 1 of 1", timeout=LIVE_MS)
    photograph(page, "overview-trouble")

    worker.signal(signal.SIGSTOP)
    expect(row(page, "orders")).to_contain_text("stale", timeout=20_000)
    photograph(page, "overview-stale")
    worker.signal(signal.SIGCONT)
    expect(row(page, "orders")).to_contain_text("running 1 of 1", timeout=30_000)


def test_dead_letters_are_found_read_replayed_and_discarded(page: Page, site: Site, photograph: Photograph) -> None:
    add_broker(page, site)
    add_consumer(page, "orders", "orders")
    add_consumer(page, "mail", "mail")
    site.worker()
    site.send("/queue/orders", [*orders(4, fails=1), *orders(1, fails=-1)])
    site.send("/queue/mail", [{"to": "<script>alert('x')</script>", "fails": -1}, b"\x00\xff no json"])
    page.goto("/console/dead-letters/")
    letters = page.locator("table.letters tbody tr")

    reload_until(page, letters, 7)
    photograph(page, "dead-letters")

    page.select_option("[name=consumer]", "mail")
    expect(letters).to_have_count(2)
    page.goto("/console/dead-letters/?text=not+an+address")
    expect(letters).to_have_count(1)
    page.locator("a[data-open]").first.click()
    expect(page.locator("h1")).to_contain_text("ValueError: not an address: \"<script>alert('x')</script>\"")
    expect(page.locator("#failure")).to_contain_text("handlers.py")
    expect(page.locator("#body")).to_contain_text("<script>alert('x')</script>")
    photograph(page, "dead-letter")
    page.goto("/console/dead-letters/?text=UnreadableBody")
    page.locator("a[data-open]").first.click()
    expect(page.locator("#body")).to_contain_text("00 ff 20 6e")
    photograph(page, "dead-letter-binary")

    # One.
    page.goto("/console/dead-letters/?consumer=orders")
    page.locator("a[data-open]").last.click()
    page.get_by_role("button", name="Replay…").click()
    photograph(page, "replay-plan")
    confirm_replay(page, "try one")
    expect(page.locator("#sentence")).to_contain_text("1 of 1 message processed", timeout=LIVE_MS)
    photograph(page, "replay")

    # The selected.
    page.goto("/console/dead-letters/?consumer=orders")
    expect(letters).to_have_count(4)
    letters.locator("input[name=id]").last.check()
    page.get_by_role("button", name="Replay").first.click()
    confirm_replay(page, "try another")
    expect(page.locator("#sentence")).to_contain_text("1 of 1 message processed", timeout=LIVE_MS)

    # All that match; the one that always fails comes back.
    page.goto("/console/dead-letters/?consumer=orders")
    expect(letters).to_have_count(3)
    page.locator("[data-pick-all]").check()
    page.get_by_role("button", name="Replay").first.click()
    confirm_replay(page, "the fix is on its way")
    expect(page.locator("#sentence")).to_contain_text("2 of 3 messages processed", timeout=LIVE_MS)
    expect(page.locator("#sentence")).to_contain_text("1 failed again", timeout=LIVE_MS)
    photograph(page, "replay-failed-again")
    page.goto("/console/dead-letters/?consumer=orders")
    expect(letters).to_have_count(1)
    expect(letters).to_contain_text("replayed 1 time")

    # Discard, and undo.
    letters.locator("input[name=id]").check()
    page.get_by_role("button", name="Discard").first.click()
    expect(page.locator("#toasts")).to_contain_text("discarded", ignore_case=True)
    expect(letters).to_have_count(0)
    photograph(page, "discarded")
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    page.goto("/console/dead-letters/?consumer=orders")
    expect(letters).to_have_count(1)
    page.goto("/console/audit/")
    expect(page.locator("main")).to_contain_text("replay")
    photograph(page, "audit")


def test_a_large_discard_goes_on_by_itself_and_its_undo_can_be_stopped(
    page: Page, site: Site, photograph: Photograph
) -> None:
    site.fill(24_000)
    page.goto("/console/dead-letters/")
    page.locator("[data-pick-all]").check()
    page.get_by_role("button", name="Discard").first.click()
    page.get_by_role("button", name="Discard 20,400 messages").click()
    expect(page.locator("#going-on")).to_contain_text("10,000 of 20,400 discarded", timeout=30_000)
    photograph(page, "discarding")
    expect(page.locator("#toasts")).to_contain_text("20,400 dead letters discarded.", timeout=60_000)

    page.locator("#toasts").get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Stop here").click(timeout=30_000)
    expect(page.locator("#toasts")).to_contain_text("brought back, the others stay discarded", timeout=30_000)
