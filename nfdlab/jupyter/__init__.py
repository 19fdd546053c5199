"""What stands between the kit and Jupyter: lessons, the kernel they run in, JupyterLab's start, the report page."""
