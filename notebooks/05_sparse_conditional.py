# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · From sparse observations to a field: encoder, conditional diffusion, neural field
#
# ![exact band and model band on top of each other](pictures/05_sparse_conditional.png)
#
# ## Question
#
# **How good can a guess from sparse data be, and how close are we?**
#
# Eight noisy numbers do not fix a curve. They leave a *distribution* over curves, and for the problems of this kit that
# distribution is known exactly. So we can ask two things of a learned model that one usually cannot: how good is the best
# possible answer here, and what share of it do we get?
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 8  # how many observations are seen
tasks: int = 4  # how many tasks each number in the tables is averaged over
scale: int = 32  # how close the zoom goes, a power of two

# %%
import time

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab import recipes
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.noise import white
from nfdlab.evaluate.calibration import interval
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks = 3
problem, coords = nfd.problems.get("gp1d"), nfd.cell_centres((256,))
truth = problem.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %% [markdown]
# With `budget = "reference"` the next cell opens the weights that ship with the package. `"lesson"` trains a smaller one
# here, in two minutes of one core, with a live loss curve and a button to stop.

# %%
watch = LossWatch("autoencoder, then diffusion")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("sparse_conditional", problem, budget=budget, seed=seed, device=device,
                          watch=watch)

# %% [markdown]
# ## Picture
#
# *Predict:* the black curve is the truth, the model sees only the observations. Where will its band be wide? Will it be as wide as
# the exact one (blue), or, as so often, too narrow?

# %%
oracle = problem.oracle()
exact, draws = oracle.draw(seen, 64, seed=seed), model.draw(seen, 64, seed=seed)
spread = [f(coords).var(0).mean().sqrt().item() for f in (exact, draws)]
plots.bands(
    problem.card,
    truth=truth,
    seen=seen,
    exact=exact,
    model=draws,
    title=f"{keep} observations: the model's spread is {spread[1] / spread[0]:.2f} of the exact one",
)

# %% [markdown]
# Every orange line is a *function*: asked at 256 places or at one, it answers the same. Zooming does not draw again.

# %%
zoomed = torch.linspace(-0.02, 0.02, 5)[:, None]
assert torch.allclose(draws(torch.cat([coords, zoomed]))[:, -5:], draws(zoomed), atol=1e-5)
plots.ladder(
    problem.card,
    {"truth": truth, "model": draws},
    scales=[2**k for k in range(scale.bit_length())],
    title="One draw, closer and closer: it stays one curve",
)

# %% [markdown]
# ## Idea in symbols
#
# Let $S = \{(x_i, y_i)\}$ be the observations. Three networks, each small:
#
# 1. **A latent for fields.** An autoencoder turns a function into $z$, four numbers on each of 32 cells, and a *local* field
#    turns it back: $f(x) = \mathrm{dec}(x, z, r)$ reads only the cells near $x$.
# 2. **What the observations say.** $r(S)$ are features on the same cells: SetConv channels (how many observations near here, their mean)
#    and what kriging with three fixed kernels makes of them. From $r$ come a mean $\mu(r)$ and a standard deviation $s(r)$ of the latent.
# 3. **What they leave open.** Diffusion samples the residual $u = (z - \mu)/s$, which has unit scale however much was
#    seen. Noise is added at a level $\sigma$, and a network learns the mean of the clean residual:
#
# $$D(u_\sigma, \sigma, r) \approx \mathbb{E}[u \mid u_\sigma = u + \sigma \varepsilon,\; S], \qquad
#   \frac{\mathrm{d}u}{\mathrm{d}\sigma} = \frac{u - D(u, \sigma, r)}{\sigma}.$$
#
# Walk the equation from much noise to none and $z = \mu + s\,u$ is a draw from the posterior. With no observations, $r$ says so,
# and the same walk draws from the prior.

# %% [markdown]
# ## Smallest version
#
# The library holds no secret. Given the trained parts, here is the whole of a draw in plain PyTorch: noise levels, the
# solver (DPM-Solver++, second order), and the field, which blends the answers of the two nearest cells.

# %%
n, steps, net, r = 4, 20, model.net, model.net.denoiser.noise_levels
with torch.no_grad():
    given = net.condition(ObservationBatch.of([seen]).to(model.device))
    (features,) = given.features
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (r.high ** (1 / 7) + ramp * (r.low ** (1 / 7) - r.high ** (1 / 7))) ** 7
    sigmas = torch.cat([sigmas, torch.zeros(1)]).float().to(model.device)
    u, before = sigmas[0] * white(n, net.shape, seed=seed).to(model.device), None
    for s, t in zip(sigmas[:-1], sigmas[1:], strict=True):
        total = (1 + s**2).sqrt()
        F = net.denoiser.net(u / total, (s.log() / 4).expand(n), features)
        clean = guess = u / total**2 + s / total * F  # D(u, s): Karras et al. 2022, with sigma_data = 1
        if t == 0:
            u = clean
            break
        h = (s / t).log()
        if before is not None:
            guess = clean + (clean - before[0]) * h / (2 * before[1])
        u, before = t / s * u + (1 - t / s) * guess, (clean, h)
    field = net.autoencoder.decoder.field
    memory = field.project(
        net.autoencoder.decoder(given.mean + given.std * u, features)
    )  # (n, cells, width)
    place = (coords.to(model.device) + 1) / 2 * memory.shape[1] - 0.5  # in cells
    left = place.floor().clamp(0, memory.shape[1] - 2)
    share, values = (place - left).clamp(0, 1), 0
    for cell, weight in ((left, 1 - share), (left + 1, share)):
        near = field.place(field.encode((place - cell) / 1.5))
        values = values + weight * field.answer(memory[:, cell[:, 0].long()] + near)

# %% [markdown]
# ## The library's version
#
# One line, and the same numbers.

# %%
library = model.draw(seen, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values.cpu(), library, atol=1e-4)
began = time.perf_counter()
model.draw(seen, 64, seed=seed)(coords)
print(
    f"largest difference {(values.cpu() - library).abs().max():.1e}, over a field of spread {library.std():.2f}; "
    f"64 draws at {len(coords)} places took {time.perf_counter() - began:.1f} s"
)

# %% [markdown]
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how many draws, which sampler, how close. The query-scale slider only decodes: the
# draw stays. Each task's two scores stand below the picture, beside the ratio over many tasks, because one task's ratio is
# noise. Change the problem to `terrain2d` for real hills. The sliders move with the arrow keys.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# Fair CRPS, an error that is lowest on average for the right distribution, as a ratio to draws of the exact posterior:
# same observations, same number of draws. 1.00 is the best possible. *Predict:* where will classical kriging, which fits a kernel
# to the observations, be worst: with few of them or with many?

# %%
rivals = {"model": model, "kriging": nfd.baselines.get("kriging")}
table = compare(rivals, problem, counts=(1, 3, 10, 20), tasks=tasks, seed=seed)
curves = {name: table.ratio("crps", name).T.to_dict("list") for name in rivals}
found = {name: table.ratio("crps", name).loc["mean"] for name in rivals}
plots.ratios(
    curves,
    title=f"CRPS over exact, {tasks} tasks at each m: "
    + ", ".join(
        f"{name}\n{row['crps']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        for name, row in found.items()
    ),
)

# %% [markdown]
# Intervals are 95 %: so few tasks leave several percent open. The shipped weights carry what was measured over many more when
# they were made, with random places and noise of 0.05:

# %%
kept_scores({"sparse_conditional": model})

# %% [markdown]
# **Is the diffusion decoration?** The standardised residual $u$ has a covariance of its own. Measure it once, draw $u$ from the
# Gaussian with that covariance, and leave the rest as it is: no denoiser, no steps. And a second time with white noise for
# $u$. *Predict:* on Gaussian curves, how much worse is a Gaussian residual than the diffusion's?

# %%
views, many = recipes.views_for(problem), 1024 if budget != "smoke" else 96
fields = problem.draw(many, seed=seed + 1)
with torch.no_grad():
    given = net.condition(views(fields, seed=seed).to(model.device))
    on_grid = fields(nfd.cell_centres((128,))).movedim(-1, 1).to(model.device)
    residuals = given.residual(net.autoencoder.encode(on_grid)).flatten(1)
factor = torch.linalg.cholesky(residuals.T.cov() + 1e-4 * torch.eye(residuals.shape[1]).to(residuals))
rows = []
for m in (3, 8, 20):
    for i in range(3 * tasks):
        target = problem.draw(1, seed=3000 + i)
        some, goal = (
            nfd.observe(target, nfd.patterns.Random(count=m), noise_std=0.05, seed=i),
            target(coords)[0],
        )
        noise = white(32, (residuals.shape[1],), seed=i).to(model.device)
        answers = {
            "exact": oracle.draw(some, 32, seed=i),
            "diffusion": model.draw(some, 32, seed=i, steps=8),
            "Gaussian residual": model.fields(some, (noise @ factor.T).reshape(-1, *net.shape)),
            "white residual": model.fields(some, noise.reshape(-1, *net.shape)),
        }
        rows += [
            {"m": m, "": name, "CRPS": crps(f(coords), goal).item()} for name, f in answers.items()
        ]
control = pd.DataFrame(rows).groupby(["m", ""], sort=False)["CRPS"].mean().unstack()
control = control.div(control["exact"], axis=0).drop(columns="exact")
control.style.format("{:.2f}").set_caption(f"CRPS over exact, {3 * tasks} tasks at each m, 32 draws")

# %% [markdown]
# A Gaussian with one covariance for all layouts of observations costs little here: on Gaussian curves the encoder does most of the work, and
# the diffusion adds what depends on where the observations lie. Curves that jump are where it has more to do.

# %% [markdown]
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: its draws replaced by a Gaussian of their mean and
# covariance, which the exact posterior feels too; and the best linear answer, Bayes' rule with the mean and covariance of the same
# training functions, for what all networks together add. *Predict:* which costs more?
# `nfdlab ablate sparse_conditional sawtooth1d` measured it; the table is kept with the weights.

# %%
from nfdlab.evaluate import ablation

worth = ablation.worth(ablation.kept("sparse_conditional", "sawtooth1d"))["to full"]
plots.worth("sparse_conditional", "sawtooth1d")

# %% [markdown]
# On curves that jump the best linear answer has several times the error: the encoder and the diffusion do the work. The shape of the
# distribution, which a Gaussian of the same mean and covariance loses, is about a tenth of the score.
#
# ## Where it breaks
#
# *Predict:* (a) all observations in the left third; (b) two observations at the same place that contradict each other; (c) observations from a
# function of another kind, four times as wiggly. In which of the three will the band be honest? Kriging, which fits its kernel
# to each task, is asked too.

# %%
clash = Observations(torch.tensor([[-0.5], [0.3], [0.3]]), torch.tensor([[0.5], [1.2], [-1.2]]), 0.05)
wiggly = nfd.problems.get("gp1d", lengthscale=0.05)
other = wiggly.draw(1, seed=seed)
strange = nfd.observe(other, nfd.patterns.Random(count=20), noise_std=0.05, seed=seed)
rows = []
for i in range(3 * tasks):
    smooth, rough = problem.draw(1, seed=2000 + i), wiggly.draw(1, seed=2000 + i)
    third = nfd.observe(smooth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=i).coords / 3 - 2 / 3
    values = smooth(third)[0] + 0.05 * white(1, third.shape, seed=i)[0]
    one_side = Observations(third, values, 0.05)
    another = nfd.observe(rough, nfd.patterns.Random(count=20), noise_std=0.05, seed=i)
    for name, given, target, ruler in (
            ("one side", one_side, smooth, oracle), ("another kind", another, rough, wiggly.oracle())):
        for who, fitted in (("exact", ruler), ("model", model), ("kriging", nfd.baselines.get("kriging"))):
            low, high = interval(fitted.draw(given, 64, seed=i)(coords))
            within = (low <= target(coords)[0]) & (target(coords)[0] <= high)
            rows.append({"": name, "who": who, "in": within.float().mean().item()})
found = pd.DataFrame(rows).groupby(["", "who"], sort=False)["in"].agg(["mean", "std"]).unstack("who")
inside, error = found["mean"], found["std"] / (3 * tasks) ** 0.5
(inside.map("{:.0%}".format) + " ± " + error.map("{:.0%}".format)).style.set_caption(
    f"share of the truth in the 90 % band, mean and its standard error over {3 * tasks} tasks")

# %%
plots.bands(
    problem.card,
    seen=clash,
    exact=oracle.draw(clash, 64, seed=1),
    model=model.draw(clash, 64, seed=1),
    title="Two observations that contradict each other: what does the model draw?",
)

# %%
share = inside.loc["another kind"]
plots.bands(
    problem.card,
    truth=other,
    seen=strange,
    exact=wiggly.oracle().draw(strange, 64, seed=1),
    model=model.draw(strange, 64, seed=1),
    title=f"Functions of another kind: the model's 90 % band holds {share['model']:.0%} of them,\n"
    f"the right one {share['exact']:.0%}, kriging's {share['kriging']:.0%}",
)

# %% [markdown]
# (a) occurs in training, and the model's band holds about what the exact one holds. (b) never occurs in training; the exact
# posterior takes the mean of the two, since both carry the same noise. (c) is the lesson: **an amortised model answers with the
# confidence of the world it was trained in.** It has no way to notice that the world changed; kriging, which fits its kernel
# to the observations, has.
#
# ### Real hills
#
# The same approach, trained on the west of a map and asked about the east: 5 % of a 64 × 64 patch, with noise. There is no
# exact answer here; the rival is kriging with the best of four kernels, fitted to each patch. Hills are rough, so four
# numbers a cell would lose more than the observations leave open: here the latent is the whole training grid, folded into the cells.
# And $\mu$ starts from four krigings. *Predict:* who wins?

# %%
terrain = nfd.problems.held_out(nfd.problems.get("terrain2d"))
hill = terrain.draw(1, seed=seed + 3)
spots = nfd.observe(hill, nfd.patterns.Random(share=0.05), noise_std=0.05, seed=seed)
walker = nfd.load_or_train(
    "sparse_conditional",
    "terrain2d",
    seed=seed,
    device=device,
    budget=budget if budget == "reference" else "smoke",
)
hills, kriged = walker.draw(spots, 24, seed=seed), nfd.baselines.get("kriging").draw(spots, 24, seed=seed)
kept = walker.about["scores"]
words = (
    "not measured: trained here"
    if not kept
    else (
        f"over {kept['tasks']} patches CRPS {kept['crps']['mean']:.2f} of kriging's, RMSE {kept['rmse']['mean']:.2f}"
    )
)
plots.row(
    terrain.card,
    truth=hill,
    seen=spots,
    exact=kriged,
    model=hills,
    names=("kriging", "model"),
    title=f"Held-out terrain from one point in twenty: {words}",
)

# %%
fine = nfd.render(hills[:1], (1024, 1024) if budget != "smoke" else (128, 128))
coarse = nfd.render(hills[:1], (64, 64))
print(
    f"one draw, asked at {coarse.shape[1]}² and at {fine.shape[1]}² points; averaged back, they differ by "
    f"{(torch.nn.functional.avg_pool2d(fine[0, ..., 0][None], fine.shape[1] // 64) - coarse[0, ..., 0]).std():.3f}"
)
figure, (panes,) = style.picture(1, 2, size=(10.6, 5.4))
for ax, values in zip(panes, (coarse, fine), strict=True):
    mark = ax.imshow(
        values[0, ..., 0],
        cmap=style.FIELD_MAP,
        extent=(-1, 1, 1, -1),
        interpolation="nearest",
        vmin=coarse.min(),
        vmax=coarse.max(),
    )
    style.dress(
        ax, title=f"The same draw at {values.shape[1]} × {values.shape[2]}", x=terrain.card.axes[1]
    )
style.dress(panes[0], y=terrain.card.axes[0])
figure.colorbar(mark, ax=list(panes), label=terrain.card.units, shrink=0.8)
figure

# %%
plots.surface(terrain.card, hills, seen=spots, title="One draw of the hills, to turn in your hands")

# %% [markdown]
# A tie, and that is a lesson too: with observations this dense a kernel fitted to the patch is hard to beat. The model starts from
# four kernels, each weighted by how well it predicts the observations near by from the others, and that comes out no better than the
# best single one.
#
# **When to use it:** many tasks of one kind, any number and layout of observations, calibrated answers at once.
# **When not:** one task only (training costs more than kriging), or data unlike any you can train on. **Cost:** the minutes of
# training are in the table above; no fitting at the time of asking.
#
# ## Exercises
#
# **1 · Turn a knob.** How few sampler steps can you afford? Compare the spread of the draws at 4, 8 and 20 steps of Euler
# and of DPM-Solver++.
#
# <details><summary>Solution</summary>
#
# ```python
# for sampler in ("euler", "dpmpp"):
#     row = [model.draw(seen, 64, seed=1, steps=k, sampler=sampler)(coords).std(0).mean().item() for k in (4, 8, 20)]
#     print(sampler, [round(s, 3) for s in row], "exact", round(exact(coords).std(0).mean().item(), 3))
# ```
#
# </details>
#
# **2 · Change a line.** The observations say how noisy they are. What if they lie? Give the model 0.5 where the truth is
# 0.05.
#
# <details><summary>Solution</summary>
#
# ```python
# modest = Observations(seen.coords, seen.values, noise_std=0.5)
# honest, shy = (model.draw(s, 64, seed=1)(coords).std(0).mean().item() for s in (seen, modest))
# print(f"spread {honest:.3f} given 0.05, {shy:.3f} given 0.5")       # it trusts the observations less, as it should
# assert shy > honest or budget == "smoke"
# ```
#
# </details>
#
# **3 · Write a piece.** Where would one more observation help most? Score each place by the spread of the draws there, measure at the
# winner, and see how much the spread falls.
#
# <details><summary>Solution</summary>
#
# ```python
# where = coords[draws(coords).std(0)[:, 0].argmax()][None]
# value = truth(where)[0] + 0.05 * torch.randn(1, 1, generator=torch.Generator().manual_seed(seed))
# more = Observations(torch.cat([seen.coords, where]), torch.cat([seen.values, value]), 0.05)
# after = model.draw(more, 64, seed=seed)(coords).std(0).mean()
# print(f"measured at x = {where.item():.2f}: mean spread {draws(coords).std(0).mean():.3f} -> {after:.3f}")
# ```
#
# </details>
#
# ## Further reading
#
# - Gordon et al. 2020, *Convolutional conditional neural processes*: observations as density and mean on a grid.
# - Karras et al. 2022, *Elucidating the design space of diffusion-based generative models*: the denoiser language, the
#   preconditioning, the noise levels.
# - Lu et al. 2022, *DPM-Solver++*: second order for one evaluation a step.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*: the local field.
# - Mardani et al. 2023, *Residual corrective diffusion modeling*: diffuse what a regression leaves open.
# - Rasmussen & Williams 2006, *Gaussian processes for machine learning*: the exact answer, and kriging.
