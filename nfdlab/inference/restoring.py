"""From a weights file back to a network: what every approach's `restore` does, but for its own class."""

from typing import Any

from torch import Tensor, nn

from ..diffusion.schedule import NoiseLevels
from ..training import resolve_device


def rebuilt(kind: type, about: dict, tensors: dict[str, Tensor], device: str = "auto") -> tuple[Any, nn.Module]:
    """The config of class `kind` that `about` tells of, and its network with these weights, ready to be asked.

    Half precision becomes single. Where noise levels were measured, they are set; a KeyError, TypeError or RuntimeError
    says that file and class do not fit.
    """
    config = kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in about["config"].items()})
    net = config.build(about["d"], about["c"])
    net.load_state_dict({key: v.float() for key, v in tensors.items()})
    if "noise_levels" in about:
        net.noise_levels = NoiseLevels(**about["noise_levels"])
    return config, net.to(resolve_device(device)).eval()
