# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Latent diffusion with a neural-field decoder
#
# ![one draw at four resolutions, and what each cost](pictures/01_latent_field.png)
#
# ## Question
#
# **What does looking closer cost?**
#
# A model that draws pictures pixel by pixel pays for every pixel in every step. Here the diffusion never sees a pixel: it
# draws a *latent*, a few hundred numbers, and a neural field turns the latent into a function that can be asked anywhere. So
# how fine you look should cost nothing until you look. Does it? And what is lost on the way through so few numbers?
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 20  # how many observations are seen
tasks: int = 2  # how many tasks each number in the tables is averaged over
finest: int = 1024  # points along each side of the closest look

# %%
import time

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab import store
from nfdlab.approaches.latent_field import LatentField
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import interpolate
from nfdlab.diffusion.denoiser import Denoiser
from nfdlab.diffusion.noise import white
from nfdlab.diffusion.samplers import sample
from nfdlab.diffusion.schedule import karras
from nfdlab.evaluate.error_breakdown import error_breakdown
from nfdlab.evaluate.scores import energy_distance
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.nn.networks import MLP
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks, finest = 1, 256
problem, discs, photo = (nfd.problems.get(name) for name in ("gp2d", "discs2d", "photo2d"))
coords, truth = nfd.cell_centres((48, 48)), problem.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %% [markdown]
# With `budget = "reference"` the next cell opens the weights that ship with the package. `"lesson"` trains the first of
# the three here, in two minutes of one core, with a live loss curve and a button to stop (the others get a few steps).

# %%
watch = LossWatch("autoencoder, then diffusion over its latents")
if budget != "reference":
    display(watch)
model = nfd.load_or_train(
    "latent_field", problem, budget=budget, seed=seed, device=device, watch=watch
)
round_, camera = (
    nfd.load_or_train(
        "latent_field",
        p,
        seed=seed,
        device=device,
        budget=budget if budget == "reference" else "smoke",
    )
    for p in (discs, photo)
)

# %% [markdown]
# ## Picture
#
# *Predict:* from 32² to 1024² points the picture grows a thousandfold. How does the time to draw it grow, and the time to
# ask it?

# %%
began = time.perf_counter()
draw = model.draw(None, 1, seed=seed)
drawing = time.perf_counter() - began
nfd.render(draw, (8, 8))                                        # the first question to anything is slow
sides = [side for side in (32, 128, 512, 1024) if side <= finest]
figure, (panes,) = style.picture(1, len(sides), size=(2.6 * len(sides), 2.9))
asking = {}
for ax, side in zip(panes, sides, strict=True):
    began = time.perf_counter()
    values = nfd.render(draw, (side, side))
    asking[side] = time.perf_counter() - began
    mark = ax.imshow(values[0, ..., 0].T, cmap=style.FIELD_MAP, extent=(-1, 1, -1, 1), origin="lower",
                     interpolation="nearest", vmin=draw(coords).min(), vmax=draw(coords).max())
    style.dress(ax, title=f"{side}²: evaluated in {style.number(asking[side], 2)} s", x="x",
                y="y" if side == sides[0] else None)
figure.colorbar(mark, ax=list(panes), label=problem.card.units, shrink=0.8)
each = 1e6 * asking[sides[-1]] / sides[-1] ** 2
style.headline(figure, f"One draw, made once in {1e3 * drawing:.0f} ms; each query point costs {each:.1f} µs")
figure

# %% [markdown]
# ## Idea in symbols
#
# 1. **Compress.** An encoder $E$ and a field $F$ are trained together so that $F(x;\, E(f)) \approx f(x)$ at random places
#    $x$. The latent $z = E(f)$ has four numbers on each of 8 × 8 cells. It is brought to unit scale, entry by entry.
# 2. **Learn the distribution of latents.** A denoiser $D(z_\sigma, \sigma) \approx \mathbb{E}[z \mid z + \sigma\varepsilon]$. What a
#    Gaussian with the latents' own covariance $C$ would say is known in closed form, so the network adds only the rest:
#    $D = \bar z + C (C + \sigma^2)^{-1} (z_\sigma - \bar z) + c(\sigma)\, N(z_\sigma, \sigma)$.
# 3. **Draw**: walk $\mathrm{d}z/\mathrm{d}\sigma = (z - D)/\sigma$ from noise to none, then ask $F(\cdot\,; z)$ anywhere.
# 4. **Guide.** Observations $y_i = f(x_i) + s\,\varepsilon$ were no part of the training. They enter through the decoder:
#    with $J = \partial F(x_i; z)/\partial z$, a step of Gauss and Newton moves each $D$ to where the observations are likely,
#    $D + C_\sigma J^\top (J C_\sigma J^\top + s^2)^{-1} (y - F(x; D))$, $C_\sigma = C\sigma^2 (C + \sigma^2)^{-1}$.
#
# The field is also given the *width* of the pixel that it is asked for, and answers with the average over it.

# %% [markdown]
# ## Smallest version
#
# A draw of the prior, from nothing: noise levels, the solver (DPM-Solver++, second order), and the field, which blends the
# answers of the four nearest cells.

# %%
n, steps, net, r = 2, 20, model.net, model.net.denoiser.noise_levels
with torch.no_grad():
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (r.high ** (1 / 7) + ramp * (r.low ** (1 / 7) - r.high ** (1 / 7))) ** 7
    sigmas = torch.cat([sigmas, torch.zeros(1)]).float().to(model.device)
    law, z, before = net.covariance, sigmas[0] * white(n, net.shape, seed=seed).to(model.device), None
    for s, t in zip(sigmas[:-1], sigmas[1:], strict=True):
        gauss = law.mean + ((z.flatten(1) - law.mean) @ law.Q * law.lam / (law.lam + s**2)) @ law.Q.T
        total = (1 + s**2).sqrt()
        clean = guess = gauss.reshape(z.shape) + s / total * net.denoiser.net(
            z / total, s.log().reshape(1) / 4
        )
        if t == 0:
            z = clean
            break
        h = (s / t).log()
        if before is not None:
            guess = clean + (clean - before[0]) * h / (2 * before[1])
        z, before = t / s * z + (1 - t / s) * guess, (clean, h)
    field, side = net.autoencoder.decoder.field, z.shape[-1]
    memory, values = field.project(net.autoencoder.decoder(z)), 0  # (n, cells, width)
    place = (coords.to(model.device) + 1) / 2 * side - 0.5  # in cells
    low = place.floor().clamp(0, side - 2)
    for step in torch.cartesian_prod(torch.arange(2), torch.arange(2)).to(low):
        weight = torch.where(step == 1, place - low, 1 - (place - low)).clamp(0, 1).prod(1, keepdim=True)
        cell = ((low + step) @ torch.tensor([side, 1.0]).to(low)).long()
        near = field.place(field.encode((place - low - step) / 1.5)) + field.size(torch.zeros(1, 1).to(low))
        values = values + weight * field.answer(memory[:, cell] + near)

# %% [markdown]
# ## The library's version
#
# One line, and the same numbers.

# %%
library = model.draw(None, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values.cpu(), library, atol=1e-4)
print(
    f"largest difference {(values.cpu() - library).abs().max():.1e}, over a field of spread {library.std():.2f}"
)

# %% [markdown]
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, which sampler, how close. The query-scale slider only decodes: the draw stays.

# %%
panel = nfd.explore(model, problem, count=keep, draws=16, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# ### How few numbers?
#
# *Predict:* the best *linear* latent of $k$ numbers keeps the $k$ strongest directions of the covariance, and nothing linear
# can lose less. For smooth hills that is already good. For a disc, which is only a place and a size?

# %%
figure, ((ax,),) = style.picture(size=(6.6, 3.5))
directions = {}
for p, who, colour in ((problem, model, style.SECOND), (discs, round_, style.MODEL)):
    fields = p.draw(1500, seed=seed + 5)(nfd.cell_centres((24, 24)))[..., 0]
    lam = torch.linalg.svdvals(fields - fields.mean(0)).square()
    lost = (1 - lam.cumsum(0) / lam.sum()).clamp_min(1e-9).sqrt()
    k, fresh = len(who.net.covariance.lam), p.draw(64, seed=seed + 6)
    mine = (
        who.decode(who.encode(fresh))(coords) - fresh(coords)
    ).square().mean().sqrt() / fields.std()
    ax.plot(range(1, 301), lost[:300], color=colour, label=f"{p.card.name}: best linear latent")
    ax.plot(k, mine, "o", color=colour, ms=8, label=f"{p.card.name}: ours, {k} numbers")
    directions[p.card.name] = int((lost > 0.1).sum()) + 1
    print(
        f"{p.card.name}: {k} numbers lose {mine:.3f} of the spread, the best linear latent {lost[k - 1]:.3f}; "
        f"99 % of the variance lies in {directions[p.card.name]} directions"
    )
ax.set(xscale="log", yscale="log", ylim=(1e-3, 1))
style.dress(
    ax,
    title=f"A disc in {k} numbers: {mine:.3f} lost, linear {lost[k - 1]:.3f}",
    x="numbers in the latent",
    y="rms error / spread",
)
style.legend(ax)
figure

# %% [markdown]
# ### Which stage is at fault?
#
# Three bars, measured apart: what the latent loses; how far draws of the prior lie from fresh functions (blue: other fresh
# functions); and the answer to observations, as a ratio to the exact posterior's. What the second bar has beyond its blue mark is
# the *generation gap*: nought, up to the chance of so many draws, where the prior is right.

# %%
found = {
    "gp2d": error_breakdown(model, problem, counts=(20,), tasks=tasks, seed=seed),
    "discs2d": error_breakdown(
        round_.using(num_particles=128), discs, counts=(4,), tasks=tasks, seed=seed
    ),
}
plots.stages(
    found,
    title="Generation gap: "
    + ", ".join(f"{name} {stage.generation_gap:+.4f}" for name, stage in found.items())
    + f" (256 draws; CRPS over {tasks} tasks)",
)

# %% [markdown]
# On hills the latents are nearly Gaussian. *Predict:* switch the network off, so that only the Gaussian of the latents is left:
# how much worse is the answer?

# %%
silent = store.restored(LatentField, model.about, model.tensors(), device)
for parameter in silent.net.denoiser.net.output[-1].parameters():
    torch.nn.init.zeros_(parameter)
rivals = {"model": model, "network silenced": silent, "kriging": nfd.baselines.get("kriging")}
table = compare(rivals, problem, counts=(20, 60), tasks=2 * tasks, seed=seed, draws=32,
                points=nfd.cell_centres((16, 16)))
display(table)
kept_scores({"gp2d": model, "discs2d": round_, "photo2d": camera})

# %% [markdown]
# No worse: **on a Gaussian field the closed form does it all.** The second table was measured over more tasks when the weights were made
# (random places, noise 0.05). Photographs are there too, to be answered for below: from 30 pixels the model is far behind kriging.

# %% [markdown]
# ### Which guidance?
#
# Four ways to condition the prior's denoiser on observations, on one task, beside as many draws of the exact posterior: the Jacobian taken once; ΠGDM, which takes the open
# latent to be white; DPS, which walks down the misfit. And sequential Monte Carlo (`particles`), which needs a
# latent of few true dimensions. *Predict:* dozens of directions matter here (printed above). Which will fail?

# %%
mean, std = (moment[..., 0] for moment in problem.oracle().moments(seen, coords))
many, rows = 24 if budget != "smoke" else 4, {}
for guide, levels in (
    ("exact", 0),
    ("linearised", 20),
    ("pigdm", 8),
    ("dps", 20),
    ("particles", 8),
):
    began, rough = time.perf_counter(), model.using(num_particles=32, rounds=8)
    guided = (
        problem.oracle().draw(seen, many, seed=seed)
        if guide == "exact"
        else rough.draw(seen, many, seed=seed, guide=guide, steps=levels)
    )(coords)[..., 0].cpu()
    rows[guide] = {
        "mean off": ((guided.mean(0) - mean).square().mean() / std.square().mean()).sqrt().item(),
        "spread": (guided.var(0).mean() / std.square().mean()).sqrt().item(),
        "seconds": time.perf_counter() - began,
    }
pd.DataFrame(rows).T.style.format("{:.2f}").set_caption(
    f"{many} draws; mean off and spread in units of the exact spread"
)

# %% [markdown]
# For the disc it is the other way round: three numbers make it, the posterior has humps and edges, and nothing is linear.
# There particles are the better way, and the one its weights use.
#
# ### Photographs
#
# The same autoencoder on patches of a temple, asked about a flower it never saw. The latent is a low-resolution picture of
# 32 × 32 pixels, and the field says what lies between. There is no diffusion in this: the pixels are encoded and decoded. The
# rival is bicubic interpolation, and the truth the photograph itself, of twice, four and eight times as many pixels.

# %%
shown, gains, pooled, many = {}, {}, {}, 12
for scale in (2, 4, 8):
    side = 32 * scale
    flower = nfd.problems.held_out(nfd.problems.get("photo2d", cells=side)).draw(many, seed=seed)
    pixels, at = (
        flower(nfd.cell_centres((side, side))).unflatten(1, (side, side)),
        nfd.cell_centres((side, side)),
    )
    low = torch.nn.functional.avg_pool2d(pixels[..., 0][:, None], scale)
    with torch.no_grad():
        ours = camera.decode(camera.net.autoencoder.encode(low.to(camera.device)), size=2 / side)
    bicubic, flat = (
        EvaluatedFields(lambda x, part, low=low, c=c: interpolate(low[part], x, cubic=c), many, 2)
        for c in (True, False)
    )
    error = {
        name: (f(at).unflatten(1, (side, side)) - pixels).square().mean((1, 2, 3))
        for name, f in (("ours", ours), ("bicubic", bicubic))
    }
    gain = 10 * torch.log10(error["bicubic"] / error["ours"])  # of the PSNR, in dB, patch by patch
    gains[f"×{scale}"] = f"{gain.mean():+.2f} ± {gain.std() / many**0.5:.2f} dB"
    shown[scale] = flower, flat, bicubic, ours
    pooled[f"×{scale}"] = (
        f"{10 * torch.log10(error['bicubic'].mean() / error['ours'].mean()):+.2f} dB"
    )
print(f"gain over bicubic, mean and standard error over {many} patches:", gains)
print("gain of the mean squared error of all patches together:", pooled)

# %%
pick = max(range(12), key=lambda i: shown[4][0][i](nfd.cell_centres((64, 64))).std().item())
names = ("truth", "32 × 32, linear", "bicubic", "ours")
plots.pages(
    photo.card,
    {name: f[pick] for name, f in zip(names, shown[4], strict=True)},
    title="A flower from 32 × 32 pixels, over bicubic:\n"
    + ", ".join(f"{g} at {scale}" for scale, g in gains.items()),
)

# %% [markdown]
# Patch by patch bicubic is as good or better at ×2 and ×4: most patches are smooth, and there it makes errors of almost nothing. In the mean
# squared error of all patches together the few with texture decide, and there ours is ahead. Both are true; a table that shows one of
# them hides the other.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the network silenced, so that its Gaussian prior answers
# alone; and its draws replaced by a Gaussian of their mean and covariance, which the exact posterior feels too. *Predict:*
# which costs most? `nfdlab ablate latent_field discs2d` measured it; the table is kept with the weights.

# %%
from nfdlab.evaluate import ablation

worth = ablation.worth(ablation.kept("latent_field", "discs2d"))["to full"]
plots.worth("latent_field", "discs2d")

# %% [markdown]
# Moved shapes are not sums: with a linear reading of the latent and its Gaussian the error is half as large again, as it is for the best
# linear answer from the observations. A Gaussian of the draws' own mean and covariance loses what it costs the exact posterior too.
#
# ## Where it breaks
#
# **Latents of the wrong scale.** Diffusion takes latents to have unit scale. *Predict:* what if they are a hundred times smaller
# or larger, and nobody says so? Three small denoisers, trained here for 200 steps each on the latents of discs.

# %%
latents = round_.encode(discs.draw(512 if budget != "smoke" else 64, seed=seed + 1)).cpu()
rng, draws = torch.Generator().manual_seed(seed), {}
for factor in (1.0, 0.01, 100.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        D = Denoiser(MLP(latents.shape[1], 128, 2))
    adam = torch.optim.Adam(D.parameters(), 2e-3)
    for _ in range(200 if budget != "smoke" else 5):
        clean = factor * latents[torch.randint(len(latents), (128,), generator=rng)]
        sigma = torch.exp(1.6 * torch.randn(128, generator=rng)).clamp(0.005, 40)
        loss = D.loss(clean, sigma, torch.randn(clean.shape, generator=rng))
        adam.zero_grad(), loss.backward(), adam.step()
    start = 10 * white(64, latents.shape[1:], seed=seed)
    z = sample(D, start, karras(20, 0.05, 10.0), method="dpmpp") / factor
    draws[factor] = round_.decode(z.to(round_.device))
real = discs.draw(200, seed=seed)(coords)
far = {factor: energy_distance(f(coords), real).item() for factor, f in draws.items()}
plots.pages(
    discs.card,
    {"a disc": discs.draw(1, seed=seed), **{f"× {k:g}: {far[k]:.4f}": f for k, f in draws.items()}},
    title=f"Energy distance to discs: {far[1.0]:.3f} at unit scale, {far[0.01]:.3f} and {far[100.0]:.3f} when scaled",
)

# %% [markdown]
# The autoencoder is one and the same in all three cases: only the diffusion is lost. It is the first thing to look at when
# reconstructions are good and draws are not.
#
# **Pixels that are taken for points.** *Predict:* a photograph is asked for as 16 × 16 large pixels. What if the field is
# not given their width?

# %%
flower = nfd.problems.held_out(photo).draw(24, seed=seed + 2)
large = torch.nn.functional.avg_pool2d(
    flower(nfd.cell_centres((64, 64))).unflatten(1, (64, 64))[..., 0], 4
).flatten(1)
z, at, errors = camera.encode(flower), nfd.cell_centres((16, 16)), {}
for words, size in (("given their width", 2 / 16), ("taken for points", 0.0)):
    errors[words] = (camera.decode(z, size=size)(at)[..., 0] - large).square().mean().sqrt().item()
print(
    {words: round(e, 3) for words, e in errors.items()},
    f": {errors['taken for points'] / errors['given their width']:.1f} times the error, by aliasing alone",
)

# %% [markdown]
# **When to use it:** one prior for many kinds of question, at any resolution. **When not:** one kind of question asked a thousand times
# (lesson 05 needs no guidance), or detail that no short latent can hold. **Cost:** the minutes of training are in the table above; a
# draw costs the same however closely it is looked at.
#
# ## Exercises
#
# **1 · Turn a knob.** How many noise levels does a draw need? Compare the spread of prior draws at 5, 10 and 40.
#
# <details><summary>Solution</summary>
#
# ```python
# for k in (5, 10, 40):
#     print(k, model.draw(None, 64, seed=1, steps=k)(coords).std(0).mean().item())      # the truth has 1
# ```
#
# </details>
#
# **2 · Change a line.** Walk between two functions by mixing their latents, and by mixing their values. Which is nearer to a disc?
#
# <details><summary>Solution</summary>
#
# ```python
# z = round_.encode(discs.draw(2, seed=4))
# middle = round_.decode(z.mean(0, keepdim=True))(coords)
# mixed = discs.draw(2, seed=4)(coords).mean(0)
# print((middle.amax() - middle.amin()).item(), (mixed.amax() - mixed.amin()).item())   # two half discs have 0.5
# ```
#
# </details>
#
# **3 · Write a piece.** The averages of a coarse picture are observations too. Given the means over 8 × 8 blocks of the
# box, draw hills. (Hint: a `Measurement` may be any differentiable function of the latent.)
#
# <details><summary>Solution</summary>
#
# ```python
# from nfdlab.diffusion.guidance import Measurement, gauss_newton, linearised
# from nfdlab.diffusion.samplers import sample as walk
#
# blocks = truth(nfd.cell_centres((32, 32)))[0].reshape(8, 4, 8, 4).mean((1, 3)).flatten()
# def means(z):
#     return model.net.evaluate(nfd.cell_centres((8, 8)).to(z), model.net.prepare(z), 0.25).flatten(1)
# law = model.net.covariance
# measured = linearised(Measurement(means, blocks, 0.05), law, model.net.shape)
# guided = gauss_newton(model.denoiser(), measured, covariance=law)
# levels = model.sigmas(20)
# z = walk(guided, levels[0] * white(8, model.net.shape, seed=1).to(model.device), levels, method="dpmpp")
# print((model.decode(z)(nfd.cell_centres((32, 32))).reshape(8, 8, 4, 8, 4).mean((2, 4)).flatten(1) - blocks).std().item())
# ```
#
# </details>
#
# ## Further reading
#
# - Rombach et al. 2022, *High-resolution image synthesis with latent diffusion models*: diffuse latents, not pixels; scale
#   them first.
# - Chen et al. 2024, *Image neural field diffusion models*: a field as the decoder, trained at many resolutions.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*: the local field,
#   and the width of a pixel as its input.
# - Song et al. 2023, *Pseudoinverse-guided diffusion models for inverse problems*: ΠGDM.
# - Chung et al. 2023, *Diffusion posterior sampling for general noisy inverse problems*: DPS.
# - Cotter et al. 2013, *MCMC methods for functions*: the moves of the particles.
