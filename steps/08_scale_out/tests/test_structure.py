import pytest

pytestmark = pytest.mark.asyncio


async def test_the_page_loads_its_style_sheet_and_its_script(app):
    response = await app.test_client().get("/")
    page = await response.get_data(as_text=True)
    for path in ("/static/css/websocket.css", "/static/js/websocket.js"):
        assert f'"{path}"' in page, f"the page does not load {path}: does its head link to it?"


async def test_the_style_sheet_is_served_as_css(app):
    response = await app.test_client().get("/static/css/websocket.css")
    assert response.status_code == 200, "it is not there: Quart takes it from static/css/"
    assert response.mimetype == "text/css", f"its type should be text/css, not {response.mimetype}"


async def test_the_script_is_served_as_javascript(app):
    response = await app.test_client().get("/static/js/websocket.js")
    assert response.status_code == 200, "it is not there: Quart takes it from static/js/"
    assert "javascript" in response.mimetype, f"its type should be JavaScript: {response.mimetype}"


async def test_the_browser_asks_again_for_what_may_have_changed(app):
    for path in ("/static/css/websocket.css", "/static/js/websocket.js"):
        response = await app.test_client().get(path)
        caching = response.headers.get("Cache-Control", "")
        assert "max-age=0" in caching, (
            f"browsers may keep {path} ({caching or 'not found'}), and would not see your changes: "
            "SEND_FILE_MAX_AGE_DEFAULT says for how many seconds"
        )


async def test_what_is_not_there_is_a_404(app):
    for path in ("/nowhere", "/static/js/nowhere.js"):
        response = await app.test_client().get(path)
        assert response.status_code == 404, (
            f"nothing is at {path}, so it should be answered with 404, not {response.status}"
        )
