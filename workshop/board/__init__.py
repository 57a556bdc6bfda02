"""The board of a class: who is at which exercise, and which checks fail, live on one page.

It is built on the workshop's own steps: step 6's log and step 7's rules, loaded from their files.
"""
