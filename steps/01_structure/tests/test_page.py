import pytest

pytestmark = pytest.mark.asyncio


async def test_the_page_names_the_step(app):
    response = await app.test_client().get("/")
    assert response.status_code == 200, "GET / finds no page: is there an @app.get('/')?"
    page = await response.get_data(as_text=True)
    assert "Step 1: Structure" in page, "the heading of templates/index.html names another step"
