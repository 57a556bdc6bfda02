"""A Quart app that renders one page."""

from quart import Quart, render_template

app = Quart(__name__)


@app.get("/")
async def index():
    return await render_template("index.html")
