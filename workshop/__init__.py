"""The workshop's own command, `python3 -m workshop`, and what it is made of."""

VERSION = "1.0.0"  # the newest release in CHANGELOG.md
