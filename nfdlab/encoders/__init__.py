"""Encoders: sets of observations of any size -> features of fixed size, independent of their order."""
