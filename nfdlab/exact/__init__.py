"""Priors whose posterior and denoiser have a closed form.

`normal`, `finite`: distributions of vectors (values at points, weights of a basis), with `condition` and `denoiser`.
`gaussian`, `mixture`, `enumerated`, `threshold`: distributions of functions, with `draw`, `posterior` and `at`.
"""
