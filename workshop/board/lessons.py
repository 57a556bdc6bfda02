"""What the board uses of the workshop's own steps: loaded from their files, never copied."""

import importlib.util

from harness import loading
from workshop.steps import STEPS


def load(step, name):
    """A module of a step's project, with the modules beside it."""
    path = STEPS / step / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{step}.{name}", path)
    module = importlib.util.module_from_spec(spec)
    with loading.modules_beside(path.parent):
        spec.loader.exec_module(module)
    return module


Log = load("06_resume", "log").Log
doors = load("07_harden", "doors")


def server_settings():
    """How step 7 serves its app: settings for Uvicorn."""
    return load("07_harden", "serve").SETTINGS
