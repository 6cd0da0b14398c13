"""Experiments: one training, an evaluation, a range test, a gradient check, and the pool that runs many."""
