"""What a machine lacks for a test."""

import os

import pytest


def missing(what):
    """Skip a test for want of `what`, or fail it where everything is required."""
    (pytest.fail if os.environ.get("WORKSHOP_REQUIRE_ALL") == "1" else pytest.skip)(what)
