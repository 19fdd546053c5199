"""The kernel of notebooks: always the Python that started it.

Jupyter finds a kernel by name, and "python3" in the user's folder may belong to another environment. Here the name
`python3` is bound to `sys.executable`, for JupyterLab (`ThisEnvironment`) and for reports (`headless`).
"""

import os
from pathlib import Path

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

NAME = "python3"


class ThisEnvironment(KernelSpecManager):
    """The kernels of Jupyter, except that `python3` is the Python this runs in."""

    def find_kernel_specs(self) -> dict[str, str]:
        return {**super().find_kernel_specs(), NAME: RESOURCES}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name == NAME:
            return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())
        return super().get_kernel_spec(kernel_name)


def headless(folder: Path) -> type[AsyncKernelManager]:
    """A kernel manager for reports, with its sockets in `folder` (private, short-lived).

    NFDLAB_HEADLESS=1 makes panels compute pictures ahead, for readers without a kernel. MPLBACKEND is removed: with
    `agg`, which is frequent on servers, the kernel would show no figure and no error.
    """
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | {"NFDLAB_HEADLESS": "1"}

    class Headless(AsyncKernelManager):
        def __init__(self, **given):
            super().__init__(kernel_spec_manager=ThisEnvironment(), **given)
            self.connection_file = str(Path(folder, "k.json"))
            if os.name == "posix":                 # sockets as files: no port, and no warning about an open one
                self.transport, self.ip = "ipc", str(Path(folder, "k"))

        def start_kernel(self, **given):
            return super().start_kernel(**{"env": environment, **given})

    return Headless


def python3_by_name() -> str:
    """The interpreter that the name `python3` means to other Jupyter programs on this machine: for `nfdlab doctor`."""
    manager = AsyncKernelManager(kernel_name=NAME)
    return manager.format_kernel_cmd()[0]
