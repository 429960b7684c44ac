"""The web page in headless Chromium: how soon it is painted, how it opens a long conversation, and how it streams."""

from __future__ import annotations

import asyncio
import importlib
import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.gateway_clients import Server, listeners
from bench.report import Row, compare, limited

BROWSER = os.environ.get("CHROMIUM", "/usr/bin/chromium")
MESSAGES = 1000
STREAMED = "300 30"
"""An answer of 300 pieces, 30 in a second."""
PAINT_LIMIT_MS, OPEN_LIMIT_MS, TASK_LIMIT_MS, SIZE_LIMIT_KIB = 300.0, 1000.0, 50.0, 150.0
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_SIZE = """() => performance.getEntriesByType("resource")
    .filter((one) => /\\.(js|css)$/.test(new URL(one.name).pathname))
    .reduce((sum, one) => sum + one.encodedBodySize, 0) / 1024"""
_OPEN = """([session, turns]) => new Promise((done) => {
    const began = performance.now();
    location.hash = `#/s/${session}`;
    const look = () => document.querySelectorAll(".turn").length >= turns
        ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look);
    look();
})"""
_WATCH = """() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
    }).observe({ type: "longtask" });
}"""


async def page_rows(ours: Server, bare: Server, state: Path, *, rounds: int) -> list[Row]:
    """Medians; the longest task is 0 if none took 50 ms, which is what a browser reports."""
    session = await _conversation(ours)
    playwright: Any = importlib.import_module("playwright.async_api")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            known = await _sign_in(browser, state)
            paints, empty, sizes, opens = [], [], [], []
            for _ in range(rounds):
                async with _fresh(browser, bare, known) as page:
                    empty.append(await page.evaluate(_PAINT))
                async with _fresh(browser, ours, known) as page:
                    paints.append(await page.evaluate(_PAINT))
                    sizes.append(await page.evaluate(_SIZE))
                    opens.append(await page.evaluate(_OPEN, [session, MESSAGES // 2]))
            async with _fresh(browser, ours, known) as page:
                longest = await _streaming(page)
        finally:
            await browser.close()
    return [
        limited("page_first_paint_ms", statistics.median(paints), "ms", PAINT_LIMIT_MS),
        compare("page_first_paint_vs_empty", "ms", paints, "an empty page", empty, better="less"),
        limited("page_open_1000_ms", statistics.median(opens), "ms", OPEN_LIMIT_MS),
        limited("page_longest_task_ms", longest, "ms", TASK_LIMIT_MS),
        limited("page_kib", statistics.median(sizes), "KiB", SIZE_LIMIT_KIB),
    ]


async def _conversation(server: Server) -> str:
    """A session with so many messages."""
    async with listeners(server, 1) as (one,):
        for _ in range(MESSAGES // 2):
            await one.ask("1 1000")
            await one.until("answer")
        return one.session


async def _sign_in(browser: Any, state: Path) -> Any:
    """What a browser keeps that was let in."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentd", "--state-dir", str(state), "open", "--print"),
        stdout=asyncio.subprocess.PIPE,
    )
    address, _ = await process.communicate()
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(address.decode().strip())
        await page.wait_for_selector("#text")
        return await context.storage_state()


@asynccontextmanager
async def _fresh(browser: Any, server: Server, known: Any) -> AsyncIterator[Any]:
    """The page of somebody who is signed in, in a browser that has nothing of it yet; it is painted."""
    async with await browser.new_context(storage_state=known, service_workers="block") as context:
        page = await context.new_page()
        await page.goto(f"http://{server.address}/")
        await page.wait_for_function(_PAINT)
        if server.token:
            await page.wait_for_selector("#health[data-state=well]")
        yield page


async def _streaming(page: Any) -> float:
    """Milliseconds of the longest task while a long answer comes."""
    await page.evaluate(_WATCH)
    await page.fill("#text", STREAMED)
    await page.keyboard.press("Enter")
    count = int(STREAMED.split()[0])
    await page.wait_for_function(f"() => (document.body.innerText.match(/t\\d+/g) ?? []).length >= {count}")
    longest: float = await page.evaluate("() => window.longest")
    return longest
