"""The fixtures of the tests that look at the project's page in a browser.

A conftest.py imports them by name.
"""

from functools import partial

import pytest
import pytest_asyncio

from harness import browser as web
from harness.expecting import Expectation
from harness.hurry import A_TEST_FAILED
from harness.missing import missing


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        missing("no Playwright: pipenv install --dev playwright")
    async with async_playwright() as playwright:
        browser = await web.launch(playwright) or missing(web.NO_BROWSER)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser, request):
    seconds = request.config.getoption("patience")
    has_failed = request.config.stash.get(A_TEST_FAILED, False)
    context = await web.new_context(browser, seconds * (500 if has_failed else 1000))
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context, server):
    """The project's page, open in a browser; `states` in it is what its state has said."""
    await web.sign_in(context, server)
    return await web.open_page(context, server.url)


@pytest_asyncio.fixture(loop_scope="session")
async def page_at(context, server):
    """Open the project's page as if it lived at another address: `connectedTo` is in it."""
    await web.sign_in(context, server)
    return partial(web.open_page_at, context, server.url)


@pytest.fixture
def console_errors(context):
    """What the browser's console has complained of so far."""
    return context.problems


@pytest.fixture
def expect(context):
    """Playwright's assertions, which wait until they hold, and fail with one sentence."""
    return Expectation
