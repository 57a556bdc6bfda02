"""A Quart app that renders one page."""

from quart import Quart, render_template

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0


@app.get("/")
async def index():
    return await render_template("index.html")
