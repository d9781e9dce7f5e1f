"""Faults, one after the other, planted in a running system: nothing may be lost, and nothing done twice.

``python -m benchmarks.faults`` runs the long sweep; ``tests/faults/test_every_step.py`` runs a short one.
"""
