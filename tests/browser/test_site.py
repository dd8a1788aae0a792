"""The site in a real browser: every page, wide and narrow, light and dark, without a network. It is built by `make site`."""

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from .lab import browser_path

SITE = Path(__file__).resolve().parents[2] / "build" / "site" / "html"
PAGES = [path for path in sorted(SITE.rglob("*.html")) if "_modules" not in path.parts and "_static" not in path.parts]
WIDTHS = {"desktop": 1280, "phone": 390}

pytestmark = pytest.mark.skipif(not PAGES, reason="there is no site here: `make site` builds it")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(params=[(device, scheme) for device in WIDTHS for scheme in ("light", "dark")], ids="-".join, scope="module")
def page(request, browser):
    device, scheme = request.param
    context = browser.new_context(viewport={"width": WIDTHS[device], "height": 900}, color_scheme=scheme)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda asked: page.faults.append(f"asks {asked.url}") if not asked.url.startswith(("file:", "data:")) else None)
    page.on("requestfailed", lambda asked: page.faults.append(f"does not find {asked.url}"))
    yield page
    context.close()


def test_every_page(page):
    found = {}
    for path in PAGES:
        page.faults.clear()
        page.goto(path.as_uri())
        faults = list(page.faults)
        faults += page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => 'not drawn: ' + i.src)")
        faults += page.evaluate("[...document.images].filter(i => !i.alt.trim()).map(i => 'without a text: ' + i.src)")
        if (over := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            faults.append(f"{over} pixels wider than the window")
        if faults:
            found[path.relative_to(SITE).as_posix()] = faults
    assert not found


def test_search(page):
    page.goto(f"{(SITE / 'search.html').as_uri()}?q=wavefront")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a", has_text="context").count()


def test_formulas_are_drawn(page):
    page.goto((SITE / "docs" / "glossary.html").as_uri())
    boxes = page.evaluate("[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().width)")
    assert len(boxes) > 20 and min(boxes) > 0


BEYOND = """() => {
    const slide = Reveal.getCurrentSlide(), edge = slide.getBoundingClientRect();
    return [...slide.querySelectorAll('h1, p, li, img, table, pre, .math')].filter(part => {
        const box = part.getBoundingClientRect();
        return part.scrollWidth > part.clientWidth + 1 || box.right > edge.right + 1 || box.bottom > edge.bottom + 1;
    }).map(part => `${part.tagName} ${part.textContent.slice(0, 40)}`);
}"""


def test_nothing_leaves_its_slide(page):
    """With all that appears later shown."""
    page.goto((SITE / "slides" / "index.html").as_uri())
    page.wait_for_function("Reveal.isReady()")
    found = {}
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number}); while (Reveal.nextFragment()) {{}}")
        if beyond := page.evaluate(BEYOND):
            found[number + 1] = beyond
    assert not found
