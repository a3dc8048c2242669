"""Fault campaigns against a real service process; `make test-faults` runs them whole.

What is not marked `campaign` is the sample that `make test` runs too.
"""
