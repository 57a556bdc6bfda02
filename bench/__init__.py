"""How fast, against what: `python3 -m workshop bench`."""
