"""Exact answers: priors whose posterior and denoiser have a closed form, each written once.

`normal`, `finite` are distributions of vectors (values at chosen points, weights of a basis), with `condition` and
`denoiser`; `gaussian`, `mixture`, `enumerated` are distributions of functions, with `draw`, `posterior` and `at`.
"""
