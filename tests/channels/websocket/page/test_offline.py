"""A page whose daemon stops: it says so, opens all the same, and goes on when the daemon is back."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.channels.websocket.page.browser import OWLS, Held, Visitors, ask, chromium, give
from tests.channels.websocket.web import Web, web


def port_of(gateway: Web) -> int:
    return int(gateway.address.rpartition(":")[2])


async def test_a_page_outlives_its_daemon(tmp_path: Path) -> None:
    async with chromium() as browser:
        async with web(tmp_path, Held()) as gateway:
            port = port_of(gateway)
            opened = Visitors(browser, gateway).page()
            page = await opened.__aenter__()
            await give(page, ("owls.md", OWLS))
            await ask(page, "When do owls sleep?")
            await expect(page.locator(".text")).to_contain_text("That is all.")
            await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        try:
            await expect(page.locator("#offline")).to_be_visible()
            await ask(page, "And when do they hunt?")
            await expect(page.locator(".status").last).to_have_text("Sending…")
            await page.reload()
            await expect(page.locator("#not-loaded")).to_be_visible()
            await expect(page.locator(".said")).to_have_text("And when do they hunt?")
            other = await page.context.new_page()
            await other.goto(gateway.address)
            await expect(other.locator("#offline")).to_contain_text("Not connected")
            async with web(tmp_path, Held(), {"port": port}):
                await expect(page.locator(".text").last).to_contain_text("That is all.")
                await expect(page.locator(".turn")).to_have_count(2)
                await expect(page.locator("#offline")).to_be_hidden()
                await expect(page.locator("#not-loaded")).to_be_hidden()
                await expect(other.locator("#health")).to_have_attribute("data-state", "well")
        finally:
            await opened.__aexit__(None, None, None)
