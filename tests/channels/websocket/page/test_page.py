"""What people can do with the page: a real browser, a real daemon, a model that the test scripts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.channels.websocket.page.browser import OWLS, Held, Visitors, ask, chromium, give
from tests.channels.websocket.web import web
from tests.house import next_answer
from tests.vendored import ROOT, TESTS, content

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN_QUESTION = "When do owls sleep?"
STOPS = """() => {
    const send = WebSocket.prototype.send;
    window.stops = 0;
    WebSocket.prototype.send = function (text) {
        window.stops += JSON.parse(text).type === "stop";
        return send.call(this, text);
    };
}"""
DROP = """([kind, name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name, { type: "text/markdown" }));
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
        : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
    document.querySelector("#text").dispatchEvent(event);
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visitors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visitors]:
    """One daemon and one browser for all; the daemon knows what owls do."""
    async with web(tmp_path_factory.mktemp("page"), Held()) as gateway, chromium() as browser:
        found = Visitors(browser, gateway)
        async with found.page() as page:
            await give(page, ("owls.md", OWLS))
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def page(visitors: Visitors) -> AsyncIterator[Page]:
    """A page of the owner; at its end, nothing may have been complained of."""
    model(visitors).gate.set()
    async with visitors.page() as opened:
        yield opened
    faults, visitors.faults = visitors.faults, []
    assert faults == []


def model(visitors: Visitors) -> Held:
    assert isinstance(visitors.gateway.house.model, Held)
    return visitors.gateway.house.model


def answer(page: Page) -> Any:
    """The newest answer."""
    return page.locator(".turn").last.locator(".text")


async def findings(page: Page) -> list[str]:
    """What axe finds on the page as it is."""
    await page.evaluate(content(ROOT / TESTS / "axe.js.gz").decode())
    found = await page.evaluate("async () => (await axe.run()).violations")
    return [f"{fault['id']}: {node['html'][:200]}" for fault in found for node in fault["nodes"]]


async def test_who_is_not_signed_in_is_told_how(visitors: Visitors) -> None:
    async with await visitors.browser.new_context() as context:
        page = await context.new_page()
        await page.goto(visitors.gateway.address)
        await expect(page.locator("#signed-out")).to_contain_text("agentd open")
        await expect(page.locator("#page")).to_have_attribute("inert", "")
        assert await findings(page) == []


async def test_who_signs_out_is_out_in_every_tab(page: Page, visitors: Visitors) -> None:
    other = await visitors.watched(await page.context.new_page())
    await other.goto(visitors.gateway.address)
    await expect(other.locator("#health")).to_have_attribute("data-state", "well")
    await page.click("#health")
    await page.get_by_role("button", name="Sign out").click()
    for tab in (page, other):
        await expect(tab.locator("#signed-out")).to_be_visible()


async def test_an_answer_streams_and_is_announced_once(page: Page, visitors: Visitors) -> None:
    await expect(page.locator("#empty")).to_be_visible()
    await ask(page, f"{OPEN_QUESTION} hold")
    await expect(answer(page)).to_have_text("Owls sleep by day 1. See:", use_inner_text=True)
    first = await answer(page).locator("p").first.element_handle()
    await expect(page.locator("#announcer")).to_have_text("")
    model(visitors).gate.set()
    await expect(answer(page)).to_contain_text("That is all.")
    assert first is not None and await first.evaluate("node => node.isConnected"), "it was made again"
    await expect(page.locator("#announcer")).to_contain_text("Owls sleep")
    await expect(page.locator("#stop")).to_be_hidden()
    await expect(answer(page).locator("td").first).to_have_text("owl")
    await expect(page.locator("#title")).to_contain_text(OPEN_QUESTION)
    assert re.search(r"#/s/[\w-]+$", page.url)
    assert await findings(page) == []


async def test_what_was_said_until_it_was_stopped_is_kept(page: Page) -> None:
    await ask(page, f"{OPEN_QUESTION} hold")
    await expect(answer(page)).to_contain_text("Owls sleep")
    await page.evaluate(STOPS)
    await page.click("#health")
    await page.keyboard.press("Escape")
    await expect(page.locator("#health-panel")).to_be_hidden()
    await page.focus("#search")
    await page.keyboard.press("Escape")
    assert await page.evaluate("stops") == 0
    await page.focus("#text")
    await page.keyboard.press("Escape")
    await expect(page.locator(".status").last).to_contain_text("Stopped")
    assert await page.evaluate("stops") == 1
    await expect(answer(page)).to_contain_text("Owls sleep")


async def test_a_page_that_is_loaded_again_in_mid_answer_goes_on(page: Page, visitors: Visitors) -> None:
    await ask(page, f"{OPEN_QUESTION} hold")
    await expect(answer(page)).to_contain_text("Owls sleep")
    await page.fill("#text", "a draft")
    await page.reload()
    await expect(answer(page)).to_contain_text("Owls sleep")
    await expect(page.locator("#text")).to_have_value("a draft")
    model(visitors).gate.set()
    await expect(answer(page)).to_contain_text("That is all.")
    await expect(page.locator(".turn")).to_have_count(1)


async def test_two_tabs_agree_and_a_question_can_wait(page: Page, visitors: Visitors) -> None:
    await ask(page, f"{OPEN_QUESTION} hold")
    await expect(answer(page)).to_contain_text("Owls sleep")
    other = await visitors.watched(await page.context.new_page())
    await other.goto(page.url)
    await expect(answer(other)).to_contain_text("Owls sleep")
    await ask(other, "And when do owls hunt?")
    for tab in (page, other):
        await expect(tab.locator(".status").last).to_have_text("Queued, next")
    model(visitors).gate.set()
    for tab in (page, other):
        await expect(answer(tab)).to_contain_text("That is all.")
        await expect(tab.locator(".turn")).to_have_count(2)
        await expect(tab.locator(".said").last).to_have_text("And when do owls hunt?")
    assert await page.locator("#turns").inner_text() == await other.locator("#turns").inner_text()


async def test_documents_are_added_by_button_drop_and_paste(page: Page) -> None:
    await give(page, ("zebra.md", b"# Zebra\n\nZebras have stripes.\n"), ("picture.png", b"\x89PNG\0"))
    await expect(page.locator(".upload.failed")).to_contain_text("binary")
    for kind in ("drop", "paste"):
        await page.evaluate(DROP, [kind, f"{kind}.md", f"# {kind}\n\nIt came by {kind}.\n"])
        await expect(page.locator(".upload", has_text=f"{kind}.md")).to_contain_text("1 passage")
    await page.click("#health")
    await expect(page.locator("#health-panel")).to_contain_text("4 (4 passages)")


async def test_a_number_opens_the_place_with_its_sentence_marked(page: Page) -> None:
    await ask(page, OPEN_QUESTION)
    await answer(page).locator(".cite").click()
    passage = page.locator("#passage")
    await expect(passage.locator("mark")).to_have_text("Owls sleep by day")
    await expect(passage.locator(".cited")).to_contain_text("They hunt at night")
    await expect(passage).to_contain_text("upload:owls.md")
    assert await findings(page) == []
    await page.keyboard.press("Escape")
    await expect(passage).to_be_hidden()
    await expect(page.locator(".sources")).to_contain_text("Owls")
    await page.click(".place")
    await expect(passage.locator("mark")).to_contain_text("They hunt at night")


async def test_a_call_of_a_tool_is_shown(page: Page) -> None:
    await ask(page, f"{OPEN_QUESTION} Use a tool.")
    await expect(page.locator(".call")).to_contain_text("calculate done")
    await page.click(".call summary")
    await expect(page.locator(".call pre")).to_have_text(['{"expression": "2 * 21"}', "42"])


async def test_what_a_model_writes_cannot_run_load_or_deceive(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await ask(page, f"{OPEN_QUESTION} hostile")
    await expect(answer(page)).to_contain_text("<iframe")
    await expect(page.locator("#stop")).to_be_hidden()
    assert await page.evaluate("window.hacked") is None
    tags = await answer(page).evaluate("node => [...node.querySelectorAll('*')].map((each) => each.localName)")
    assert not {"script", "img", "iframe", "style", "form", "input", "button", "svg", "math"} & set(tags)
    links = await answer(page).evaluate(
        "node => [...node.querySelectorAll('a[href]')].map((a) => [a.href, a.target, a.rel])"
    )
    safe = ["_blank", "noopener noreferrer nofollow"]
    assert links == [["https://evil.example/p.png", *safe], ["https://example.org/a", *safe]]
    assert not any("evil" in url for url in asked)


async def test_code_and_answers_are_copied(page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ask(page, OPEN_QUESTION)
    await page.click(".code .copy")
    assert await page.evaluate("navigator.clipboard.readText()") == "def hunt(owl):\n    return owl.quiet\n"
    await page.get_by_label("Copy the answer").click()
    assert "**day** [1]" in await page.evaluate("navigator.clipboard.readText()")


async def test_the_last_answer_is_marked(page: Page, visitors: Visitors) -> None:
    await ask(page, OPEN_QUESTION)
    await page.get_by_label("A bad answer").click()
    await expect(page.get_by_label("A bad answer")).to_have_attribute("aria-pressed", "true")
    await ask(page, OPEN_QUESTION)
    await expect(answer(page)).to_contain_text("That is all.")
    for name, count in (("A good answer", 1), ("A bad answer", 2)):
        await expect(page.get_by_role("button", name=name)).to_have_count(count)


async def test_conversations_are_found_renamed_exported_and_deleted(page: Page, tmp_path: Path) -> None:
    await ask(page, "When do unusual owls sleep?")
    await expect(answer(page)).to_contain_text("That is all.")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("unusual")
    row = page.locator(".session")
    await expect(row).to_have_count(1)
    await expect(row.locator(".excerpt")).to_contain_text("unusual")

    async def choose(what: str) -> None:
        await row.hover()
        await row.get_by_role("button").click()
        await page.get_by_role("menuitem", name=what).click()

    await choose("Rename")
    assert await findings(page) == []
    await page.fill("dialog.ask input", "strange\u202ebirds")
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog.ask .wrong")).not_to_be_empty()
    await page.fill("dialog.ask input", "strange birds")
    await page.keyboard.press("Enter")
    await expect(page.locator("#title")).to_have_text("strange birds")
    async with page.expect_download() as download:
        await choose("Export as JSON")
    saved = tmp_path / "export.json"
    await (await download.value).save_as(saved)
    assert "When do unusual owls sleep?" in json.dumps(json.loads(saved.read_text()))
    await choose("Delete")
    await page.locator("dialog.ask").get_by_role("button", name="Delete").click()
    await expect(page.locator("#empty")).to_be_visible()
    await expect(row).to_have_count(0)


async def test_a_question_is_edited_an_answer_made_again_and_each_branch_gone_back_to(page: Page) -> None:
    await ask(page, OPEN_QUESTION)
    await expect(answer(page)).to_contain_text("That is all.")
    await page.fill("#text", "a draft")
    await page.get_by_label("Edit and ask again").click()
    await expect(page.locator("#text")).to_have_value(OPEN_QUESTION)
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#text")).to_have_value("a draft")
    await page.get_by_label("Edit and ask again").click()
    await ask(page, "When do owls sleep, then?")
    await expect(page.locator(".ways")).to_have_text("2 / 2")
    await expect(page.locator(".said")).to_have_text("When do owls sleep, then?")
    await page.get_by_label("Answer again").click()
    await expect(page.locator(".ways")).to_have_text("3 / 3")
    await expect(page.locator(".said")).to_have_text("When do owls sleep, then?")
    for way in (2, 1):
        await page.get_by_label("Earlier branch").click()
        await expect(page.locator(".ways")).to_have_text(f"{way} / 3")
    await expect(page.locator(".said")).to_have_text(OPEN_QUESTION)
    await expect(page.get_by_label("Earlier branch")).to_be_disabled()
    await page.reload()
    await expect(page.locator(".ways")).to_have_text("1 / 3")
    await page.get_by_label("Later branch").click()
    await expect(page.locator(".said")).to_have_text("When do owls sleep, then?")


async def test_a_long_conversation_is_there_from_its_first_question(page: Page, visitors: Visitors) -> None:
    async with visitors.gateway.house.client(acks=False) as client:
        session = (await client.open()).session
        for n in range(50):
            await client.post(session, f"question {n}", documents=0)
            await next_answer(client)
    await page.goto(f"{visitors.gateway.address}/#/s/{session}")
    await expect(answer(page)).to_contain_text("That is all.")
    await expect(page.locator(".turn")).to_have_count(50)
    await expect(page.locator(".turn .raw").first).to_contain_text("| bird | hours |")
    await page.locator(".said").first.scroll_into_view_if_needed()
    await expect(page.locator(".turn").first.locator("td").first).to_have_text("owl")
    await page.click("#jump")
    await expect(page.locator(".said").last).to_be_in_viewport()


async def test_a_command_says_what_it_says_in_the_terminal(page: Page) -> None:
    await ask(page, "/help")
    await expect(page.locator(".told-text")).to_contain_text("/sources")
    await ask(page, "/nonsense")
    await expect(page.locator(".told-text").last).to_contain_text("/help")
    await ask(page, OPEN_QUESTION)
    await expect(answer(page)).to_contain_text("That is all.")
    names = "[...document.querySelector('#turns').children].map((each) => each.className)"
    assert await page.evaluate(names) == ["told-text", "told-text", "turn"]


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
        {"viewport": {"width": 640, "height": 360}, "reduced_motion": "reduce"},  # 1280 by 720 at 200 %
    ],
    ids=["phone", "zoom"],
)
async def test_a_narrow_page_has_all_of_it(visitors: Visitors, options: dict[str, Any]) -> None:
    model(visitors).gate.set()
    async with visitors.page(**options) as page:
        await ask(page, OPEN_QUESTION)
        await expect(answer(page)).to_contain_text("That is all.")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect(page.locator("#composer")).to_be_in_viewport(ratio=1)
        await expect(page.locator(".sources").last).to_be_in_viewport()
        assert await page.locator("#side").is_hidden()
        await page.click("#menu")
        await expect(page.locator(".session").first).to_be_visible()
        assert await findings(page) == []


async def test_dark_is_as_the_system_has_it_until_somebody_chooses(visitors: Visitors) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    async with visitors.page(color_scheme="dark") as page:
        dark = await page.evaluate(paper)
        await ask(page, OPEN_QUESTION)
        await expect(page.locator(".sources")).to_contain_text("Owls")
        assert await findings(page) == []
        await page.click("#theme")
        light = await page.evaluate(paper)
        await page.reload()
        assert await page.evaluate(paper) == light != dark
        assert await page.evaluate("document.documentElement.dataset.theme") == "light"


async def test_everything_is_reached_by_keys_with_a_visible_focus(page: Page) -> None:
    await page.evaluate("document.activeElement.blur()")
    seen: list[str] = []
    while seen.count("skip") < 2 and len(seen) < 300:
        await page.keyboard.press("Tab")
        seen.append(
            await page.evaluate(
                "(() => { const at = document.activeElement, style = getComputedStyle(at);"
                " const shown = style.outlineStyle !== 'none' || at.id === 'text';"
                " return `${shown ? '' : 'invisible '}${at.id || at.className || at.localName}` })()"
            )
        )
    assert {"skip", "new", "search", "health", "theme", "text", "attach"} <= set(seen)
    assert not [each for each in seen if each.startswith("invisible") and each != "invisible body"]


async def test_a_page_that_slept_in_mid_answer_shows_the_end(page: Page, visitors: Visitors) -> None:
    await ask(page, f"{OPEN_QUESTION} hold")
    await expect(answer(page)).to_contain_text("Owls sleep")
    session = await visitors.browser.new_browser_cdp_session()
    processes = [each["id"] for each in (await session.send("SystemInfo.getProcessInfo"))["processInfo"]]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        model(visitors).gate.set()
        async with visitors.gateway.house.client() as client, asyncio.timeout(60):
            while (turns := (await client.status()).turns) is None or turns.running:
                pass
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    await expect(answer(page)).to_contain_text("That is all.")


async def test_the_client_of_the_documentation_runs_in_a_console(page: Page) -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    code = re.search(r"^```js\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    assert code is not None and len(code[1].splitlines()) <= 10
    async with page.expect_console_message(lambda message: message.type == "log" and message.text != ""):
        await page.evaluate(f"{code[1]}null")
