"""The workshop's own command, `python3 -m workshop`, and what it is made of."""
