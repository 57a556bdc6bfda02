import pytest

from harness.markup import Markup

pytestmark = pytest.mark.asyncio


async def test_the_page_names_the_step(app):
    response = await app.test_client().get("/")
    assert response.status_code == 200, (
        f"GET / should find the page, but is answered with {response.status}: "
        "is there an @app.get for it?"
    )
    headings = Markup(await response.get_data(as_text=True)).headings
    assert any("Step 6: Resume after a disconnect" in heading for heading in headings), (
        "the page should have the heading 'Step 6: Resume after a disconnect', but its headings "
        f"are {headings or 'none: it needs an <h1>'}: look at templates/index.html"
    )
