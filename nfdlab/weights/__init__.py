"""The weights that ship with the package, one safetensors file for each approach and problem."""
