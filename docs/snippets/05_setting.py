"""Settings that come from the environment."""

import os

from quart import Quart

os.environ["QUART_SEATS"] = "12"

app = Quart(__name__)
app.config.from_prefixed_env()
if seats := app.config.get("SEATS"):
    print("there are seats:", seats)
    print("with two more:", seats + 2)
if terrace := app.config.get("TERRACE"):
    print("there is a terrace:", terrace)
