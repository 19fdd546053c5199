"""Gaussians measured on draws, and their conditioning in closed form."""
