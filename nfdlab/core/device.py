"""Devices by name: "auto" is the GPU if there is one."""

import torch

from .checks import four_parts


def resolve_device(device: str = "auto") -> torch.device:
    """"auto" is the GPU if there is one; a device that is not there is refused."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, dtype=torch.float32, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise ValueError(four_parts("device: 'auto', 'cpu', or a device of this machine.", repr(device),
                                    str(error).splitlines()[0], "Pass device='auto'.")) from error
