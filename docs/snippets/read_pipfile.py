"""A Pipfile is TOML, which Python reads."""

import tomllib
from pathlib import Path

text = Path(__file__).with_name("weather.toml").read_text(encoding="utf-8")
for heading, packages in tomllib.loads(text).items():
    print(heading, packages)
