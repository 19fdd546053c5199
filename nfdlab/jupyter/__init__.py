"""Jupyter: lessons and their parameters, the kernel they run in, the start of JupyterLab, the page of a report."""
