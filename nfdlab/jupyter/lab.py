"""Start JupyterLab on the lessons, from the Python that called, so that kernel, widgets and package fit together."""

import os
import subprocess
import sys
from pathlib import Path

FIRST = "notebooks/00_start_here.ipynb"


def command(root: Path, *, browser: bool = True, port: int | None = None, extra: list[str] = ()) -> tuple[list, dict]:
    """Arguments and environment for JupyterLab; `extra` comes last, so it overrides the others.

    The token stays on and the server listens on this machine only. Two settings come with the package: a double click
    on a .py opens it as a notebook, and no news pop-up.
    """
    first = FIRST if (root / FIRST).exists() else "notebooks"
    arguments = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", "--ServerApp.ip=localhost",
                 f"--LabApp.default_url=/lab/tree/{first}",
                 "--ServerApp.kernel_spec_manager_class=nfdlab.jupyter.kernel.ThisEnvironment"]
    if not browser:
        arguments.append("--no-browser")
    if port is not None:
        arguments.append(f"--ServerApp.port={port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")           # containers; JupyterLab refuses to start there otherwise
    settings = [str(Path(__file__).parent), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return [*arguments, *extra], {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(settings)}


def start(arguments: list[str], environment: dict[str, str]) -> int:
    """Replace this process by JupyterLab, so that signals reach it alone; on Windows, run it and wait."""
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(arguments[0], arguments, environment)
    return subprocess.call(arguments, env=environment)
