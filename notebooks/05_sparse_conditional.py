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
# *before: [`00a_problems_and_rulers`](00a_problems_and_rulers.ipynb) · next: [`01_latent_field`](01_latent_field.ipynb)*
#
# ![exact band and model band on top of each other](pictures/05_sparse_conditional.png)
#
# ## Question
#
# **How good can a guess from sparse data be, and how close are we?**
#
# A few noisy numbers do not determine a curve. They leave a *distribution* over curves, the posterior. The curves here are sawtooths:
# straight rises and sudden jumps. Two numbers fix such a curve (how long its teeth are, where they begin), so one can try all pairs, and
# the posterior is known exactly. The *best linear answer* (optimal interpolation, a relative of kriging) is a Gaussian that knows only
# the curves' mean and covariance: how the values at two places vary together. How far is it from the exact posterior, and how close
# does a *conditional* diffusion come, one that is given the observations? Then the same is asked about handwritten digits.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 5  # how many observations are seen
tasks: int = 8  # how many tasks each number in the tables is averaged over
toy_steps: int = 400  # training steps of the smallest version
scale: int = 32  # how close the zoom goes, a power of two
guess: float = 0.5  # your prediction, see the first picture

# %%
import time

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import child, stream
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion.noise import white
from nfdlab.evaluate import ablation
from nfdlab.evaluate.calibration import interval
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots
from nfdlab.recipes import views_for

if budget == "smoke":
    tasks, toy_steps = 3, 30
problem, coords = nfd.problems.get("sawtooth1d"), nfd.cell_centres((256,))
# the exact posterior, and the best linear answer
oracle, linear = problem.oracle(), nfd.baselines.get("optimal_interpolation", problem)
truth = problem.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %% [markdown]
# With `budget = "reference"` the next cell loads the trained weights that come with the package. `"lesson"` trains a smaller model
# here, in two minutes of one core, with a live loss curve and a button to stop.

# %%
watch = LossWatch("field, then diffusion")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("sparse_conditional", problem, budget=budget, seed=seed, device=device, watch=watch)

# %% [markdown]
# ## Picture
#
# *Predict, and write it down* as `guess` in the cell of parameters: the black curve is the truth, the model sees only the observations.
# Where will its band be wide? And how large is its spread (standard deviation) on the whole, as a share of the exact one (blue)?
# Networks are often too sure: their bands are too narrow.

# %%
exact, draws = oracle.draw(seen, 64, seed=seed), model.draw(seen, 64, seed=seed)
spread = [f(coords).var(0).mean().sqrt().item() for f in (exact, draws)]
plots.bands(
    problem.card,
    truth=truth,
    seen=seen,
    exact=exact,
    model=draws,
    title=f"{keep} observations: the model's spread is {spread[1] / spread[0]:.2f} of the exact one "
    f"(you said {guess:g})",
)

# %% [markdown]
# The band is widest where a jump may lie. Every orange line is a *function*: asked at 256 places or at one, it gives the same
# value. To zoom is not to draw again.

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
# Let $S = \{(x_i, y_i)\}$ be the observations. Three parts, each small:
#
# 1. **A local latent.** The box is cut into 32 cells. $z$ holds the values of the function at 128 points, four in each cell, in units of
#    their standard deviation. A *field* turns $z$ into a function: $f(x) = \mathrm{lin}(z, x) + w(x)\,\mathrm{net}(z \text{ near } x,\, x)$,
#    linear interpolation plus what a local network adds between the points; $w$ is 0 at the points.
# 2. **An encoder.** It turns the observations into $e(S)$, features on the same cells: *SetConv* says how many observations are near, and
#    their mean; ordinary convolutions follow. Any number of observations, even none, gives features of the same shape.
# 3. **A conditional diffusion.** Add noise at a level $\sigma$, $z_\sigma = z + \sigma \varepsilon$, and let a network learn the mean of the clean
#    latent, given the noisy one *and the observations*; then walk from much noise to none, as in `00c` (there $z$ was the noisy one):
#
# $$D(z_\sigma, \sigma, e) \approx \mathbb{E}[z \mid z_\sigma,\; S], \qquad
#   \frac{\mathrm{d}z_\sigma}{\mathrm{d}\sigma} = \frac{z_\sigma - D(z_\sigma, \sigma, e)}{\sigma}, \qquad
#   D = \frac{z_\sigma}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\, F(z_\sigma, \sigma, e).$$
#
# The last formula is the wrapping of `00c` (`skip` and `out`) for numbers of spread 1, each taken for independent of the others (a
# *white* prior). $F$ is the network. There is no kriging inside, and no formula of a sawtooth: training examples are all it gets.

# %% [markdown]
# ## Smallest version
#
# From nothing: a grid of 64 points, observations as two channels on it, a few convolutions, the denoising loss. *Predict:* the best
# linear answer has several times the exact posterior's CRPS here (`00` explains it; lower is better). How many times will this toy have?

# %%
# views(functions): observations of each, at random places, mostly 0 to 32 of them
grid, unit, views = nfd.cell_centres((64,))[:, 0], 12**0.5, views_for(problem)  # a sawtooth's std is 1/√12
with torch.random.fork_rng():
    torch.manual_seed(seed)
    layers = [torch.nn.Conv1d(4, 48, 9, padding=4), torch.nn.SiLU()]
    for gap in (2, 4, 1):
        layers += [torch.nn.Conv1d(48, 48, 9, padding=4 * gap, dilation=gap), torch.nn.SiLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Conv1d(48, 1, 1))


def channels(seen):  # SetConv: (b, m) observations -> density and local mean at the points, (b, 2, 64)
    near = torch.exp(-(seen.coords - grid).square() / (2 * 0.03**2)) * seen.mask[..., None]  # mask: 0 for padding
    density, total = near.sum(1), (near * seen.values).sum(1)
    return torch.stack([density / (1 + density), unit * total / (density + 0.1)], 1)


def denoise(z, sigma, e):  # D(z, sigma, e) for z (b, 64), sigma (b, 1), e (b, 2, 64)
    total = (1 + sigma**2).sqrt()
    stack = torch.stack([z / total, (sigma.log() / 4).expand_as(z)], 1)
    return z / total**2 + sigma / total * net(torch.cat([stack, e], 1))[:, 0]


# %%
adam, rng, losses = torch.optim.Adam(net.parameters(), 2e-3), stream(seed, "toy"), []
for i in range(toy_steps):
    fields = problem.draw(64, seed=child(seed, "toy", i))  # 64 fresh sawtooths; child(…): another seed each step
    clean, e = unit * fields(grid[:, None])[..., 0], channels(views(fields, seed=child(seed, "toy views", i)))
    sigma = torch.exp(1.4 * torch.randn(64, 1, generator=rng))
    noisy = clean + sigma * torch.randn(clean.shape, generator=rng)
    weight = (1 + sigma**2) / sigma**2  # Karras et al. 2022: every level counts alike
    loss = (weight * (denoise(noisy, sigma, e) - clean).square()).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    losses.append(loss.item())
print(f"loss {sum(losses[:20]) / 20:.2f} -> {sum(losses[-20:]) / 20:.2f}")

# %%
levels = torch.cat([torch.linspace(20 ** (1 / 7), 0.02 ** (1 / 7), 24) ** 7, torch.zeros(1)])  # as 00c's karras
rows = []
for i in range(3 * tasks):
    target = problem.draw(1, seed=child(seed, "toy task", i))
    some = nfd.observe(target, nfd.patterns.Random(count=4), noise_std=0.05, seed=i)
    with torch.no_grad():
        e, z = channels(ObservationBatch.of([some])).expand(64, -1, -1), 20 * white(64, (64,), seed=i)
        for s, t in zip(levels[:-1], levels[1:], strict=True):  # Euler: from level s to level t
            z = torch.lerp(denoise(z, s.expand(64, 1), e), z, float(t / s))
    answers = {"toy": (z / unit)[..., None], **{name: one.draw(some, 64, seed=i)(grid[:, None]) for name, one in
               {"exact": oracle, "best linear answer": linear, "library": model}.items()}}
    rows.append({name: crps(values, target(grid[:, None])[0]).item() for name, values in answers.items()})
toy = pd.DataFrame(rows).mean()
toy = toy.div(toy["exact"])
toy.to_frame(f"CRPS over exact, m = 4, {3 * tasks} tasks").round(2)

# %% [markdown]
# The toy is a conditional diffusion in forty lines: it already beats every linear answer. What the library adds: a U-Net in place of
# four convolutions, SetConv channels on a finer grid, a field between the points, weights averaged over training, and more steps.
#
# > **How this differs from the papers.** Observations enter by SetConv, as in Gordon et al. 2020; the loss, the noise levels and
# > the wrapping (*preconditioning*) are those of Karras et al. 2022; the field is that of LIIF (Chen et al. 2021), made to pass through
# > the latent's values. Latent diffusions (Rombach et al. 2022) learn their latent; here it is read off the function, which costs
# > nothing to train. The sampler is not changed at all: it is the network that is given the observations.
#
# And the library's own draw, in plain PyTorch: encoder, noise levels, solver (DPM-Solver++, as `dpm` in `00c`), field.

# %%
n, steps, parts, auto = 4, 12, model.net, model.net.autoencoder
with torch.no_grad():
    e = parts.encoder(parts.setconv(ObservationBatch.of([seen]).to(model.device)))  # of the observations
    sigmas, before = model.sigmas(steps), None
    z = sigmas[0] * white(n, parts.shape, seed=seed).to(model.device)
    for s, t in zip(sigmas[:-1], sigmas[1:], strict=True):  # from level s to level t
        total = (1 + s**2).sqrt()
        F = parts.denoiser.net(z / total, (s.log() / 4).expand(1), e)
        clean = moved = z / total**2 + s / total * F
        if t == 0:
            z = clean
            break
        h = (s / t).log()  # Δ in 00c
        if before is not None:
            moved = clean + (clean - before[0]) * h / (2 * before[1])
        z, before = t / s * z + (1 - t / s) * moved, (clean, h)
    where, field = coords.to(model.device), auto.decoder.field
    memory = field.project(auto.decoder(z))  # (n, cells, width)
    place = (where + 1) / 2 * memory.shape[1] - 0.5  # in cells
    left = place.floor().clamp(0, memory.shape[1] - 2)
    share, added = (place - left).clamp(0, 1), 0
    for cell, weight in ((left, 1 - share), (left + 1, share)):  # the two cells beside each place
        near = field.place(field.encode((place - cell) / 1.5))
        added = added + weight * field.answer(memory[:, cell[:, 0].long()] + near)
    values = interpolate(auto.points(z), where) + auto.away(where) * added  # lin + w net

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
# How much is seen, which pattern, how noisy, how many draws, which sampler, how close. The slider `scale` only asks the same draws at
# other places. Below the picture stands the CRPS of model and exact posterior on this task, and the ratio over many tasks, because one
# task's ratio is mostly chance. Change the problem to `digits2d` for handwriting. The sliders move with the arrow keys.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# The CRPS, as a ratio to that of draws of the exact posterior: same observations, same number of draws. 1.00 is the best possible; $m$ is
# the number of observations. *Predict:* where will the best linear answer be worst: with few observations or with many?

# %%
rivals = {"model": model, "optimal_interpolation": linear}
table = compare(rivals, problem, counts=(2, 4, 8, 16), tasks=tasks, seed=seed)
found = {name: table.ratio("crps", name).loc["mean"] for name in rivals}
plots.ratios(
    {name: table.ratio("crps", name).T.to_dict("list") for name in rivals},
    title=f"CRPS over exact, {tasks} tasks at each m: "
    + ", ".join(
        f"{name}\n{row['crps']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for name, row in found.items()
    ),
)

# %% [markdown]
# With more observations the exact posterior gets sharp; the best linear answer does not, because it rounds every jump. So its ratio grows.
#
# ### Handwriting
#
# Real data: a digit from a few of its 784 pixels. Nobody knows the exact posterior here, so we compare with the best linear answer, from
# the same training digits. *Predict:* what will one draw of the diffusion look like, and what the mean of many?

# %%
digits = nfd.problems.held_out(nfd.problems.get("digits2d"))  # digits that no training saw
digit = digits.draw(1, seed=seed + 1)
pixels = nfd.observe(digit, nfd.patterns.Random(count=48), noise_std=0.05, seed=seed)
writer = nfd.load_or_train(
    "sparse_conditional",
    "digits2d",
    seed=seed,
    device=device,
    budget=budget if budget == "reference" else "smoke",
)
written = writer.draw(pixels, 48, seed=seed)
kept = writer.about["scores"]
words = (
    "not measured: trained here"
    if not kept
    else f"CRPS {kept['crps']['mean']:.2f} of the best linear answer's over {kept['tasks']} digits"
)
plots.ladder(
    digits.card,
    {"truth": digit, "one draw": written[:1], "another": written[1:2]},
    scales=(1, 2, 4),
    title=f"A held-out digit from {pixels.m} of 784 values:\n{words}",
)

# %%
plots.row(
    digits.card, truth=digit, seen=pixels, model=written, title="The mean of 48 draws, and where they disagree"
)

# %% [markdown]
# The draws are sharp strokes; the mean is blurred where they disagree. The next table was measured over many tasks when the shipped
# weights were made, at random places and noise of 0.05 (`head2d`: slices of a scanned head; `gp1d`: the smooth curves of `00`).

# %%
shipped = {"sawtooth1d": model, "digits2d": writer}
if budget == "reference":
    shipped |= {name: nfd.load("sparse_conditional", name, device=device) for name in ("head2d", "gp1d")}
kept_scores(shipped)

# %% [markdown]
# ## Who does the work?
#
# Take a part away and measure again, on the same tasks. *Gaussian draws*: the model's draws are replaced by draws of a Gaussian with the
# same mean and covariance (the same is done to the exact posterior, to see what that alone costs). `optimal_interpolation`: all networks
# are taken away, and the best linear answer remains. *Field silenced*: only the local network is taken away. *Predict:* which costs most?
# `nfdlab ablate sparse_conditional sawtooth1d` measured it; the table is kept with the weights.

# %%
worth = ablation.worth(ablation.kept("sparse_conditional", "sawtooth1d"))["to full"]
plots.worth("sparse_conditional", "sawtooth1d")

# %% [markdown]
# On curves that jump the best linear answer has several times the error: encoder and diffusion do the work. A Gaussian of the same
# mean and covariance loses the shape of the distribution, and that costs about a tenth of the CRPS.
# The local network of the field shows nothing in this table, and cannot: the CRPS is taken at the latent's own points, where it adds
# nothing.
#
# ## Where it breaks
#
# Three cases: (a) all observations in the left third; (b) two observations at the same place that contradict each other; (c) smooth
# curves, which this model never saw. *Predict:* in which of them will the 90 % band hold 90 % of the truth? Kriging, which fits its
# kernel to each task, is asked too.

# %%
smooth = nfd.problems.get("gp1d")
rows = []
for i in range(2 * tasks):
    jumps, other = problem.draw(1, seed=2000 + i), smooth.draw(1, seed=2000 + i)
    # places moved into the left third
    third = nfd.observe(jumps, nfd.patterns.Random(count=keep), noise_std=0.05, seed=i).coords / 3 - 2 / 3
    values = jumps(third)[0] + 0.05 * white(1, third.shape, seed=i)[0]
    one_side = Observations(third, values, 0.05)
    another = nfd.observe(other, nfd.patterns.Random(count=12), noise_std=0.05, seed=i)
    for name, given, target, ruler in (
            ("one side", one_side, jumps, oracle), ("another kind", another, other, smooth.oracle())):
        for who, fitted in (("exact", ruler), ("model", model), ("kriging", nfd.baselines.get("kriging"))):
            low, high = interval(fitted.draw(given, 64, seed=i)(coords))
            within = (low <= target(coords)[0]) & (target(coords)[0] <= high)
            rows.append({"": name, "who": who, "in": within.float().mean().item()})
table_in = pd.DataFrame(rows).groupby(["", "who"], sort=False)["in"].agg(["mean", "std"]).unstack("who")
inside, error = table_in["mean"], table_in["std"] / (2 * tasks) ** 0.5
(inside.map("{:.0%}".format) + " ± " + error.map("{:.0%}".format)).style.set_caption(
    f"share of the truth in the 90 % band, mean and its standard error over {2 * tasks} tasks")

# %%
clash = Observations(torch.tensor([[-0.5], [0.3], [0.3]]), torch.tensor([[0.2], [0.4], [-0.4]]), 0.05)
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
    seen=another,
    exact=smooth.oracle().draw(another, 64, seed=1),
    model=model.draw(another, 64, seed=1),
    title=f"Curves of another kind: the model's 90 % band holds {share['model']:.0%} of them,\n"
    f"the right one {share['exact']:.0%}, kriging's {share['kriging']:.0%}",
)
check = Exercises({
    1: (lambda few: few <= 12 or budget == "smoke", "Compare the spreads at 4, 8 and 20 steps."),
    2: (lambda answer: answer[1] > answer[0] or budget == "smoke", "Told of more noise, it should be less sure."),
    3: (lambda answer: answer[1] < answer[0] or budget == "smoke",
        "Is the new observation where the draws disagree most?"),
})

# %% [markdown]
# (a) occurs in training, and the model's band holds about what the exact one holds. (b) never occurs in training: 0.4 and −0.4 at one
# place fit a jump just there, and model and exact posterior both draw one. Look closely at the jumps in these pictures: now and then a
# draw goes too far, which no sawtooth does; there the local network continues the slope of the wrong side. (c) is the lesson. The model
# is *amortised*: trained once, then asked about any observations without a new fit. **An amortised model answers with the confidence of
# the world it was trained in.** It has no way to notice that the world changed; kriging, which fits its kernel to the observations, has.
#
# **When to use it:** many tasks of one kind, any number and layout of observations, sharp answers that are not too sure.
# **When not:** one task only (training costs more than kriging), or data unlike any you can train on. **Cost:** the minutes of
# training are in the table of shipped weights; no fitting when it is asked.
#
# ## Exercises
#
# Each solution ends in `check(number, answer)`, which says whether the answer holds.
#
# **1 · Turn a knob.** How few sampler steps can you afford? Compare the spread of the draws at 4, 8 and 20 steps of Euler
# and of DPM-Solver++.
#
# <details><summary>Solution</summary>
#
# ```python
# for sampler in ("euler", "dpmpp"):
#     row = {k: model.draw(seen, 64, seed=1, steps=k, sampler=sampler)(coords).std(0).mean().item() for k in (4, 8, 20)}
#     print(sampler, {k: round(s, 3) for k, s in row.items()}, "exact", round(exact(coords).std(0).mean().item(), 3))
# assert check(1, min(k for k in row if abs(row[k] / row[20] - 1) < 0.1))
# ```
#
# </details>
#
# **2 · Change a line.** The observations say how noisy they are (`noise_std`). What if that number is wrong? Give the model 0.5 where
# the truth is 0.05.
#
# <details><summary>Solution</summary>
#
# ```python
# modest = Observations(seen.coords, seen.values, noise_std=0.5)
# honest, shy = (model.draw(s, 64, seed=1)(coords).std(0).mean().item() for s in (seen, modest))
# print(f"spread {honest:.3f} given 0.05, {shy:.3f} given 0.5")       # it trusts the observations less, as it should
# assert check(2, [honest, shy])
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
# assert check(3, [draws(coords).std(0).mean(), after])
# ```
#
# </details>
#
# **Five questions.** What do the observations leave open, and where is it widest here? Why can the best linear answer not follow a jump? What does
# the encoder make of no observations at all? Which of the three failures above can the model not notice, and why? When is kriging the
# better choice?
#
# ## Further reading
#
# - Gordon et al. 2020, *Convolutional conditional neural processes* ([1910.13556](https://arxiv.org/abs/1910.13556)):
#   observations as density and mean on a grid.
# - Karras et al. 2022, *Elucidating the design space of diffusion-based generative models*
#   ([2206.00364](https://arxiv.org/abs/2206.00364)): the denoiser language, the preconditioning, the noise levels.
# - Lu et al. 2022, *DPM-Solver++* ([2211.01095](https://arxiv.org/abs/2211.01095)): second order for one evaluation a
#   step.
# - Ronneberger et al. 2015, *U-Net* ([1505.04597](https://arxiv.org/abs/1505.04597)): convolutions on a grid and on
#   coarser ones, added on the way up.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*
#   ([2012.09161](https://arxiv.org/abs/2012.09161)): the local field.
# - Rasmussen & Williams 2006, *Gaussian processes for machine learning*
#   ([gaussianprocess.org/gpml](https://gaussianprocess.org/gpml)): the best linear answer, and kriging.
