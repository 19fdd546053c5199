"""Noise <-> data. A diffusion model is three things: a schedule of noise levels, a denoiser, a sampler.

One language throughout: a denoiser D(x, sigma) returns the mean of the clean x given x = clean + sigma·noise.
"""
