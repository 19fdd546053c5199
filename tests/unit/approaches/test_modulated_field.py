"""Approach 9 and what it is made of: modulations, latents by gradient descent, ways between latents, what may not leak."""

import pytest
import torch

import nfdlab as nfd
from nfdlab import store
from nfdlab.approaches.modulated_field import FittedModulatedField, ModulatedField
from nfdlab.approaches.modulated_field.meta_learning import MetaLearnedEncoder
from nfdlab.approaches.modulated_field.observation_encoder import VectorObservationEncoder
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import normals, seeded
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.interpolation import WAYS, bridge, cross, noised, spherical, straight
from nfdlab.diffusion.schedule import NoiseLevels, karras
from nfdlab.fields.modulated import ModulatedSiren

MINE = [problem for approach, problem in store.shipped() if approach == "modulated_field"]


def fresh(d: int = 2, **knobs) -> FittedModulatedField:
    """An untrained approach, ready to draw."""
    config = ModulatedField(**{"sines": 24, "depth": 3, "width": 16, "reader": (1,), "denoiser": (1,),
                               "layers": (32, 1), **knobs})
    net = config.build(d, 1, seed=0).eval()
    net.noise_levels = NoiseLevels(0.01, 20.0, 1.0)
    return FittedModulatedField(net, {"d": d, "c": 1, "config": {"guide": "encoder"}, "floor": 0.0}, 6)


# The field

def siren(d: int, scales: bool) -> ModulatedSiren:
    with seeded(2):
        field = ModulatedSiren(d, 4, width=16, depth=3, scales=scales)
    if scales:
        torch.nn.init.normal_(field.scale.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return field


@pytest.mark.parametrize("scales", [False, True])
@pytest.mark.parametrize("d", [1, 2])
def test_a_grid_of_equal_codes_is_a_flat_code(d, scales):
    field, coords, latent = siren(d, scales), nfd.cell_centres((7,) * d), normals(0, 3, (4,), "code")
    everywhere = latent.reshape(3, 4, *[1] * d).expand(3, 4, *[5] * d)
    torch.testing.assert_close(field(coords, everywhere), field(coords, latent), atol=1e-5, rtol=1e-5)
    own = torch.stack([coords.roll(k, 0) for k in range(3)])
    for which in (latent, normals(1, 3, (4, *[5] * d), "grid")):
        torch.testing.assert_close(field(own, which), torch.stack(
            [field(coords, which)[k].roll(k, 0) for k in range(3)]), atol=1e-5, rtol=1e-5)


def test_at_a_centre_a_cell_speaks_alone():
    """And between two centres, halfway, both alike."""
    field, grid = siren(1, False), normals(0, 2, (4, 6), "grid")
    centres = nfd.cell_centres((6,))
    torch.testing.assert_close(interpolate(grid, centres), grid.mT, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(interpolate(grid, centres[2:3] + 1 / 6)[:, 0], (grid[..., 2] + grid[..., 3]) / 2,
                               atol=1e-6, rtol=1e-5)
    for i in (1, 4):
        torch.testing.assert_close(field(centres, grid)[:, i:i + 1], field(centres[i:i + 1], grid[..., i]), atol=1e-5,
                                   rtol=1e-5)


def test_a_scale_is_a_frequency_and_a_shift_is_a_phase():
    """One sine, no bias: sin(ω w x (1 + s) + φ)."""
    with seeded(3):
        field = ModulatedSiren(1, 2, width=1, depth=1, omega=5.0, scales=True)
    w, out = field.siren.sines[0].linear, field.siren.output
    with torch.no_grad():
        w.weight.fill_(1.0), w.bias.zero_(), out.weight.fill_(1.0), out.bias.zero_()
        field.shift.weight.copy_(torch.tensor([[1.0, 0.0]])), field.scale.weight.copy_(torch.tensor([[0.0, 1.0]]))
    x = nfd.cell_centres((31,))
    torch.testing.assert_close(field(x, torch.tensor([[0.7, 0.4]]))[0], torch.sin(5 * 1.4 * x + 0.7))
    torch.testing.assert_close(field(x, torch.zeros(1, 2))[0], torch.sin(5 * x))


# Codes by gradient descent

def test_a_step_of_cavia_is_gradient_descent_by_hand():
    """For a field that is linear in its latent, z = 0 − rate · ∂/∂z mean(Φz − y)² = rate · 2/p Φᵀy; many steps solve
    the least squares."""
    coords, rate = nfd.cell_centres((40,)), torch.tensor([0.3, 0.1, 0.2])
    basis = torch.cat([torch.ones_like(coords), coords, coords**2], 1)
    adapted = MetaLearnedEncoder(3, steps=1)
    with torch.no_grad():
        adapted.rate.copy_(rate)
    values = normals(0, 5, (40, 1), "values")

    def field(x, latent):
        return (torch.cat([torch.ones_like(x), x, x**2], -1) * latent[:, None]).sum(-1, keepdim=True)

    one = adapted(field, coords, values)
    torch.testing.assert_close(one, rate * 2 / 40 * (values[..., 0] @ basis), atol=1e-6, rtol=1e-5)
    many = adapted(field, coords, values, steps=4000)
    torch.testing.assert_close(many, torch.linalg.lstsq(basis, values[..., 0].T).solution.T, atol=1e-3, rtol=1e-3)


def test_training_goes_through_the_steps():
    """The gradient of a loss of the latents with respect to a step size is the finite difference."""
    field, coords = siren(1, True).double(), nfd.cell_centres((12,)).double()
    adapted, values = MetaLearnedEncoder(4, steps=2, rate=0.2).double(), normals(0, 3, (12, 1), "values").double()

    def loss():
        return (field(coords, adapted(field, coords, values, learn=True)) - values).square().mean()

    slope, = torch.autograd.grad(loss(), adapted.rate)
    step, found = 1e-3, torch.zeros(4).double()
    for i in range(4):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                adapted.rate[i] += sign * step
            ends.append(loss().detach())
            with torch.no_grad():
                adapted.rate[i] -= sign * step
        found[i] = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(slope, found, atol=1e-4 * float(found.abs().max()), rtol=1e-3)


def test_cavia_trains_and_its_codes_are_of_unit_scale():
    config = ModulatedField(coder="cavia", vector=6, sines=32, depth=2, width=16, layers=(32, 1), reader=(1,), batch=16,
                            latents=16)
    model = nfd.train(config, "gp1d", budget=nfd.Budget(steps=40), device="cpu")
    fields = nfd.problems.get("gp1d").draw(256, seed=1)
    latent = model.encode(fields)
    assert latent.shape == (256, 6) and latent.std(0).sub(1).abs().max() < 0.35
    coords = nfd.cell_centres((64,))
    adapted, shared = ((model.decode(z)(coords) - fields(coords)).square().mean() for z in (latent, 0 * latent))
    assert adapted < shared
    raw = model.net.encoder(model.net.field, model.net.grid, fields(model.net.grid))
    torch.testing.assert_close(model.decode(latent)(coords), model.net.field(coords, raw).detach(), atol=1e-4, rtol=1e-4)
    with torch.inference_mode():
        assert torch.equal(model.encode(fields), latent)


def test_cavia_on_a_grid_and_strange_coders_are_refused():
    for config, kind in ((ModulatedField(coder="cavia"), ValueError), (ModulatedField(coder="maml"), KeyError)):
        with pytest.raises(kind) as error:
            config.build(2, 1)
        assert "\n  do:   " in str(error.value)


# Ways from one latent to another

def white_denoiser(x, sigma):
    """Of N(0, I)."""
    return x / (1 + torch.as_tensor(sigma) ** 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_a_way_starts_at_one_code_and_ends_at_the_other(way, shape):
    a, b = normals(0, 2, shape, "ends")
    found = cross(way, a, b, torch.tensor([0.0, 0.5, 1.0]), white_denoiser, karras(60, 0.002, 40.0))
    assert found.shape == (3, *shape)
    torch.testing.assert_close(found[0], a, atol=5e-3, rtol=5e-3), torch.testing.assert_close(
        found[2], b, atol=5e-3, rtol=5e-3)


def test_on_the_sphere_the_length_stays_and_on_the_line_it_falls():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    torch.testing.assert_close(spherical(a, b, torch.linspace(0, 1, 9)).norm(dim=1), torch.full((9,), 3.0))
    torch.testing.assert_close(spherical(a, b, torch.tensor([1 / 3]))[0], 3 * torch.tensor([0.75**0.5, 0.5]))
    torch.testing.assert_close(straight(a, b, torch.tensor([0.5]))[0], torch.tensor([1.5, 1.5]))
    torch.testing.assert_close(spherical(a, a, torch.tensor([0.3]))[0], a)


def test_the_bridge_of_a_white_gaussian_is_the_sphere():
    """Its walk only stretches: clean x becomes x·sqrt((1 + high²)/(1 + low²)), and back."""
    a, b = normals(1, 2, (6,), "ends")
    sigmas, t = karras(80, 0.01, 30.0), torch.linspace(0, 1, 5)
    stretch = ((1 + 30.0**2) / (1 + 0.01**2)) ** 0.5
    torch.testing.assert_close(noised(white_denoiser, a[None], sigmas)[0], a * stretch, rtol=5e-3, atol=1e-2)
    torch.testing.assert_close(bridge(white_denoiser, a, b, t, sigmas), spherical(a, b, t), rtol=5e-3, atol=5e-3)


# The approach

@pytest.mark.parametrize("d,scales", [(1, True), (2, False)])
def test_a_style_of_its_own_is_the_draw_itself(d, scales):
    """Shallow and deep of one latent: that latent. No shallow layers: the deep latent; no deep ones: the shallow."""
    model, coords = fresh(d, scales=scales), nfd.cell_centres((5,) * d)
    a, b = (3 * normals(s, 2, model.net.shape, "codes") for s in (0, 1))
    ours, theirs = model.decode(a)(coords), model.decode(b)(coords)
    assert (ours - theirs).abs().max() > 1e-3
    for shallow, deep, layer, want in ((a, a, 1, ours), (a, b, 0, theirs), (a, b, 3, ours)):
        torch.testing.assert_close(model.mixed(shallow, deep, layer)(coords), want, atol=1e-5, rtol=1e-5)
    crossed = model.mixed(a, b, 1)
    assert (crossed(coords) - ours).abs().max() > 1e-3 and (crossed(coords) - theirs).abs().max() > 1e-3
    torch.testing.assert_close(crossed(coords[3:4]), crossed(coords)[:, 3:4], atol=1e-5, rtol=1e-5)


def test_codes_on_a_grid_obey_the_law_of_consistency():
    model, coords = fresh(2, scales=True), nfd.cell_centres((9, 7))
    draws = model.draw(None, 3, seed=0)
    values = draws(coords)
    torch.testing.assert_close(draws(coords[11:12]), values[:, 11:12], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(draws(coords.flip(0)), values.flip(1), atol=1e-6, rtol=1e-5)


def test_a_flat_listener_knows_no_order_and_padding_says_nothing():
    with seeded(1):
        listener = VectorObservationEncoder(ModulatedField(width=16, reader=(1,)), 1, 1, 5, features=32).eval()
    x, y = normals(0, 7, (1,), "x").clamp(-1, 1), normals(1, 7, (1,), "y")
    plain = listener.listen(ObservationBatch.of([Observations(x, y, 0.05)]))
    turned = listener.listen(ObservationBatch.of([Observations(x.flip(0), y.flip(0), 0.05)]))
    padded = listener.listen(ObservationBatch.of([Observations(x, y, 0.05),
                                                  Observations(x.repeat(3, 1), y.repeat(3, 1), 0.05)]))
    for a, b, c in zip(plain, turned, padded, strict=True):
        for same in (b, c[:1]):
            torch.testing.assert_close(same, a, atol=1e-5, rtol=1e-4)
    more = listener.listen(ObservationBatch.of([Observations(x.repeat(3, 1), y.repeat(3, 1), 0.05)]))
    assert (more[0] - plain[0]).abs().max() > 1e-3, "three times the same evidence is more evidence"


def test_codes_by_encoder_forget_their_scale():
    """Whatever the encoder's scale, latents that the field and the diffusion see have unit spread."""
    model = fresh(1)
    net, values = model.net, normals(0, 64, (1, 128), "values")
    net.unit.calibrate(net.raw(values))
    latent = net.encode(values)
    torch.testing.assert_close(latent.std(0), torch.ones(16), atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        last = net.encoder[-1]
        last.weight.mul_(20.0), last.bias.mul_(20.0)
        net.unit.calibrate(net.raw(values))
    torch.testing.assert_close(net.encode(values), latent, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("problem", MINE)
def test_nothing_leaks_past_the_code(problem):
    """The field sees observations through the latent alone: a silent latent, or one made for another task, is far worse."""
    from nfdlab.evaluate.scores import crps

    model, place = nfd.load("modulated_field", problem, device="cpu"), nfd.problems.get(problem)
    coords, scores = nfd.cell_centres((64,) if place.d == 1 else (12, 12)), torch.zeros(3)
    for seed in range(6):
        truth = place.draw(1, seed=seed)
        seen = nfd.observe(truth, nfd.patterns.Random(count=12 if place.d == 1 else 60), noise_std=0.05, seed=seed)
        heard, x = model.condition(seen), None
        for visit in model.path(seen, 16, seed=seed, guide="encoder"):
            x = visit.x
        latent = heard.latent(x)
        for i, told in enumerate((latent, 0 * latent, model.nothing.latent(normals(seed, 16, model.net.shape, "foreign")))):
            scores[i] += float(crps(model.decode(told)(coords), truth(coords)[0]).mean()) / 6
    assert scores[0] < 0.7 * scores[1] and scores[0] < 0.7 * scores[2], scores


@pytest.mark.parametrize("problem", MINE)
def test_shipped_codes_are_of_unit_scale(problem):
    model = nfd.load("modulated_field", problem, device="cpu")
    latent = model.encode(nfd.problems.get(problem).draw(300, seed=3))
    spread = latent.transpose(0, 1).flatten(1).std(1)
    assert (spread - 1).abs().max() < 0.2
