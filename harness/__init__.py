"""How tests reach a project: each module knows one way, and is imported by its name."""
