"""A real Chromium beside a daemon in the test's own process, whose model the test scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from agentd.ports.generation import Delta, Finish, ModelRequest, TextDelta
from agentd.testing.model import ScriptedModel, calls, question_of, results_of
from tests.channels.websocket.web import Web

SECONDS = 30.0
expect.set_options(timeout=SECONDS * 1000)

OWLS = b"# Owls\n\nOwls sleep by day. They hunt at night, and they are quiet.\n"
TEXT = """Owls sleep by **day** [1]. See:

| bird | hours |
|---|---|
| owl | 22-4 |

```python
def hunt(owl):
    return owl.quiet
```

That is *all*.
"""
HOSTILE = """# Hi <script>window.hacked = 1</script>

<img src=x onerror="window.hacked = 2"> ![pixel](https://evil.example/p.png) [run](javascript:window.hacked=3)
[data](data:text/html,x) [fine](https://example.org/a) <style>body { display: none }</style>

<iframe src="https://evil.example"></iframe><a href="javascript:alert(1)" style="position: fixed" onclick="x">x</a>
<form action="https://evil.example"><input name="q"><button class="cite">1</button></form>
<svg><script>window.hacked = 4</script></svg><math><mtext><table><mglyph><style><img src=x onerror=alert(1)>
"""
PIECE = 16


class Held(ScriptedModel):
    """Says what its question names: owls, hostile or a tool; `hold` in it makes it wait after its first block."""

    def __init__(self) -> None:
        super().__init__(self._answer, tools=True, writes=True, cites=True)

    def _answer(self, request: ModelRequest) -> Iterable[Delta | Exception]:
        question = question_of(request)
        if "tool" in question and not results_of(request):
            yield from calls(("calculate", '{"expression": "2 * 21"}'))
            return
        text = HOSTILE if "hostile" in question else TEXT
        if "hold" in question:
            first, _, text = text.partition("\n\n")
            yield TextDelta(text=f"{first}\n\n")
            self.gate.clear()
        for start in range(0, len(text), PIECE):
            yield TextDelta(text=text[start : start + PIECE])
        yield Finish(reason="stop")


class Visitors:
    """Pages of one browser; `faults` are what their consoles complained of."""

    def __init__(self, browser: Browser, gateway: Web) -> None:
        self.browser = browser
        self.gateway = gateway
        self.faults: list[str] = []

    @asynccontextmanager
    async def page(self, **options: Any) -> AsyncIterator[Page]:
        """A page of somebody new, who is signed in."""
        async with await self.browser.new_context(**options) as context:
            page = await self.watched(await context.new_page())
            async with self.gateway.house.client() as client:
                ticket = await client.ticket()
            await page.goto(f"{self.gateway.address}/#ticket={ticket.ticket}")
            await expect(page.locator("#health")).to_have_attribute("data-state", "well")
            yield page

    async def watched(self, page: Page) -> Page:
        page.on("console", self._complained)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        return page

    def _complained(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


async def ask(page: Page, text: str) -> None:
    """Type a question and send it."""
    await page.fill("#text", text)
    await page.keyboard.press("Enter")


async def give(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose documents by the button, and wait until they are read."""
    chosen: Any = [{"name": name, "mimeType": "text/markdown", "buffer": data} for name, data in files]
    await page.set_input_files("#files", chosen)
    for name, _ in files:
        await expect(page.locator(".upload", has_text=name).locator("progress")).to_have_count(0)
