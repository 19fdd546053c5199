"""Observations -> features: sets of any size, in any order, anywhere, become something a network can hold."""
