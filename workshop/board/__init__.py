"""The board of a class: which exercise each learner is on, and which checks fail, on one live page.

It is built on the workshop's own steps: step 6's log and step 7's rules, loaded from their files.
"""
