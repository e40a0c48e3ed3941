"""A headless Chromium with a page of made-up records open in it, and nothing else on the network."""

import os
import shutil

import pytest
from pagemade import CLAIMS, OVERALL, TABLE, content, fill

from bench.report.page import write_page
from bench.store import Store

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def need(message):
    """Skips where a browser is not to be had; a machine that checks changes must have one."""
    pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


@pytest.fixture(scope="session")
def browser():
    found = os.environ.get("BENCH_CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        need(f"no Chromium: none of {', '.join(NAMES)} on PATH; apt-get install chromium, or set BENCH_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        need("no driver for the browser: pip install playwright")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=[*sandbox, "--disable-dev-shm-usage", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """What the page is made of."""
    return content(fill(Store(tmp_path_factory.mktemp("store"))), claims=CLAIMS, tables={"mtss-1": TABLE}, overall=OVERALL)


@pytest.fixture(scope="session")
def frame(made):
    """The leaderboard."""
    return made.leaderboard


@pytest.fixture(scope="session")
def report(made, tmp_path_factory):
    """The page's file."""
    path = tmp_path_factory.mktemp("report") / "index.html"
    write_page(path, made)
    return path


@pytest.fixture
def visit(browser, report):
    """visit(width, scheme, part, path) opens the page; afterwards it must have said nothing and asked for nothing outside itself."""
    contexts, said, asked, files = [], [], [], []

    def visit(width=1280, height=900, scheme="light", part="", path=report):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        files.append(path.as_uri())
        page.goto(f"{path.as_uri()}{'#/' if part else ''}{part}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((*files, "data:"))] == []
