import pytest
from browser import Browser
from hand_made_results import Recipe, write_results

from mpijob_bench.cli import main

RECIPES = {
    "pass": Recipe(steps=40),
    "fail": Recipe(steps=40, slowest=0.93, transfer=0.8),
    "emulated": Recipe(steps=40, fidelity="emulated", bandwidth=43e6),
    "minimal": Recipe(steps=0, pairs=2, comm=False, curve=()),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return name -> page of reports on hand-made results."""
    found = {}
    for name, recipe in RECIPES.items():
        directory = tmp_path_factory.mktemp(name)
        write_results(directory, recipe)
        assert main(["report", str(directory)]) == 0
        found[name] = directory / "report.html"
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return a headless Chromium."""
    with Browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_report_opens_without_a_complaint(browser, pages, tmp_path, name, scheme, width):
    """No console error, no request, nothing wider than the window; and a picture of it."""
    browser.open(pages[name], scheme=scheme, width=width)
    assert browser.complaints() == []
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value("document.compatMode") == "CSS1Compat"
    picture = tmp_path / f"{name}-{scheme}-{width}.png"
    browser.screenshot(picture)
    assert picture.stat().st_size > 50_000
    print(f"screenshot: {picture}")  # noqa: T201 - to be looked at


def test_colours_follow_the_scheme(browser, pages):
    """Of the page and of what is drawn."""
    seen = {}
    for scheme in ("light", "dark"):
        browser.open(pages["pass"], scheme=scheme)
        drawn = "getComputedStyle(document.querySelector('svg text')).fill"
        ground = "getComputedStyle(document.body).backgroundColor"
        seen[scheme] = (browser.value(drawn), browser.value(ground))
    assert all(light != dark for light, dark in zip(*seen.values(), strict=True))
    assert "rgb(18, 20, 23)" in seen["dark"]


@pytest.mark.parametrize(("width", "shown"), [(1280, "wide-chart"), (390, "narrow")])
def test_one_of_two_widths_is_shown(browser, pages, width, shown):
    """Each chart once, as wide as there is room for."""
    browser.open(pages["pass"], width=width)
    visible = (
        "[...document.querySelectorAll('figure:not(.half) svg')]"
        ".filter(s => s.getClientRects().length).map(s => s.parentElement.className)"
    )
    assert set(browser.value(visible)) == {shown}


@pytest.mark.parametrize("width", [1280, 390])
def test_words_in_charts_do_not_leave_their_card(browser, pages, width):
    """Text is set in the reader's own font, so its width is not known when it is drawn."""
    browser.open(pages["fail"], width=width)
    outside = (
        "[...document.querySelectorAll('figure svg text')].filter(t => {"
        " const r = t.getBoundingClientRect(), f = t.closest('figure').getBoundingClientRect();"
        " return r.width && (r.left < f.left || r.right > f.right)}).map(t => t.textContent)"
    )
    assert browser.value(outside) == []


def test_on_paper_it_is_light(browser, pages):
    """Whatever the scheme of the screen."""
    browser.open(pages["pass"], scheme="dark", media="print")
    ink = "getComputedStyle(document.body).color"
    assert browser.value(ink) == "rgb(22, 25, 29)"
