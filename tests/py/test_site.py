# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Pages of the site in a browser, of each kind one: nothing is fetched or complained of, they fit a narrow window, and can
be read in light and dark. `make html` comes before."""

import os
import pathlib

import pytest

from browser import COLOURS, POOR_TEXT, Browser, need

SITE = pathlib.Path(os.environ["abs_builddir"], "doc", "html")
need(None if SITE.is_dir() else "there is no site (make html)")

PAGES = (
    "index.html",
    "tutorial/thermometer-1.html",
    "howto/attach-to-qemu.html",
    "explanation/what-happens-when.html",
    "course/lesson-5-dma.html",
    "reference/limits.html",
    "gen/c/client-dma.html",
    "gen/python/index.html",
    "gen/protocol.html",
    "gen/errata.html",
)

# Of the page's ground and text.
LUMINANCES = COLOURS + """
    const style = getComputedStyle(document.body);
    return [style.backgroundColor, style.color].map((text) => light(colour(text)));"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.mark.parametrize("name", PAGES)
def test_pages(browser, name):
    for width in 400, 900, 1400:
        for scheme in "light", "dark":
            browser.look(width, scheme=scheme)
            browser.open((SITE / name).as_uri())
            ground, text = browser.run(LUMINANCES)
            assert (ground > text) == (scheme == "light"), (width, scheme)
            count, poor = browser.run(POOR_TEXT)
            assert count > 50 and poor == [], (width, scheme)
            assert browser.run("return document.documentElement.scrollWidth") <= width, (width, scheme)
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "about:", "data:", "chrome:"))] == []


@pytest.mark.parametrize("page, name, place", [
    ("explanation/threads.html", "vfu_client_set_reader", "../gen/c/client-event-loop-and-threads.html#c.vfu_client_set_reader"),
    ("explanation/a-connection.html", "VFU_OPT_TIMEOUT_MS", "../gen/c/common.html#c.vfu_option.VFU_OPT_TIMEOUT_MS"),
    ("howto/drive-from-python.html", "vfu.Client", "../gen/python/client.html#vfu.Client"),
])
def test_names_lead_to_the_reference(page, name, place):
    assert f'href="{place}"' in (SITE / page).read_text(), name


def test_scheme_is_chosen(browser):
    """The button goes from the system's choice to the other one."""
    browser.look(1400, scheme="light")
    browser.open((SITE / "index.html").as_uri())
    browser.run("localStorage.clear()")
    browser.open((SITE / "index.html").as_uri())
    browser.run("[...document.querySelectorAll('.theme-toggle')].find((one) => one.offsetParent).click()")
    ground, text = browser.run(LUMINANCES)
    _, poor = browser.run(POOR_TEXT)
    browser.run("localStorage.clear()")
    assert ground < text and poor == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_can_be_read(browser, scheme):
    browser.look(1400, 4000, scheme)
    pictures = sorted(SITE.glob("_images/*.svg"))
    for picture in pictures:
        browser.open(picture.as_uri())
        count, poor = browser.run(POOR_TEXT)
        assert count > 5 and poor == [], picture.name
    assert len(pictures) > 30


def test_search_finds(browser):
    """Its index is a script, which a browser takes from a file, too."""
    browser.open((SITE / "search.html").as_uri() + "?q=DMA_MAP")
    links = browser.run("""
        const found = () => [...document.querySelectorAll("#search-results li a")].map((link) => link.getAttribute("href"));
        return new Promise((done) => {
            const look = () => found().some((link) => link.includes("protocol.html")) ? done(found()) : requestAnimationFrame(look);
            look();
        });""")
    assert links
