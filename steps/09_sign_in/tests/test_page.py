import pytest

from harness.failures import no_route
from harness.markup import Markup

pytestmark = pytest.mark.asyncio


async def test_the_page_names_the_step(app):
    response = await app.test_client().get("/")
    assert response.status_code == 200, (
        f"GET / should find the page, but is answered with {response.status}{no_route(app, 'get')}"
    )
    page = Markup(await response.get_data(as_text=True))
    assert any("Step 9: Sign in" in heading for heading in page.headings), (
        "the page should have the heading 'Step 9: Sign in', but its headings are "
        f"{page.told_headings()}: look at templates/index.html"
    )
