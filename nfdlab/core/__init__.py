"""Types, argument checks, seeds, grids and acquisition functions. Imports nothing else of the package."""
