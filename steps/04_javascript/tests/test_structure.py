import pytest

pytestmark = pytest.mark.asyncio


async def test_the_page_loads_its_style_sheet_and_its_script(app):
    page = await (await app.test_client().get("/")).get_data(as_text=True)
    for path in ("/static/css/websocket.css", "/static/js/websocket.js"):
        assert f'"{path}"' in page, f"the page does not load {path}: url_for('static', …) makes it"


async def test_the_style_sheet_is_served_as_css(app):
    response = await app.test_client().get("/static/css/websocket.css")
    assert response.status_code == 200, "Quart looks for it in static/css/websocket.css"
    assert response.mimetype == "text/css"


async def test_the_script_is_served_as_javascript(app):
    response = await app.test_client().get("/static/js/websocket.js")
    assert response.status_code == 200, "Quart looks for it in static/js/websocket.js"
    assert response.mimetype in ("text/javascript", "application/javascript")


async def test_the_browser_asks_again_for_what_may_have_changed(app):
    for path in ("/static/css/websocket.css", "/static/js/websocket.js"):
        caching = (await app.test_client().get(path)).headers["Cache-Control"]
        assert "max-age=0" in caching, f"a browser may keep {path}: {caching}"


async def test_what_is_not_there_is_a_404(app):
    for path in ("/nowhere", "/static/js/nowhere.js"):
        response = await app.test_client().get(path)
        assert response.status_code == 404, f"nothing is at {path}, but it is {response.status}"
