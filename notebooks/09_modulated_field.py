# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · One field for all: meta-learned latents that shift its sines, and diffusion over the latents
#
# *before: [`01_latent_field`](01_latent_field.ipynb) · next: [`02_weight_diffusion`](02_weight_diffusion.ipynb)*
#
# ![a curve whose first layers are shifted by a square's latent, the others by a sine's](pictures/09_modulated_field.png)
#
# ## Question
#
# **Where does style live?**
#
# One network can be many functions: keep its weights, and let a short latent shift the phase of every sine inside (the network is
# a SIREN, `00b`). Each latent then stands for a function, and diffusion over latents draws functions. The latent of a function is
# found from scattered points of it, by three steps of gradient descent.
#
# Two latents can also be *crossed*: one shifts the first layers, the other shifts the rest. Which of the two functions will the
# result be like? Two problems of this kit consist of *kinds*: a wave is a sine, a square, a triangle or a bump. For any curve the
# exact posterior says how likely each kind is. So the question has an answer.
#
# You need the two primers, `00b` (neural fields) and `00c` (diffusion), the exact posterior of `00a`, and lesson 01. ▶ *Run ▸ Run
# All Cells*, then play; it takes about a minute. With `budget = "reference"` the lesson opens the weights that ship with the
# package. `"lesson"` trains those of the waves here, in two minutes of one core, with a live loss curve and a button to stop.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 4  # how many observations are seen
tasks: int = 12  # how many waves each ratio is averaged over
toy_steps: int = 320  # training steps of the smallest version
live: int = 200  # steps of the small trainings under "Where it breaks"
guess: float = 0.5  # your prediction, see the first picture
guess_work: float = 2.0  # your prediction, see "Who does the work?"

# %%
import copy
import time
from itertools import groupby

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.core.rng import child, seeded, stream
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.denoiser import Denoiser
from nfdlab.diffusion.interpolation import WAYS
from nfdlab.diffusion.noise import white
from nfdlab.diffusion.samplers import sample
from nfdlab.diffusion.schedule import karras
from nfdlab.evaluate import ablation
from nfdlab.evaluate.scores import energy_distance
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.jupyter.exercises import Exercises
from nfdlab.nn.networks import MLP
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks, toy_steps, live = 2, 30, 16
waves, saws, surfaces = (nfd.problems.get(name) for name in ("families1d", "sawtooth1d", "styles2d"))
kinds, coords, grid = ("sine", "square", "triangle", "bump"), nfd.cell_centres((256,)), nfd.cell_centres((64,))
real = waves.draw(20_000, seed=child(seed, "real waves"))(grid)[..., 0]  # how far is a curve from the nearest of these?

# %%
watch = LossWatch("the field and its latents, then diffusion over the latents")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("modulated_field", waves, budget=budget, seed=seed, device=device, watch=watch)
sawyer, painter = (nfd.load("modulated_field", name, device=device) for name in ("sawtooth1d", "styles2d"))

# %% [markdown]
# Three worlds: waves that are sines, squares, triangles or bumps; sawtooths; and surfaces that are broad hills, fine hills or
# stripes. The field of each has three layers of sines.
#
# ## Picture
#
# Take two waves of different kinds, A and B. Shift the first layer by the latent of A, the other two by the latent of B. The
# exact posterior is told 24 noisy values of the result, and says how likely each kind is. *Predict, and write it down* as `guess`
# in the cell of parameters: what are the odds, from 0 to 1, that the result is of A's kind? (With four kinds, pure guessing gives
# 0.25.)
#
# The next cell measures this for 12 pairs of waves and 12 of surfaces, with none, one, two or all layers from A. Then come a pair
# of waves, a pair of surfaces, and the odds over all pairs.

# %%
pairs, rows, crosses = 12 if budget != "smoke" else 4, {}, {}
for problem, fitted in ((waves, model), (surfaces, painter)):
    name, parts, layers = problem.card.name, problem.prior.parts, fitted.depth
    kind_a = torch.arange(pairs) % len(parts)  # a kind for each A, and another one for its B
    kind_b = (kind_a + 1 + torch.arange(pairs) // len(parts) % (len(parts) - 1)) % len(parts)
    latent_a, latent_b = (
        torch.cat([fitted.encode(parts[j].draw(1, seed=seed + 2 * i + k)) for i, j in enumerate(kind.tolist())])
        for k, kind in enumerate((kind_a, kind_b)))
    for layer in range(layers + 1):  # the first `layer` layers from A, the rest from B
        mixed = crosses[name, layer] = fitted.mix_styles(latent_a, latent_b, layer)
        told = [nfd.observe(mixed[i], nfd.patterns.Random(count=24), noise_std=0.05, seed=i) for i in range(pairs)]
        odds = torch.stack([problem.prior.posterior(seen).log_weights.exp() for seen in told]).float()
        as_a, as_b = (odds.gather(1, kind[:, None])[:, 0] for kind in (kind_a, kind_b))
        for word, share in (("as A", as_a), ("as B", as_b), ("neither", 1 - as_a - as_b)):
            rows[name, layer, word] = {"odds": share.mean().item(), "error": 1.96 * share.std().item() / pairs**0.5}
crossed = pd.DataFrame(rows).T
first = crossed.loc[("families1d", 1), "odds"]

# %%
layers, pair = model.depth, pairs - 3  # a square and a sine
figure, (axes,) = style.picture(1, layers + 1, size=(11.2, 2.9), sharey=True)
for layer, ax in enumerate(axes):
    for at, colour, words in ((layers, style.FAINT, "A"), (0, style.BASELINE, "B"), (layer, style.MODEL, "the cross")):
        ax.plot(coords[:, 0], crosses["families1d", at][pair : pair + 1](coords)[0, :, 0].cpu(), color=colour, lw=1.3,
                label=words)
    style.dress(ax, title=f"{layer} of {layers} layers from A", x=waves.card.axes[0])
style.legend(axes[-1], loc="upper left", bbox_to_anchor=(1.0, 1.0))
style.headline(figure, f"The first layer from A, the rest from B: odds {first['as A']:.2f} of A's kind "
               f"(you said {guess:g}), "
               f"{first['as B']:.2f} of B's ({pairs} pairs)")
figure

# %%
stripes = [crossed.loc[("styles2d", layer), "odds"]["as A"] for layer in range(painter.depth + 1)]
shown = {f"{layer} of {painter.depth} layers from A": crosses["styles2d", layer][2:3]  # stripes and broad hills
         for layer in range(painter.depth + 1)}
plots.pages(surfaces.card, shown, title=f"Stripes (A), broad hills (B). Odds of A's kind, {pairs} pairs: "
            + " → ".join(f"{p:.2f}" for p in stripes))

# %%
figure, (axes,) = style.picture(1, 2, size=(9.4, 3.2), sharey=True)
turns = {}
for ax, name in zip(axes, ("families1d", "styles2d"), strict=True):
    part = crossed.loc[name].unstack(sort=False)
    mean, error = part["odds"], part["error"]
    for word, colour in (("as A", style.MODEL), ("as B", style.SECOND), ("neither", style.BASELINE)):
        ax.errorbar(mean.index, mean[word], yerr=error[word], color=colour, marker="o", ms=4, capsize=2.5, label=word)
    turns[name] = int((mean["as A"] > 0.5).to_numpy().argmax())
    ax.set_xticks(mean.index)
    style.dress(ax, title=f"{name}: A's kind once {turns[name]} of {part.index[-1]} layers are A's",
                x="layers shifted by the latent of A, shallow first", y="odds of the kind")
style.legend(axes[0])
figure

# %% [markdown]
# (Mean over the 12 pairs, and 95 % intervals.) For waves the kind lives in the first layer: the latent that shifts this layer
# decides. For surfaces it is the other way round: the result is of A's kind only when the last layer is A's too. Until then
# nearly all are of B's kind, and hardly any of the third, though training never saw such mixtures. **Style lives in no fixed
# place**: which layer decides is different from problem to problem, and is found by measuring.
#
# ## Idea in symbols
#
# **The shared field** is a SIREN, $h_{l+1} = \sin\big(\omega_0 (W_l h_l + b_l) \odot (1 + \Gamma_l z) + M_l z\big)$, $h_0 = x$
# ($\odot$: number by number), and $f_z(x)$ is linear in the last $h$. All functions share $W, b, M, \Gamma$. The latent $z$ of
# one function shifts the sines by $M_l z$ and scales their inputs by $1 + \Gamma_l z$ (sawtooths and surfaces: shifts only).
# Waves have one vector of 16 numbers. Sawtooths and surfaces have a few numbers on each cell of a grid, interpolated at $x$.
#
# **Latents by gradient descent** (CAVIA, Zintgraf et al. 2019). Given $m$ scattered points $(x_i, y_i)$ of a function, take three
# steps from zero, of learned sizes $\alpha$:
#
# $$z_0 = 0, \qquad z_{j+1} = z_j - \alpha \odot \nabla_z \frac1m \sum_i \big(f_{z_j}(x_i) - y_i\big)^2 .$$
#
# These steps change the latent only. What is *trained* are the shared weights and $\alpha$, by the error of $f_{z_3}$ at *other*
# points of the same function. The gradient of this loss goes back through all three steps (`create_graph=True` in PyTorch), so
# the field and $\alpha$ become such that three steps suffice: training to learn quickly is called *meta-learning*. No function
# has to be seen whole.
#
# **Auto-decoding** (Park et al. 2019). Three steps come near, not to the goal. So the waves' training goes on: each of 8192 waves
# has a latent that is a parameter of its own. It starts where three steps lead, and learns together with the field. The latent of
# a new wave is found by Adam, which lowers its error from the best of 129 starts: three steps, or one of 128 draws of the prior.
#
# **Diffusion over latents** of unit scale. The denoiser is the best guess of a standard normal, plus what a network adds:
#
# $$D(z, \sigma) = \frac{z}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\, F\big(z, \sigma, e(S), \nabla_z \log p(S \mid f_z)\big).$$
#
# Observations $S$ can enter in two ways. By the *encoder*: $e(S)$ are features of the observations, as in lesson 05, and beside
# them stands the slope of their log likelihood, taken through the field (large values are damped). Or by *particles*, and then
# the network is never told of them: (1) take many draws of the prior; (2) weigh each by how well its field explains the
# observations; (3) drop the light ones, and multiply the heavy ones; (4) move each a little at random, such that the posterior
# stays what it is; and repeat. Waves use particles: several kinds, far apart, may be possible at once, and weighing keeps all of
# them.
#
# ## Smallest version
#
# From nothing, on the waves, in three cells: a SIREN of 3 × 40 sines with latents of 8 numbers, and `encode`, which finds a
# latent in three steps; the training of the field; a denoiser of the latents. Then draws. *Predict:* a Gaussian with the mean and
# covariance of the latents is drawn beside it. Which of the two will draw waves?

# %%
k, width, rng = 8, 40, stream(seed, "toy")
with seeded(seed):
    W = [10 * (2 * torch.rand(1, width) - 1)]  # frequencies up to 10, then as in Sitzmann et al. 2020
    W += [(6 / width) ** 0.5 * (2 * torch.rand(width, width) - 1) for _ in range(2)]
    b = [3 * (2 * torch.rand(width) - 1), torch.zeros(width), torch.zeros(width)]
    M = [0.3 / k**0.5 * torch.randn(k, width) for _ in range(3)]
    out = (6 / width) ** 0.5 / 3 * (2 * torch.rand(width, 1) - 1)
    net = torch.nn.Sequential(torch.nn.Linear(k + 1, 128), torch.nn.SiLU(), torch.nn.Linear(128, 128), torch.nn.SiLU(),
                              torch.nn.Linear(128, 128), torch.nn.SiLU(), torch.nn.Linear(128, k))
rate = torch.ones(k)
parameters = [tensor.requires_grad_() for tensor in (*W, *b, *M, out, rate)]


def field(x, z):  # x (n, p, 1), z (n, k) -> (n, p, 1): shared weights, and sines that z shifts
    for weight, bias, shift in zip(W, b, M, strict=True):
        x = torch.sin(x @ weight + bias + (z @ shift)[:, None])
    return x @ out


def encode(x, y, steps=3, learn=False):  # CAVIA: three steps of gradient descent from zero
    z = torch.zeros(len(x), k, requires_grad=True)
    for _ in range(steps):
        misfit = (field(x, z) - y).square().mean((1, 2)).sum()
        (slope,) = torch.autograd.grad(misfit, z, create_graph=learn)
        z = z - rate * slope.clamp(-1, 1)  # no step is longer than `rate`
    return z if learn else z.detach()


# %%
adam, errors = torch.optim.Adam(parameters, 4e-3), []
for i in range(toy_steps):  # stage 1: the field, and how to find latents
    adam.param_groups[0]["lr"] = 4e-3 * (1 - i / toy_steps)
    some, x = waves.draw(32, seed=child(seed, "toy", i)), 2 * torch.rand(32, 64, 1, generator=rng) - 1
    y = some(x)
    z = encode(x[:, :32], y[:, :32], learn=True)  # from half of the points
    loss = ((field(x[:, 32:], z) - y[:, 32:]).square() + 0.03**2).sqrt().mean()  # judged at the other half: |error|
    adam.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    adam.step()
    errors.append(loss.item())
print(f"mean error {sum(errors[:20]) / 20:.2f} -> {sum(errors[-20:]) / 20:.2f}, over a spread of {y.std():.2f}")

# %%
x = 2 * torch.rand(4096, 64, 1, generator=rng) - 1
raw = encode(x, waves.draw(4096, seed=child(seed, "latents"))(x))
middle, root = raw.mean(0), torch.linalg.cholesky(raw.T.cov()).T
latents = torch.linalg.solve_triangular(root, raw - middle, upper=True, left=False)  # of unit covariance
adam, losses = torch.optim.Adam(net.parameters(), 4e-3), []
for i in range(4 * toy_steps):  # stage 2: the denoiser
    adam.param_groups[0]["lr"] = 4e-3 * (1 - i / (4 * toy_steps))
    clean = latents[torch.randint(len(latents), (512,), generator=rng)]
    s = torch.exp(1.2 * torch.randn(512, 1, generator=rng))
    total, noisy = (1 + s**2).sqrt(), clean + s * torch.randn(clean.shape, generator=rng)
    F = net(torch.cat([noisy / total, s.log()], 1))
    loss = (F - (clean - noisy / total**2) * total / s).square().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    losses.append(loss.item())
print(f"loss {sum(losses[:20]) / 20:.2f} -> {sum(losses[-20:]) / 20:.2f}; a Gaussian would leave it at 1")

# %%
levels = karras(80, 0.02, 8.0)
bell = white(2048, (k,), seed=1)
with torch.no_grad():
    z = levels[0] * white(2048, (k,), seed=seed)
    for now, then in zip(levels[:-1], levels[1:], strict=True):  # first order, as `walk` of 00c
        total = (1 + now**2).sqrt()
        guess_now = z / total**2 + now / total * net(torch.cat([z / total, now.log().expand(2048, 1)], 1))
        z = guess_now + then / now * (z - guess_now)
    drawn = {name: field(grid.expand(2048, -1, -1), one @ root + middle) for name, one in (
        ("toy", z), ("Gaussian over its latents", bell), ("fitted by the toy", latents[:2048]))}
drawn["library"] = model.draw(None, 2048, seed=seed)(grid).cpu()
fresh, toy = waves.draw(2048, seed=child(seed, "fresh"))(grid), {}
figure, (axes,) = style.picture(1, 4, size=(10.4, 2.9), sharey=True)
for ax, (name, values) in zip(axes, drawn.items(), strict=True):
    quarters = zip(values.chunk(4), fresh.chunk(4), strict=True)  # each measured by itself: a standard error
    parts, far = torch.stack([1e3 * energy_distance(*two) for two in quarters]), torch.cdist(values[:512, :, 0], real)
    far = far.amin(1) / len(grid) ** 0.5
    toy[name] = {"energy distance": parts.mean().item(), "from a wave": far.mean().item()}
    ax.plot(grid[:, 0], values[:6, :, 0].T, color=style.BASELINE if "Gaussian" in name else style.MODEL, lw=1.0)
    style.dress(ax, title=f"{name}\n{far.mean():.2f} ± {2 * far.std() / 512**0.5:.2f} from a wave\n"
                f"energy distance {parts.mean():.1f} ± {parts.std():.1f}", x="x")
share = toy["toy"]["from a wave"] / toy["Gaussian over its latents"]["from a wave"]
style.headline(figure, f"RMS distance to the nearest wave: the toy's is {share:.2f} of the Gaussian's")
figure

# %% [markdown]
# The energy distance (lesson 01) is to 2048 fresh waves, in thousandths; ± are two standard errors. It asks mostly for the right
# mean and spread, which the Gaussian's latents have by construction, so by it the two are close together. The distance to the
# nearest of 20 000 waves asks whether a curve is one: by that the toy is far ahead. "Fitted by the toy" is what the field makes
# of real waves' own latents: diffusion over them can hardly do better. So what is left to gain is mostly the field's, as it was
# in lesson 01.
#
# > **How this differs from the papers.** Dupont et al. 2022 (functa) fit one latent to each item of a data set, keep the latents,
# > and train a diffusion on them, as here for the waves; sawtooths and surfaces are fresh at each step. They shift the sines; here a
# > latent also scales their inputs. They judge the latent at all pixels; here at other points than those it was found from, and by an error that is linear
# > beyond 0.03. Bauer et al. 2023 (spatial functa) put latents on a grid, as here for sawtooths and surfaces. The steps are those
# > of CAVIA (Zintgraf et al. 2019), with a learned size for each number (Meta-SGD, Li et al. 2017). Functa fills gaps by gradient
# > descent on the latent; the set encoder and the slope are this kit's addition. The toy whitens its latents; the library scales
# > each number.
#
# ## The library's version
#
# One line, `model.draw`. The cell writes it out for draws of the prior, and checks that it gives the same numbers: the `lambda`
# is $D$ as above (nothing was seen, so the slope is zero), `sample(…, method="dpmpp")` is `dpm` of `00c`, and then comes the
# field with its shifts and scales. *Predict:* what takes longer, drawing a thousand waves or asking each of them at 128 places?

# %%
n, steps, parts, depth = 6, 12, model.net, model.depth
with torch.no_grad():
    r = parts.set_encoder(ObservationBatch.of([Observations.none(1, 1)]).to(model.device))
    given = torch.cat([r, torch.zeros(1, *parts.shape).to(r)], 1).expand(n, -1)  # e(S), and the slope
    sigmas = model.sigmas(steps)
    z = sigmas[0] * white(n, parts.shape, seed=seed).to(model.device)
    z = sample(lambda z, s: z / (1 + s**2) + s / (1 + s**2).sqrt() * parts.denoiser.net.net(
        z / (1 + s**2).sqrt(), (s.log() / 4).expand(1), given), z, sigmas, method="dpmpp")
    z = z * parts.unit.std + parts.unit.mean  # back from unit scale
    values, siren = coords.to(model.device).expand(n, -1, -1), parts.field.siren
    shifts, scales = (one(z).chunk(depth, -1) for one in (parts.field.shift, parts.field.scale))
    for sine, shift, scale in zip(siren.sines, shifts, scales, strict=True):
        values = torch.sin(sine.omega * sine.linear(values) * (1 + scale[:, None]) + shift[:, None])
    values = siren.output(values)
library = model.draw(None, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values.cpu(), library, atol=1e-4)
marks = [time.perf_counter()]
many = model.draw(None, 1000, seed=seed)
marks.append(time.perf_counter())
many(nfd.cell_centres((128,)))
marks.append(time.perf_counter())
print(f"by hand and by library: {(values.cpu() - library).abs().max():.0e} apart. 1000 waves: drawn in "
      f"{marks[1] - marks[0]:.2f} s, asked at 128 places in {marks[2] - marks[1]:.2f} s")

# %% [markdown]
# Now a posterior: a few noisy values of a wave are seen (the black curve is the truth), and particles answer. Each draw is given
# to the exact posterior as above, which says of which kind it is most likely. *Predict:* will the draws be of one kind or of
# several? And will their shares be those of the exact posterior?

# %%
truth = waves.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)
exact, draws = waves.oracle().draw(seen, 64, seed=seed), model.draw(seen, 64, seed=seed)
near = torch.stack([torch.cdist(f(grid)[..., 0].cpu(), real).amin(1).mean() / len(grid) ** 0.5 for f in (exact, draws)])
left = waves.prior.posterior(seen).log_weights.exp().tolist()
told = [nfd.observe(draws[i], nfd.patterns.Random(count=24), noise_std=0.05, seed=i) for i in range(draws.n)]
likely = torch.stack([waves.prior.posterior(one).log_weights for one in told]).argmax(1)
counted = [(likely == j).float().mean().item() for j in range(len(kinds))]
plots.bands(waves.card, truth=truth, seen=seen, exact=exact, model=draws,
            title="Kinds that the observations leave, exact (share of 64 draws):\n" + ", ".join(
                 f"{kind} {p:.0%} ({q:.0%})" for kind, p, q in zip(kinds, left, counted, strict=True)
                 if max(p, q) > 0.02)
            + f"\nA draw lies {near[1]:.2f} from the nearest wave, an exact one {near[0]:.2f}")

# %% [markdown]
# ## Turn the knobs
#
# (The title of the last picture has both shares. Particles keep several kinds where the observations leave several. A share of 64
# draws has a standard error of up to six percentage points, so read small differences as chance.)
#
# The sliders say how much is seen, which pattern, how noisy, how many draws, which sampler, how close. The panel starts with
# sawtooths: their observations enter by the encoder, which is fast. *Predict*, then try: no observations at all; one observation;
# then the problem `families1d` (the waves) with four and with ten observations: from how many on are all draws of one kind?

# %%
panel = nfd.explore(sawyer, saws, count=8, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# The CRPS, as a ratio to that of draws of the exact posterior: same observations, same number of draws; 1.00 is the best
# possible. Each of the waves is seen at as many places as `keep` says. The model twice, with observations by *particles* and by
# the *encoder* with its slope; the best linear answer, which knows the mean and covariance of waves; kriging, which assumes
# smooth Gaussian curves. *Predict:* the order of the four. The table after the picture says what the shipped weights scored
# over many more tasks, when they were made (random places, noise 0.05). (The cell also measures, on the same tasks, the two
# variants of the model that *Who does the work?* is about.)

# %%
particles = {"guide": "particles", "num_particles": 128}
whole, bare = ablation.DrawnOnce(model.using(**particles)), copy.deepcopy(model.using(**particles))
bare.net.denoiser.silence("network")
table = compare({"full": whole, "encoder": model.using(guide="encoder"),
                 "optimal_interpolation": nfd.baselines.get("optimal_interpolation", waves),
                 "kriging": nfd.baselines.get("kriging"), "diffusion silenced": bare,
                 "Gaussian draws": ablation.GaussianDraws(whole)},
                waves, counts=(keep,), tasks=tasks, draws=32, seed=seed)
bounds = {name: table.ratio("crps", name).loc["mean"].tolist() for name in table.contestants[:4]}
bounds = {"particles": bounds.pop("full"), **bounds}
ratio = {name: value for name, (value, _, _) in bounds.items()}
figure, ((ax,),) = style.picture(size=(8.6, 2.6))
inks = style.MODEL, style.SECOND, style.BASELINE, style.BASELINE
for j, ((value, low, high), ink) in enumerate(zip(bounds.values(), inks, strict=True)):
    ax.plot([low, high], [-j, -j], color=ink, lw=2)
    ax.plot(value, -j, "o", color=ink)
ax.axvline(1.0, color=style.EXACT, lw=1.0)
ax.set_yticks(range(0, -len(bounds), -1), list(bounds))
style.dress(ax, x=f"CRPS over that of exact draws, 95 % intervals ({tasks} waves, {keep} observations, 32 draws)")
style.headline(figure, "CRPS over exact: " + ", ".join(f"{name} {value:.2f}" for name, value in ratio.items()))
figure

# %%
kept_scores({"families1d": model, "sawtooth1d": sawyer, "styles2d": painter})

# %% [markdown]
# A linear answer is a weighted sum of what was seen, and a mean of squares and bumps is neither: both rivals stay behind. The
# picture is of one number of observations; the table has others, and many more tasks.
#
# ### From scattered points
#
# Each of 64 waves is encoded from a few scattered points, and from 128 others. *Predict:* with 32 points, how far apart are the
# two latents, as a share of the distance between the latents of two different waves?

# %%
some = waves.draw(64, seed=child(seed, "scattered"))
x = 2 * torch.rand(64, 256, 1, generator=stream(seed, "places")) - 1
points = ObservationBatch.exact(x, some(x))
whole, apart, missed_at = model.encode(points.take(slice(128))), {}, {}
between = (whole - whole.roll(1, 0)).norm(dim=1).median()
for count in (4, 8, 16, 32, 64, 128):
    found = model.encode(points.take(slice(128, 128 + count)))  # other points than the first 128
    apart[count] = ((found - whole).norm(dim=1).median() / between).item()
    missed_at[count] = ((model.decode(found)(grid).cpu() - some(grid)).square().mean() / some(grid).var()).item()
figure, (axes,) = style.picture(1, 2, size=(9.4, 3.0))
axes[0].plot(list(apart), list(apart.values()), color=style.MODEL, marker="o", ms=4, label="distance of the latents")
axes[0].plot(list(missed_at), list(missed_at.values()), color=style.SECOND, marker="o", ms=4, label="variance missed")
axes[0].set_xscale("log", base=2)
axes[0].set_xticks(list(apart), list(apart))
style.dress(axes[0], title=f"32 points: latents {apart[32]:.0%} apart", x="scattered points")
style.legend(axes[0])
for count, colour in ((16, style.SECOND), (128, style.MODEL)):
    curve = model.decode(model.encode(points.take(slice(128, 128 + count)))[:1])(coords)[0, :, 0].cpu()
    axes[1].plot(coords[:, 0], curve, color=colour, lw=1.3, label=f"from {count} points")
axes[1].plot(coords[:, 0], some(coords)[0, :, 0], color=style.TRUTH, lw=0.9, label="truth")
style.dress(axes[1], title=f"Variance missed: {missed_at[16]:.0%} from 16 points, {missed_at[128]:.0%} from 128", x="x")
style.legend(axes[1])
figure

# %% [markdown]
# 32 points give nearly the latent that 128 others give (the distance is a median). So a source of data may be an object that has
# only `points(n, seed=)`; the third exercise trains on one.
#
# Now from the latent of a square to that of a sine, in three ways: along the straight line; along a sphere; or by a *bridge*
# (DDIM interpolation): back along the ODE from both latents to their noise, along a sphere there, and down again. Measured: the
# RMS distance of the curves on the way from the nearest of 20 000 waves, for nine pairs. *Predict:* which way stays nearest to
# waves?

# %%
squares, sines = (model.encode(waves.prior.parts[j].draw(9, seed=seed + 2 + j)) for j in (1, 0))
square, sine_ = squares[0], sines[0]  # the pair that is shown
off, ends = {}, model.decode(torch.cat([squares, sines]))(grid)[..., 0].cpu()
usual = torch.cdist(ends, real).amin(1).mean().item() / len(grid) ** 0.5  # where the ways begin and end
figure, (axes,) = style.picture(1, 3, size=(10.4, 3.1), sharey=True)
for ax, way in zip(axes, WAYS, strict=True):
    paths = [model.cross(a, b, torch.linspace(0, 1, 7), way=way) for a, b in zip(squares, sines, strict=True)]
    away = [torch.cdist(model.decode(path[1:-1])(grid)[..., 0].cpu(), real).amin(1).mean() for path in paths]
    off[way] = torch.stack(away) / len(grid) ** 0.5  # one for each pair
    curves = model.decode(paths[0])
    told = [nfd.observe(curves[i], nfd.patterns.Random(count=24), noise_std=0.05, seed=i) for i in range(7)]
    likeliest = [kinds[int(waves.prior.posterior(one).log_weights.argmax())] for one in told]
    for i, curve in enumerate(curves(coords)[..., 0].cpu()):
        ax.plot(coords[:, 0], curve, color=style.colour("viridis", i / 6), lw=1.2)
    style.dress(ax, title=f"{way}: {off[way].mean():.2f} ± {1.96 * off[way].std() / 3:.2f} away\n" + " → ".join(
        f"{kind} {len(list(same))}" for kind, same in groupby(likeliest)), x=waves.card.axes[0])
closest = sum(min(off, key=lambda way: off[way][i]) == "bridge" for i in range(9))
style.headline(figure, f"From a square to a sine: the bridge is nearest to waves for {closest} of 9 pairs "
               f"(the two ends: {usual:.2f})")
figure

# %% [markdown]
# Colours run from the square to the sine; the titles have mean and 95 % interval over the pairs, and count how many of the seven
# curves that are shown are most likely of which kind. The line and the sphere pass through latents that no wave has. The bridge
# stays nearest to waves on the average: each of its points is a draw of the prior.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole. First the waves, on the tasks that were measured
# above; the whole is the model with its particles.
#
# - *Diffusion silenced:* its network adds nothing, so each number of a latent is an independent standard normal. The field stays,
#   and so does the weighing by the observations.
# - *Gaussian draws:* the whole's draws are replaced by draws of a Gaussian with their mean and covariance.
# - `optimal_interpolation`, the best linear answer: Bayes' rule with the mean and covariance of the same training functions. This
#   is what is left without all networks.
#
# *Predict, and write it down* as `guess_work`: by what factor does the error grow when the diffusion is silenced?
#
# Then the sawtooths, whose observations enter the denoiser itself. `nfdlab ablate modulated_field sawtooth1d` measured them on 30
# tasks at each number of observations; the table is kept with the weights. *Exact, Gaussian draws* does to exact draws what
# *Gaussian draws* does to the whole's.

# %%
live_ = ablation.worth(table)
costs = {name: live_.loc[name, ["to full", "to full low", "to full high"]].tolist()
         for name in ("diffusion silenced", "Gaussian draws", "optimal_interpolation")}
figure, ((ax,),) = style.picture(size=(8.6, 2.6))
for j, (name, (value, low, high)) in enumerate(costs.items()):
    ink = style.colour_of(name)
    ax.plot([low, high], [-j, -j], color=ink, lw=2)
    ax.plot(value, -j, "o", color=ink)
ax.axvline(1.0, color=style.BASELINE, lw=1.0)
ax.set_yticks(range(0, -len(costs), -1), list(costs))
style.dress(ax, x=f"CRPS over that of the whole, 95 % intervals ({tasks} waves, {keep} observations, 32 draws)")
style.headline(figure, f"Waves without the diffusion: error × {costs['diffusion silenced'][0]:.2f} "
               f"(you said × {guess_work:g}); without all networks × {costs['optimal_interpolation'][0]:.2f}")
display(figure)
worth = ablation.worth(ablation.kept("modulated_field", "sawtooth1d"))["to full"]  # the numbers of the second picture
plots.worth("modulated_field", "sawtooth1d")

# %% [markdown]
# **On waves the diffusion does much of the work**: without it the error grows, and the whole interval lies above 1. Field and
# weighing alone cannot be told from the best linear answer: with so few tasks their two intervals overlap. The shape of the draws
# is worth less, but something: the interval of the Gaussian draws lies above 1, too.
#
# On sawtooths, taking the networks away costs more than taking the shape of the distribution away. The latter costs exact draws
# something too: it is the price of the shape, and no fault of the model.
#
# ## Where it breaks
#
# **Another number of steps.** The toy's field was trained for three steps of gradient descent. *Predict:* what will one do, and what
# twelve? (Measured on 64 waves, each encoded from 128 points: the field's mean squared error, as a share of their mean
# squared distance from the mean.)

# %%
missed = {}
for inner in (0, 1, 2, 3, 4, 6, 9, 12):
    curves = field(grid, encode(points.coords[:, :128], points.values[:, :128], inner)).detach()
    missed[inner] = ((curves - some(grid)).square().mean() / some(grid).var()).item()
figure, ((ax,),) = style.picture(size=(7.2, 3.0))
ax.plot(list(missed), list(missed.values()), color=style.MODEL, marker="o", ms=4)
ax.set_yscale("log")
style.dress(ax, x="steps of gradient descent", y="share of the variance missed",
            title="Trained for 3 steps. Missed: " + ", ".join(f"{missed[k_]:.1%} by {k_}" for k_ in (1, 3, 6, 12)))
figure

# %% [markdown]
# One step misses more; nine more steps hardly help. The field and the sizes of the steps were trained such that three steps lead
# as far as such steps lead. What is missing after them is the field's, or asks for another way down, as auto-decoding has.
#
# **Latents that are not of unit scale.** The denoiser takes latents to have unit scale. Multiply them by 0.05 without telling it.
# One denoiser is trained on draws of the prior as they are, another on small ones, 200 steps each; what they draw is scaled back.
# *Predict:* will draws be too wide, too narrow, or neither?

# %%
saved, levels, blobs = list(model.path(None, 2048, seed=seed + 7))[-1].x.cpu(), model.sigmas(20).cpu(), {}
figure, (axes,) = style.picture(1, 2, size=(9.4, 2.9), sharey=True)
for ax, factor in zip(axes, (1.0, 0.05), strict=True):
    with seeded(seed):
        prior = Denoiser(MLP(saved.shape[1], 96, 2))
    prior.noise_levels.load_state_dict(parts.denoiser.noise_levels.state_dict())
    adam, rng = torch.optim.Adam(prior.parameters(), 6e-3), stream(seed, "prior")
    for i in range(live):
        adam.param_groups[0]["lr"] = 6e-3 * (1 - i / live)
        loss = prior.training_loss(factor * saved[torch.randint(len(saved), (128,), generator=rng)], rng)
        adam.zero_grad()
        loss.backward()
        adam.step()
    made = sample(prior, levels[0] * white(256, parts.shape, seed=seed), levels, method="dpmpp") / factor
    curves = model.decode(made.to(model.device))(grid).cpu()
    pieces = torch.stack([1e3 * energy_distance(part, fresh) for part in curves.chunk(4)])
    blobs[factor] = {"spread": (made.std() / saved.std()).item(), "off": pieces.mean().item()}
    ax.plot(grid[:, 0], curves[:6, :, 0].T, color=style.MODEL, lw=1.0)
    style.dress(ax, title=f"latents × {factor:g}: {blobs[factor]['spread']:.2f} times as wide as real ones,\n"
                f"energy distance {pieces.mean():.1f} ± {pieces.std():.1f} (2 standard errors)", x="x")
check = Exercises({  # for the exercises at the end
    1: (lambda few: few <= 12 or budget == "smoke", "Compare the distances at 3, 5, 8 and 20 steps."),
    2: (lambda answer: answer["sine"] > answer["square"] or budget == "smoke",
        "Whose latent shifts the first layer now?"),
    3: (lambda answer: answer[1] < answer[0], "Did the training get the source itself, and did it run all its steps?"),
})
figure

# %% [markdown]
# Too wide, and further from waves. Latents now differ by less than the noise levels of most of the training: there the right answer
# is nearly zero for all of them. What tells them apart matters only in the sampler's last steps, and was hardly trained.
#
# **When to use it:** functions with a few true parameters, also with jumps; functions that were only seen at scattered points; to
# cross and interpolate. **When not:** fields of hundreds of degrees of freedom in one vector (give each cell its own latent, as
# surfaces have here), or when a latent must follow thousands of points to the last digit: three steps are too few. **Cost:** the
# minutes of training are in the table of scores; how long a thousand draws of the prior take was printed above; particles need
# hundreds of them, many times over, for each question.
#
# ## Exercises
#
# Each solution ends in `check(number, answer)`, which says whether the answer holds.
#
# **1 · Turn a knob.** How few steps does the sampler need before prior draws are as near to waves as with 20?
#
# <details><summary>Solution</summary>
#
# ```python
# distance = {}
# for count in (3, 5, 8, 12, 20):
#     curves = model.draw(None, 256, seed=1, steps=count)(grid)[..., 0].cpu()
#     distance[count] = torch.cdist(curves, real).amin(1).mean().item() / len(grid) ** 0.5
# print({count: round(value, 3) for count, value in distance.items()})
# assert check(1, min(count for count in distance if distance[count] < 1.15 * distance[20]))
# ```
#
# </details>
#
# **2 · Change a line.** The first picture crosses a square and a sine. Swap their roles: the first layer from the sine, the
# others from the square. What is the result?
#
# <details><summary>Solution</summary>
#
# ```python
# swapped = model.mix_styles(sine_[None], square[None], 1)
# told = nfd.observe(swapped, nfd.patterns.Random(count=24), noise_std=0.05, seed=1)
# shares = dict(zip(kinds, waves.prior.posterior(told).log_weights.exp().tolist(), strict=True))
# print({kind: round(share, 2) for kind, share in shares.items()})
# assert check(2, shares)
# ```
#
# </details>
#
# **3 · Write a piece.** Nobody ever saw these functions whole: write a source that has only `points(n, seed=)`, some noisy points
# of each wave, and train a small model on it. Are three steps better than none?
#
# <details><summary>Solution</summary>
#
# ```python
# from nfdlab.approaches.modulated_field import ModulatedField
#
#
# class OnlyPoints:
#     def points(self, n, *, seed):
#         x = 2 * torch.rand(n, 48, 1, generator=stream(seed, "where")) - 1
#         y = waves.draw(n, seed=seed)(x)
#         return ObservationBatch.exact(x, y + 0.05 * torch.randn(y.shape, generator=stream(seed, "noise")))
#
#
# small = ModulatedField(latent_channels=8, field_width=40, points=48, encoder_width=16, widths=(32,), depth=1, batch=16, field_share=0.9)
# mine = small.fit(OnlyPoints(), views=None, budget=nfd.Budget(steps=100, name="smoke"), seed=seed, device=device)
# left_over = [(mine.decode(mine.encode(points, inner_steps=count))(grid).cpu() - some(grid)).square().mean().item() for count in (0, 3)]
# print(f"mean square error {left_over[0]:.2f} with the latent of zeros, {left_over[1]:.2f} after three steps")
# assert check(3, left_over)
# ```
#
# </details>
#
# **Five questions.** Why is the loss taken at other points than those the latent was found from? What does `create_graph=True`
# buy, and what would the field learn without it? Why does a Gaussian over the latents draw no waves? Why do more steps of
# gradient descent hardly help? In which layer does the kind of a wave live, in which that of a surface, and how was that
# measured?
#
# ## Further reading
#
# - Dupont et al. 2022, *From data to functa: your data point is a function and you can treat it like one*
#   ([2201.12204](https://arxiv.org/abs/2201.12204)): one SIREN, shifts by one linear map, generative models of the
#   latents.
# - Bauer et al. 2023, *Spatial functa: scaling functa to ImageNet classification and generation*
#   ([2302.03130](https://arxiv.org/abs/2302.03130)): latents on a grid.
# - Zintgraf et al. 2019, *Fast context adaptation via meta-learning*
#   ([1810.03642](https://arxiv.org/abs/1810.03642)): latents by a few steps of gradient descent (CAVIA).
# - Li et al. 2017, *Meta-SGD: learning to learn quickly for few-shot learning*
#   ([1707.09835](https://arxiv.org/abs/1707.09835)): the sizes of the steps are learned too.
# - Sitzmann et al. 2020, *Implicit neural representations with periodic activation functions*
#   ([2006.09661](https://arxiv.org/abs/2006.09661)): SIREN.
# - Karras, Laine & Aila 2019, *A style-based generator architecture for generative adversarial networks*
#   ([1812.04948](https://arxiv.org/abs/1812.04948)): styles that are mixed layer by layer.
# - Song, Meng & Ermon 2021, *Denoising diffusion implicit models* ([2010.02502](https://arxiv.org/abs/2010.02502)):
#   from one sample to another by way of the noise.
#
# <details><summary>Answers to the five questions</summary>
#
# 1. At its own points a latent can be good by memory. At other points it must have found the function.
# 2. The loss sees how the latent came about, so weights and step sizes are trained for three steps from zero. Without it the
#    field would learn as if the latent were given, and nothing would make three steps suffice.
# 3. The latents of waves fill a thin, bent part of the space. A Gaussian with their mean and covariance also fills what lies
#    between.
# 4. Three jumps of learned size are trained to end at the goal. The fourth starts there, and jumps too.
# 5. In the first layer, and in the last one. Two latents were crossed layer by layer, and the exact posterior said of which kind
#    the result was.
#
# </details>
