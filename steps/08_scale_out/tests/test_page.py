import pytest

pytestmark = pytest.mark.asyncio


async def test_the_page_names_the_step(app):
    response = await app.test_client().get("/")
    assert response.status_code == 200, (
        f"GET / should find the page, but is answered with {response.status}: "
        "is there an @app.get for it?"
    )
    page = await response.get_data(as_text=True)
    assert "Step 8: Scale out" in page, (
        "the page should have the heading 'Step 8: Scale out': look at templates/index.html"
    )
