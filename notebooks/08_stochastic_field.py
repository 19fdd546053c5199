# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · A stochastic field: the same marginals, four noise functions
#
# ![four bundles of curves with the same band, and how often the maximum lies in its interval](pictures/08_stochastic_field.png)
#
# ## Question
#
# **Can every point be calibrated and the whole be wrong?**
#
# A field can be stochastic: $f(x, w)$ with $w$ a random number. Draw many $w$ and at each place you get the distribution of
# $f(x)$, which a one-dimensional diffusion can learn, whatever its shape. But a field is queried at many places. Does each get
# a $w$ of its own, do all get the same one, or something between? No score of single places can tell these apart.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 4  # how many observations are seen
tasks: int = 20  # how many tasks each number in the tables is averaged over
live: int = 300  # steps of the small trainings under "Where it breaks"

# %%
import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab import recipes
from nfdlab.approaches.stochastic_field import StochasticField
from nfdlab.approaches.stochastic_field.uncertainty import EpistemicUncertainty
from nfdlab.diffusion.noise import white
from nfdlab.diffusion.samplers import sample
from nfdlab.diffusion.schedule import karras
from nfdlab.evaluate.calibration import coverage, interval, rank_histogram
from nfdlab.evaluate.table import compare
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks, live = 2, 8
problem, saws = nfd.problems.get("gp1d"), nfd.problems.get("sawtooth1d")
coords, truth = nfd.cell_centres((128,)), problem.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %% [markdown]
# Two worlds: smooth Gaussian curves, and sawtooths. `budget = "lesson"` trains the first here, in two minutes of one core,
# with a live loss curve and a button to stop; the sawtooths always open from the weights that ship.

# %%
sawyer = nfd.load("stochastic_field", "sawtooth1d", device=device)
watch = LossWatch("a diffusion at each place, then the other heads")
if budget != "reference":
    display(watch)
model = nfd.load_or_train(
    "stochastic_field", problem, budget=budget, seed=seed, device=device, watch=watch
)

# %% [markdown]
# ## Picture
#
# One trained network, one distribution at each place, and four noise functions $w(x)$ pushed through it. All four are standard
# normal at every place, so all four bundles have the same 90 % band. In blue the exact posterior. *Predict:* in which of the four is
# the distribution of the maximum right?

# %%
WAYS = {
    "as the posterior": "posterior",
    "as the prior": "prior",
    "white noise": "white",
    "one number": "shared",
}
bundles = {"exact": problem.oracle().draw(seen, 400, seed=seed)}
bundles |= {words: model.using(noise=kind).draw(seen, 400, seed=seed) for words, kind in WAYS.items()}
figure, (axes,) = style.picture(1, 5, size=(13.4, 2.9), sharey=True)
for ax, (words, fields) in zip(axes, bundles.items(), strict=True):
    values, ink = fields(coords).cpu(), style.colour_of(words)
    ax.fill_between(
        coords[:, 0], *(end[:, 0] for end in interval(values)), color=ink, alpha=style.BAND_ALPHA, lw=0
    )
    ax.plot(coords[:, 0], values[:3, :, 0].T, color=ink, lw=style.THIN)
    ax.plot(coords[:, 0], truth(coords)[0, :, 0], color=style.TRUTH, lw=1.2)
    ax.scatter(seen.coords[:, 0], seen.values[:, 0], s=22, c=style.DOT, edgecolors=style.RING, zorder=5)
    top = values.amax(1)
    style.dress(
        ax, title=f"{words}:\nmaximum {top.mean():.2f} ± {top.std():.2f}", x=problem.card.axes[0]
    )
style.dress(axes[0], y=f"value ({problem.card.units})")
figure

# %% [markdown]
# One task is an anecdote. Over many tasks, with the exact posterior as the ruler: the first column of this table sees single
# places only; the last two ask how often the truth's maximum and its integral lie in the 90 % interval. *Predict* which
# columns notice.

# %%
ways = compare(
    {words: model.using(noise=kind) for words, kind in WAYS.items()},
    problem,
    counts=(keep,),
    tasks=tasks,
    seed=seed + 1,
)
means = ways.summary().xs("mean", level="m")[
    ["crps", "energy", "variogram", "coverage90", "maximum90", "integral90"]
]
means.style.format("{:.2f}").set_caption(
    f"ratios to exact, and shares; {keep} observations, {tasks} tasks: a share of "
    f"0.90 has a standard error of {(0.09 / tasks) ** 0.5:.2f}"
)

# %%
worst = means["maximum90"].drop("exact").sub(0.9).abs().idxmax()
print(
    f"coverage at places, smallest and largest: {means['coverage90'].min():.2f}, {means['coverage90'].max():.2f}; "
    f"coverage of the maximum with {worst!r}: {means.loc[worst, 'maximum90']:.2f}"
)

# %% [markdown]
# Yes: every point can be calibrated and the whole be wrong. CRPS, and any score that is a mean over places, is blind to how
# places are correlated; the energy score sees a little of it; the variogram score and functionals of whole draws see it.
#
# ## Idea in symbols
#
# From the observations $S$ comes a best linear answer $\mu(x)$ with standard deviation $s(x)$, in closed form from mean and
# covariance: for a Gaussian field that *is* the posterior, and there is nothing left to learn. What it leaves open is a number at
# each place, $r = (f(x) - \mu(x))/s(x)$. A one-dimensional diffusion learns the distribution of $r$ from features $h(x)$ of the
# observations:
#
# $$D(y, \sigma, h(x)) \approx \mathbb{E}[r \mid y = r + \sigma\varepsilon,\, S], \qquad
#   \frac{\mathrm{d}y}{\mathrm{d}\sigma} = \frac{y - D(y, \sigma, h(x))}{\sigma}.$$
#
# In one dimension paths do not cross. So the flow from much noise to none is a *rising map* $T(x, \cdot)$ that takes a
# standard normal to the distribution of $r$: a quantile function, found by integrating the flow. A draw is
#
# $$f(x, w) = \mu(x) + s(x)\, T\big(x, w(x)\big), \qquad w(x) \sim \mathcal{N}(0, 1) \text{ at every } x.$$
#
# $T$ is learned. The covariance of the noise function $w$ is *chosen*: here that of a Gaussian given the same observations. Since
# all draws share $T$, it is tabulated once; a thousand draws cost what one does.

# %% [markdown]
# ## Smallest version
#
# The library hides nothing. Given the trained parts, here is the whole of a draw in plain PyTorch, with Euler's steps: the
# map at a few knots of $w$, the noise function, and the interpolation in the table.

# %%
n, steps, net = 4, 24, model.net
expansion, denoiser = net.encoder.expansion, net.heads["diffusion"].denoiser
knots, places = net.table.knots, net.table.places
with torch.no_grad():
    posterior, memory = model.condition(seen)
    mean, variance = expansion.predict(posterior, places)                    # (1, places, 1): the best linear answer
    h = net.encoder.read(memory, mean, variance.sqrt(), places)[0]
    sigmas = denoiser.noise_levels.sigmas(steps).to(model.device)
    y = (1 + sigmas[0] ** 2).sqrt() * knots[:, None, None].expand(-1, len(places), 1)
    for s, t in zip(sigmas[:-1], sigmas[1:], strict=True):
        total = (1 + s**2).sqrt()
        F = denoiser.net.net(y / total, s.log().reshape(1, 1, 1) / 4, h)
        D = y / total**2 + s / total * F                                     # Karras et al. 2022, with sigma_data = 1
        y = y + (t - s) * (y - D) / s
    T = y.sort(0).values[..., 0]                                             # (knots, places), rising

    numbers, r = model.noise_function(posterior).numbers(n, seed=seed), expansion.rank
    a, corners = numbers[:, :r], numbers[:, r:]              # weights of the expansion; white noise on a grid
    at = (places[:, 0] + 1) / 2 * (corners.shape[1] - 1)
    left = at.floor().clamp(0, corners.shape[1] - 2).long()
    part, rest = at - left, expansion.residual_variance(places)[0, :, 0]
    white_part = ((1 - part) * corners[:, left] + part * corners[:, left + 1]) / ((1 - part) ** 2 + part**2).sqrt()
    w = (a @ expansion.rows(places).T + rest.sqrt() * white_part) / variance[0, :, 0].sqrt()

    k = torch.bucketize(w, knots).clamp(1, len(knots) - 1) - 1               # between which knots, and how far
    low, high = T.T[torch.arange(len(places)), k], T.T[torch.arange(len(places)), k + 1]
    part = (w - knots[k]) / (knots[k + 1] - knots[k])
    values = mean[0, :, 0] + variance[0, :, 0].sqrt() * (low + (high - low) * part)

# %% [markdown]
# ## The library's version
#
# One line, and the same numbers. And since a draw is a function, it is the same one at 64 times the resolution.

# %%
draws = model.draw(seen, n, seed=seed, steps=steps, sampler="euler")
assert torch.allclose(values.cpu(), draws(places.cpu())[..., 0], atol=1e-3)
fine = draws(nfd.cell_centres((64 * 64,)))
print(
    f"largest difference {(values.cpu() - draws(places.cpu())[..., 0]).abs().max():.1e}; std at 64 places "
    f"{draws(nfd.cell_centres((64,))).std():.3f}, at 4096 {fine.std():.3f}"
)

# %% [markdown]
# **Aleatoric and epistemic uncertainty.** The band has two causes. *Aleatoric* uncertainty is what these observations leave open;
# more training would not change it. *Epistemic* uncertainty comes from training on a finite number of functions; others would have
# given other weights. For the last layer it has a closed form (a least-squares fit, whose weights have a standard deviation that
# falls as $1/\sqrt N$). *Predict:* how many training functions until the epistemic part is a tenth of the aleatoric one?

# %%
sizes = (4, 25, 100, 400)
uncertainty = EpistemicUncertainty.of(
    model, problem, recipes.views_for(problem), functions=256, seed=seed
)
split = {
    N: [
        x.mean().item() for x in uncertainty.split(seen, coords, learned_from=N, heads=4, seed=seed)
    ]
    for N in sizes
}
enough = next(
    (N for N, (aleatoric, epistemic) in split.items() if epistemic < aleatoric / 10),
    f"more than {sizes[-1]}",
)
print(f"epistemic std is below a tenth of aleatoric std from {enough} functions on")
pd.DataFrame(split, index=["aleatoric", "epistemic"]).T.rename_axis("functions").round(4)

# %% [markdown]
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how close: the query-scale slider only decodes. The sliders move with the arrow keys.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# On the same features, two other marginal heads: a *quantile network* (one step, no diffusion) and a *Gaussian* with a
# calibrated standard deviation; and kriging, which fits a kernel to the observations. *Predict:* on Gaussian curves, who wins? On
# sawtooths, where the distribution at a place may have two modes?

# %%
rivals = {name: model.using(head=name) for name in ("diffusion", "quantile", "gaussian")}
smooth = compare(
    {**rivals, "kriging": nfd.baselines.get("kriging")},
    problem,
    counts=(3, 10),
    tasks=max(2, tasks // 3),
    seed=seed,
)
jagged = compare(
    {name: sawyer.using(head=name) for name in rivals},
    saws,
    counts=(2, 4),
    tasks=max(2, tasks // 3),
    seed=seed,
)
pd.concat(
    {
        t.problem: t.summary(intervals=True).xs("mean", level="m")[
            ["crps", "crps_low", "crps_high", "energy", "variogram", "coverage90", "maximum90"]
        ]
        for t in (smooth, jagged)
    }
).style.format("{:.2f}").set_caption(
    f"{max(2, tasks // 3)} tasks at each m; 95 % interval of the CRPS"
)

# %% [markdown]
# So few tasks cannot rank heads whose intervals overlap. Over many more, the shipped weights scored this when they were made (random
# places, noise 0.05; m is the number of observations):

# %%
kept = {fitted.about["problem"]: fitted.about["scores"] for fitted in (model, sawyer)}
pd.concat(
    {
        f"{name}, {s['tasks']} tasks": pd.DataFrame(
            {column: s[column] for column in means.columns}
        ).drop(["mean", "worst"])
        for name, s in kept.items()
        if s
    },
    names=["", "m"],
).style.format("{:.2f}")

# %% [markdown]
# On Gaussian curves no network is needed: the best linear answer is the posterior, and the heads learn not to spoil it.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the network silenced, so that its Gaussian prior answers
# alone; and its draws replaced by a Gaussian of their mean and covariance, which the exact posterior feels too. *Predict:*
# which costs most? `nfdlab ablate stochastic_field sawtooth1d` measured it; the table is kept with the weights.

# %%
from nfdlab.evaluate import ablation

worth = ablation.worth(ablation.kept("stochastic_field", "sawtooth1d"))["to full"]
plots.worth("stochastic_field", "sawtooth1d")

# %% [markdown]
# Curves that jump need the network: without it the field has more than three times the error. Yet the place where it jumps is drawn
# anew at each point, and a Gaussian of the same mean and covariance loses little more than it costs the exact posterior.
#
# ## Where it breaks
#
# **(a) Sawtooths.** Two numbers make the whole curve, so all places must agree on one answer; a noise function that only
# has the right covariance cannot make them. *Predict:* will the histogram of ranks be flat? Will the curves be sawtooths?

# %%
ranks, inside = [], []
for i in range(tasks):
    target = saws.draw(1, seed=1000 + i)
    spots = nfd.observe(target, nfd.patterns.Random(count=keep), noise_std=0.05, seed=i)
    found, goal = sawyer.draw(spots, 64, seed=i)(coords), target(coords)[0]
    ranks.append(rank_histogram(found, goal, bins=13))
    inside.append(
        torch.stack(
            [coverage(found, goal), found.diff(dim=1).abs().sum(1).mean(), goal.diff(dim=0).abs().sum()]
        )
    )
at_places, variation, right_variation = torch.stack(inside).mean(0).tolist()
figure, (axes,) = style.picture(1, 3, size=(11.6, 3.0))
axes[0].bar(range(13), torch.stack(ranks).mean(0), color=style.MODEL)
style.dress(
    axes[0], title=f"Places: {at_places:.0%} of truths in the 90 % interval", x="rank of the truth", y="share"
)
for ax, who, fitted, colour in (
    (axes[1], "exact", saws.oracle(), style.EXACT),
    (axes[2], "model", sawyer, style.MODEL),
):
    ax.plot(coords[:, 0], fitted.draw(spots, 3, seed=1)(coords)[..., 0].T, color=colour, lw=1.0)
    ax.scatter(spots.coords[:, 0], spots.values[:, 0], s=22, c=style.DOT, edgecolors=style.RING, zorder=5)
    style.dress(ax, title=f"Three draws, {who}", x=saws.card.axes[0])
axes[2].set_title(
    f"Three draws, model: their total variation\nis {variation / right_variation:.2f} times a sawtooth's",
    loc="left",
    fontsize=9,
)
figure

# %% [markdown]
# **(b) White noise and the query scale.** Take the *exact* denoiser of the prior at $p$ places, start from white noise at
# $\sigma = 10$, and query more and more places. No network is wrong here. *Predict:* what happens to the standard deviation?

# %%
lost = {}
for p in (32, 64, 128, 256, 512):
    prior = problem.prior.at(nfd.cell_centres((p,))) if budget != "smoke" or p < 100 else None
    if prior is not None:
        sigmas = karras(30, 0.01, 10.0)
        x = sample(prior.denoiser(), sigmas[0] * white(48, (p,), seed=seed), sigmas, method="heun")
        lost[p] = x.var().item() ** 0.5
ours = {p: model.draw(None, 200, seed=seed)(nfd.cell_centres((p,))).std().item() for p in lost}
pd.DataFrame({"white noise, exact denoiser": lost, "a noise function": ours}).rename_axis(
    "places"
).round(2)

# %% [markdown]
# White noise has no limit as places grow dense: neighbours average it away, and a start at $\sigma = 10$ is no longer pure
# noise in the directions that matter. A noise *function* is the same at any resolution.
#
# **(c) A step.** Trained here, for a few hundred steps: a step from 0 to 1 somewhere. The distribution at a place has two points, and the map
# has a jump, which a Gaussian head cannot represent.

# %%
steps1d = nfd.problems.get("step1d")
small = StochasticField(
    calibration_functions=512,
    width=32,
    encoder_dilations=(1, 2),
    head_layers=(48, 2),
    batch=32,
    queries=24,
    lr=4e-3,
    table_side=64,
)
stepper = nfd.train(small, steps1d, budget=nfd.Budget(steps=live), seed=seed, device=device)
edge = nfd.Observations(torch.tensor([[-0.6], [0.7]]), torch.tensor([[0.0], [1.0]]), 0.05)
between, rows = torch.linspace(-0.5, 0.6, 12)[:, None], {}
for name, fitted in {
    "exact": steps1d.oracle(),
    **{head: stepper.using(head=head) for head in rivals},
}.items():
    values = fitted.draw(edge, 300, seed=seed)(between)
    near = torch.minimum(values.abs(), (values - 1).abs()) < 0.1
    rows[name] = {
        "mean": values.mean().item(),
        "std": values.std().item(),
        "within 0.1 of 0 or 1": near.float().mean().item(),
    }
pd.DataFrame(rows).T.round(2)

# %% [markdown]
# Mean and standard deviation hardly tell the three apart; the last column does. After so short a training the diffusion only
# begins to have two modes; a Gaussian never will, however long it trains.
#
# **When to use it:** when single places are queried, or fields are close to Gaussian: calibrated, any number of draws for the
# price of one, any resolution. **When not:** when whole functions are alternatives; then places must be diffused together.
# **Cost:** training once; then one table for each set of observations, and an interpolation for each draw.
#
# ## Exercises
#
# **1 · Turn a knob.** The integral over the box: with which noise is its interval too narrow, with which too wide?
#
# <details><summary>Solution</summary>
#
# ```python
# for words, kind in WAYS.items():
#     print(words, model.using(noise=kind).draw(seen, 300, seed=1)(coords).mean(1).std().item())
# # independent places average out, so the integral hardly varies; one shared number varies most
# ```
#
# </details>
#
# **2 · Change a line.** No draws are needed for the marginals: read the 5 %, 50 % and 95 % quantiles off the map, and compare
# with those of 500 draws.
#
# <details><summary>Solution</summary>
#
# ```python
# w = torch.special.ndtri(torch.tensor([0.05, 0.5, 0.95])).to(model.device)
# read_off = model.quantiles(seen, coords, w)[..., 0]
# values = model.draw(seen, 500, seed=1)(coords)
# drawn = torch.stack([values[..., 0].quantile(q, 0) for q in (0.05, 0.5, 0.95)])
# print(f"largest difference {(read_off - drawn).abs().max():.3f}")
# assert (read_off - drawn).abs().max() < 0.5
# ```
#
# </details>
#
# **3 · Write a piece.** Two dimensions, real hills: train on the west of a map for a few steps, predict the east. Where is
# the field uncertain? (`budget="lesson"` and the usual sizes make a real one of it.)
#
# <details><summary>Solution</summary>
#
# ```python
# hills = nfd.problems.get("terrain2d")
# tiny = StochasticField(calibration_functions=256, expansion_rank=64, width=16, encoder_dilations=(1, 2), head_layers=(32, 1),
#                        batch=4, knots=17)
# walker = nfd.train(tiny, hills, budget=nfd.Budget(steps=8), device=device)
# hill = nfd.problems.held_out(hills).draw(1, seed=3)
# spots = nfd.observe(hill, nfd.patterns.Random(count=80), noise_std=0.05, seed=1)
# square = nfd.cell_centres((24, 24))
# mean, std = walker.moments(spots, square)
# print(f"std from {std.min():.2f} to {std.max():.2f}")
# assert torch.isfinite(mean).all()
# ```
#
# </details>
#
# ## Further reading
#
# - Han, Zheng & Zhou 2022, *CARD: classification and regression diffusion models*: a diffusion for one number at each place.
# - Dutordoir et al. 2023, *Neural diffusion processes*: the other way, all places diffused together.
# - Zhang & Wonka 2024, *Functional diffusion*: noise that is a function, so that draws have any resolution.
# - Scheuerer & Hamill 2015, *Variogram-based proper scoring rules*: a score that sees how places are correlated.
# - Daxberger et al. 2021, *Laplace redux*: epistemic uncertainty of the last layer, after training.
# - Mardani et al. 2023, *Residual corrective diffusion modeling*: diffuse what a simpler answer leaves open.
