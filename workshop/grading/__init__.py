"""Grading a class: each submission's app runs apart, and only the grader writes a result."""
