import re
from contextlib import suppress

import pytest

from harness.errors import found_elsewhere
from harness.markup import Markup
from harness.redirects import Redirected
from harness.sources import lines_about

# What cannot begin a line of JavaScript, and yet is what people write who know Python or HTML.
NO_JAVASCRIPT = re.compile(r"^(?:#(?!!)|\"\"\"|</?[a-z]).*", re.MULTILINE)
NO_CSS = re.compile(r"^ *(?://|</?[a-z]|# ).*", re.MULTILINE)

pytestmark = pytest.mark.asyncio


async def test_the_page_loads_its_style_sheet_and_its_script(app):
    response = await app.test_client().get("/")
    assert response.status_code == 200, f"GET / is answered with {response.status}, not a page"
    page = Markup(await response.get_data(as_text=True))
    for path in ("/static/css/websocket.css", "/static/js/websocket.js"):
        assert path in page.loads, page.why_not(path, app)
    for path, element in page.others.items():
        with suppress(Redirected):  # a browser follows it
            response = await app.test_client().get(path)
            assert response.status_code < 400, (
                f"the page's {element}, but GET {path} is answered with {response.status}"
            )


async def test_the_style_sheet_is_served_as_css(app, project):
    response = await app.test_client().get("/static/css/websocket.css")
    assert response.status_code == 200, (
        "/static/css/websocket.css is not there: Quart takes it from static/css/websocket.css"
        f"{found_elsewhere(project, 'websocket.css')}"
    )
    assert response.mimetype == "text/css", f"its type should be text/css, not {response.mimetype}"
    sheet = await response.get_data(as_text=True)
    wrong = NO_CSS.search(re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL))
    assert not wrong, (
        f"static/css/websocket.css has the line {wrong[0]!r:.60}, which is not CSS: "
        "a comment stands between /* and */"
    )


async def test_the_script_is_served_as_javascript(app, project):
    response = await app.test_client().get("/static/js/websocket.js")
    assert response.status_code == 200, (
        "/static/js/websocket.js is not there: Quart takes it from static/js/websocket.js"
        f"{found_elsewhere(project, 'websocket.js')}"
    )
    assert "javascript" in response.mimetype, f"its type should be JavaScript: {response.mimetype}"
    script = await response.get_data(as_text=True)
    outside = re.sub(r"/\*.*?\*/|`[^`]*`", "", script, flags=re.DOTALL)
    wrong = NO_JAVASCRIPT.search(outside)
    assert not wrong, (
        f"static/js/websocket.js has the line {wrong[0]!r:.60}, which is not JavaScript: "
        "a comment begins with //"
    )


async def test_the_browser_always_asks_for_the_newest_files(app, project):
    for path in ("/static/css/websocket.css", "/static/js/websocket.js"):
        response = await app.test_client().get(path)
        caching = response.headers.get("Cache-Control", "")
        asks_again = {"max-age=0", "no-cache", "no-store"} & set(re.split(r"[\s,]+", caching))
        assert asks_again, (
            f"browsers may keep {path} ({caching or 'not found'}), and would not see your changes: "
            'app.config["SEND_FILE_MAX_AGE_DEFAULT"] says for how many seconds'
            f"{lines_about(project, 'SEND_FILE_MAX_AGE')}"
        )


async def test_a_page_that_does_not_exist_is_a_404(app):
    for path in ("/nowhere", "/static/js/nowhere.js"):
        response = await app.test_client().get(path)
        assert response.status_code == 404, (
            f"nothing is at {path}, so it should be answered with 404, not {response.status}"
        )
