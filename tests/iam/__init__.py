"""Least privilege proven: every statement of every role is taken away once, and a named step must miss it."""
