"""Checks of the installation on this machine, as a list of findings: for `nfdlab doctor` and for questions of users."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from . import __file__ as package
from . import __version__, pairs, store
from .jupyter.lessons import home, lessons

PACKAGES = ("torch", "numpy", "scipy", "safetensors", "matplotlib", "plotly", "pandas", "jupyterlab", "ipywidgets",
            "anywidget", "ipykernel", "jupytext", "papermill", "nbconvert", "typer", "rich")


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, what was found, whether that is right, and what to do."""

    what: str
    found: str
    right: bool = True
    note: str = ""


def examine() -> list[Finding]:
    """All findings, the most frequent causes of trouble first."""
    return [Finding("nfdlab", f"{__version__} in {os.path.dirname(package)}"),
            Finding("Python", f"{platform.python_version()}, {sys.executable}", sys.version_info >= (3, 11),
                    "" if sys.version_info >= (3, 11) else "3.11 or newer is needed"),
            packages(), *kernel(), backend(), device(), *weights(), *notebooks()]


def packages() -> Finding:
    """Versions of required packages, and what is missing."""
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return Finding("packages", ", ".join(found), not missing,
                   f"missing: {', '.join(missing)}; install again" if missing else "")


def kernel() -> list[Finding]:
    """The Python that runs notebooks: this one under `nfdlab`; and the one that other Jupyter programs would start."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    from .jupyter.kernel import NAME, ThisEnvironment, python3_by_name

    ours = ThisEnvironment().get_kernel_spec(NAME).argv[0]
    lines = [Finding("kernel", f"{NAME} is {ours}", ours == sys.executable, "in nfdlab lab and nfdlab run")]
    try:
        theirs, where = python3_by_name(), KernelSpecManager().get_kernel_spec(NAME).resource_dir
    except NoSuchKernel:
        return [*lines, Finding("kernel elsewhere", f"no {NAME}", note="other Jupyter programs will find no Python")]
    same = os.path.dirname(theirs) == os.path.dirname(sys.executable)
    return [*lines, Finding("kernel elsewhere", f"{NAME} is {theirs}, from {where}", True,
                            "" if same else "another environment: open the lessons with nfdlab lab")]


def backend() -> Finding:
    """The matplotlib backend set in the environment."""
    name = os.environ.get("MPLBACKEND", "")
    return Finding("MPLBACKEND", name or "not set", True, "notebooks ignore it under nfdlab run" if name else "")


def device() -> Finding:
    """The device and threads of torch."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return Finding("device", f"{name}; {torch.get_num_threads()} threads on {cores} cores")


def weights() -> list[Finding]:
    """Every weights file of the package: its header is read."""
    lines = []
    for (approach, problem), path in store.shipped().items():
        try:
            about = store.about(path)
            right = (about.get("approach"), about.get("problem")) == (approach, problem)
            lines.append(Finding(f"{approach} on {problem}", f"{path.stat().st_size / 1000:.0f} kB", right,
                                 "" if right else "its header names another pair"))
        except ValueError as error:
            lines.append(Finding(f"{approach} on {problem}", path.name, False, str(error).splitlines()[-2].strip()))
    return lines or [Finding("weights", "none", False, f"nothing in {os.path.dirname(package)}/weights; install again")]


def notebooks() -> list[Finding]:
    """The lessons: whether each pair of files agrees."""
    try:
        folder = home() / "notebooks"
    except ValueError:
        return [Finding("lessons", "none", False, "run nfdlab inside a clone of the repository")]
    stale, count = pairs.differing(folder), len(lessons(folder))
    note = "each agrees with its notebook" if count else "there should be some"
    note = f"run nfdlab sync: {'; '.join(stale)}" if stale else note
    return [Finding("lessons", f"{count} in {folder}", count > 0 and not stale, note)]
