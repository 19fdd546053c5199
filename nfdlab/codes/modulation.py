"""The networks of approach 9: one shared field, what makes codes of functions, what hears dots, a denoiser of codes."""

from torch import Tensor, nn

from ..core.grid import cell_centres
from ..core.types import ObservationBatch
from ..diffusion.denoiser import Preconditioned
from ..diffusion.nets import MLP, ConvNet
from ..diffusion.schedule import NoiseRange
from ..diffusion.spectrum import Spectrum
from ..fields.modulated import ModulatedSiren
from .autoencoder import FlatEncoder, GridEncoder, LinearEncoder
from .cavia import Adapted
from .coded import Heard
from .kinds import Kinds
from .listener import Listener
from .normalise import Standardise
from .vectors import FlatListener

CODERS = ("encoder", "cavia")


class Modulation(nn.Module):
    """`config` is a ModulatedField: a flat code (b, k) for each function, or a code on a grid (b, k, *cells)."""

    def __init__(self, config, d: int, c: int):
        super().__init__()
        cells, side, k, w = config.cells_for(d), config.side_for(d), config.code_for(d), config.width
        self.flat, self.cavia = config.flat_for(d), config.coder == "cavia"
        self.shape = (k,) if self.flat else (k, *[cells] * d)
        self.field = ModulatedSiren(d, k, c, config.sines, config.depth, config.omega, config.scales)
        self.register_buffer("grid", cell_centres((side,) * d), persistent=False)
        self.encoder = Adapted(k, config.inner_steps, config.inner_rate) if self.cavia else \
            (FlatEncoder if self.flat else LinearEncoder if config.linear else GridEncoder)(d, c, side, cells, k, w)
        self.unit = Standardise(k)
        kinds = Kinds(d, c, side, cells, *config.kinds) if config.kinds and not self.flat else None
        self.listener = FlatListener(config, d, c, k) if self.flat else Listener(config, d, c, kinds)
        self.denoiser = Preconditioned(MLP(k, *config.layers, features=256) if self.flat else
                                       ConvNet(d, k, w, w, config.denoiser))
        self.spectrum = Spectrum(k) if self.flat else None
        self.range: NoiseRange | None = None                # measured on codes, once there are any

    @property
    def kinds(self) -> Kinds | None:
        """What sorts functions of a few kinds, to be measured before training."""
        return None if self.flat else self.listener.kinds

    def raw(self, values: Tensor, learn: bool = False) -> Tensor:
        """Values on the grid (b, c, *[side]*d) -> codes at their own scale."""
        if self.cavia:
            return self.encoder(self.field, self.grid, values.flatten(2).mT, learn=learn)
        return self.encoder(values)

    def encode(self, values: Tensor) -> Tensor:
        """Values on the grid (b, c, *[side]*d) -> codes of unit scale (b, *shape)."""
        return self.unit(self.raw(values))

    def modulation(self, code: Tensor) -> Tensor:
        """The code as the field reads it: codes of gradient descent have a scale of their own."""
        return self.unit.restore(code) if self.cavia else code

    def values(self, coords: Tensor, code: Tensor) -> Tensor:
        """The field of codes of unit scale at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.field(coords, self.modulation(code))

    def listen(self, seen: ObservationBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Features, mean and spread of the code."""
        return self.listener.listen(seen) if self.flat else self.listener.listen(seen, self.unit)

    def hear(self, seen: ObservationBatch) -> Heard:
        """What the dots say, for the denoiser."""
        features, mean, spread = self.listen(seen)
        return Heard((features,), mean, spread)
