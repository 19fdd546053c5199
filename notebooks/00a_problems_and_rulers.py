# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00a · Problems and rulers: what is the best possible answer, and how do you know it?
#
# *before: [`00c_diffusion_primer`](00c_diffusion_primer.ipynb) · next: [`05_sparse_conditional`](05_sparse_conditional.ipynb)*
#
# ![four kinds of curve, the same places seen, and all the curves that are still possible](pictures/00a_problems_and_rulers.png)
#
# ## Question
#
# **What is the best possible answer, and how do you know it?**
#
# Somebody hides most of a function from you. How good can a guess be? No network can tell you, and no test set: a bad score
# may mean a bad model, or a question nobody could answer. This lesson has no network in it. It shows the problems of the
# kit, hides data, and computes the *exact posterior*: the right distribution over what is still possible. Where it is
# known, the networks of the other lessons are measured against it.
#
# You need PyTorch, nothing else. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 5  # how many observations are seen
pattern: str = "random"  # random | grid | block | lines | clusters | border
tasks: int = 8  # how many tasks each number in the tables is averaged over
guess: str = "block"  # your prediction, see the patterns

# %% [markdown]
# ## Picture
#
# Four kinds of random curve, all observed at the same few places, with the same small noise. *Predict:* do the observations
# leave equally much open in each?

# %%
import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.types import Observations
from nfdlab.evaluate import scores
from nfdlab.evaluate.table import compare
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import plots, style

if budget == "smoke":  # nothing is trained here: a budget is a number of tasks
    tasks = 3
line = nfd.cell_centres((256,))
layout, answers = nfd.patterns.ALL[pattern](count=keep), {}
for name in ("gp1d", "sawtooth1d", "families1d", "step1d"):
    kind = nfd.problems.get(name)
    truth = kind.draw(1, seed=seed)
    seen = nfd.observe(truth, layout, noise_std=0.05, seed=seed)
    before, after = (kind.oracle().moments(s, line)[1].square().mean().sqrt() for s in (None, seen))
    answers[f"{name}: {after / before:.0%} left"] = (truth, seen, kind.oracle().draw(seen, 64, seed=seed))
plots.fans(answers, title=f"The same {keep} places, four kinds of curve: how much of the spread is left")

# %% [markdown]
# Black is the truth. Every blue line is a draw of the exact posterior: a curve that fits the observations up to their noise. What
# observations tell depends on which curves there are, so there is no best answer without a *prior*: which functions there are,
# and how often each. Each problem of the kit is such a prior, a small world. In the next picture, blue names: the posterior is
# known exactly. Grey: real data, or shapes without a formula, where nobody knows it. (One more, `arrays`, is your own data.)

# %%
problems = {name: nfd.problems.get(name) for name in nfd.problems.names() if name != "arrays"}
exact = [name for name, kind in problems.items() if kind.oracle() is not None]
display(
    plots.meet(
        list(problems.values()),
        seed=seed + 3,
        title=f"{len(problems)} problems, {len(exact)} of them with an exact posterior",
    )
)
pd.DataFrame(
    {
        name: {"what makes it hard": kind.card.hard, "exact posterior": kind.card.exact}
        for name, kind in problems.items()
    }
).T.style.set_properties(**{"text-align": "left"}).set_table_styles([{"selector": "th", "props": "text-align: left"}])

# %% [markdown]
# A *pattern* says where a function is observed, in any number of coordinates; in films and other space-time problems the first of
# them is time. One pattern follows the function itself: `outline` observes near a contour.
#
# *Predict, and write it down* as `guess` in the cell of parameters: eight observations of a smooth curve, placed in six ways: `grid`,
# `random`, `border`, `block`, `lines`, `clusters`. Which way leaves most open?

# %%
kinds = [problems[name] for name in ("gp1d", "discs2d", "drift1dt")]
display(plots.gallery(kinds, seed=seed + 2))
left = {}
for name in ("grid", "random", "border", "block", "lines", "clusters"):
    seens = [nfd.observe(kinds[0].draw(1, seed=i), nfd.patterns.ALL[name](count=8), seed=i) for i in range(4 * tasks)]
    stds = [kinds[0].oracle().moments(seen, line)[1].square().mean() for seen in seens]
    left[name] = torch.stack(stds).mean().sqrt().item()
pd.Series(left, name="spread left").sort_values().to_frame().style.format("{:.0%}").set_caption(
    f"gp1d, 8 observations, {4 * tasks} curves: {max(left, key=left.get)} leaves most (you said {guess})"
)

# %% [markdown]
# Observations close together tell nearly the same thing, and leave other stretches open.
#
# ## Idea in symbols
#
# A *prior* $p(f)$ says which functions there are. Observations $y_i = f(x_i) + s\,\varepsilon_i$ weigh each of them by how well it
# explains what was seen:
#
# $$p(f \mid y) \;\propto\; p(f)\, \exp\Big(-\sum_i \frac{(y_i - f(x_i))^2}{2 s^2}\Big).$$
#
# That is Bayes' rule. It can be computed for three kinds of prior: *Gaussian* functions, where it is linear algebra; functions of
# a *few parameters*, where one can try them all; and mixtures of those. The *exact denoiser* comes with it, the mean of the
# clean values, given the noisy ones and the observations: $D^*(z, \sigma) = \mathbb{E}[f \mid f + \sigma\varepsilon = z,\; y]$.
#
# ## Smallest version
#
# For smooth Gaussian curves, the textbook's formula, written out. Their kernel, the covariance of the values at two places, is
# $e^{-|x - x'|^2/2\ell^2}$. Where one or two numbers say the whole curve: list all the curves, weigh each, and average.

# %%
smallest = {name: nfd.observe(problems[name].draw(1, seed=seed), layout, noise_std=0.05, seed=seed)
            for name in ("gp1d", "step1d", "sawtooth1d")}
gp, seen, mine = problems["gp1d"], smallest["gp1d"], {}
x, y, q = seen.coords.double(), seen.values.double(), line.double()
near, across = (torch.exp(-(a - x.T).square() / (2 * gp.lengthscale**2)) for a in (x, q))
solved = torch.linalg.solve(near + seen.noise_std**2 * torch.eye(len(x)), torch.cat([y, across.T], 1))
mine["gp1d"] = across @ solved[:, 0], (1 - (across * solved[:, 1:].T).sum(1)).clamp_min(0).sqrt()

steps, teeth = torch.linspace(-1, 1, 20001)[:, None], (torch.arange(400) + 0.5) / 400
for name, params, rule in (("step1d", steps, lambda p, x: (x > p).float()),
                           ("sawtooth1d", torch.cartesian_prod(teeth, teeth),
                            lambda p, x: torch.remainder((1.5 + p[:, :1]) * x + p[:, 1:], 1) - 0.5)):
    seen = smallest[name]
    misfit = (rule(params, seen.coords.T) - seen.values.T).square().sum(1)
    weight = (-(misfit - misfit.min()) / (2 * seen.noise_std**2)).double().exp()
    likely = weight > 1e-9
    weight, curves = weight[likely] / weight[likely].sum(), rule(params[likely], line.T).double()
    mine[name] = weight @ curves, (weight @ (curves - weight @ curves).square()).sqrt()

for name, (mean, std) in mine.items():
    library = problems[name].oracle().moments(smallest[name], line)
    off = [(a - b[:, 0]).abs().mean().item() for a, b in zip((mean, std), library, strict=True)]
    assert max(off) < (1e-4 if name == "gp1d" else 0.01)                   # a tooth is 1 high; 400 × 400 were tried
    print(f"{name}: mean and spread differ from the library's by {off[0]:.0e} and {off[1]:.0e}")

# %% [markdown]
# ## The library's version
#
# `problem.oracle()` is the exact posterior as an object: `draw(seen, n, seed=)` gives n functions, `moments` mean and
# spread, `at(seen, places)` the joint distribution at some places. Three discoveries with it.
#
# ### One: a mean is not a draw
#
# Three observations of a sawtooth. On average no answer has a smaller squared error than the posterior mean. *Predict:* how many
# jumps of more than half a tooth are in the truth, in each draw, and in the mean of the draws?

# %%
saw, three, fine = problems["sawtooth1d"], nfd.patterns.Random(count=3), nfd.cell_centres((2048,))
truth = saw.draw(1, seed=seed)
seen = nfd.observe(truth, three, noise_std=0.05, seed=seed)
draws = saw.oracle().draw(seen, 64, seed=seed)
mean = EvaluatedFields(lambda coords, part: draws(coords).mean(0, keepdim=True), 1, 1)
jumps = [(f(fine).diff(dim=1).abs() > 0.5).sum((1, 2)).float().mean().item() for f in (truth, draws, mean)]
errors, roughness = torch.zeros(2), torch.zeros(2)
for i in range(6 * tasks):
    target = saw.draw(1, seed=1000 + i)
    given = nfd.observe(target, three, noise_std=0.05, seed=1000 + i)
    values, goal = saw.oracle().draw(given, 65, seed=i)(line), target(line)[0]
    kinds = values[64:], values[:64].mean(0, keepdim=True)  # one draw; the mean of 64
    errors += torch.stack([scores.mse(v, goal) for v in kinds]) / (6 * tasks)
    roughness += torch.stack([v.diff(dim=1).abs().sum() / goal.diff(dim=0).abs().sum() for v in kinds]) / (6 * tasks)
assert errors[1] < errors[0] and roughness[1] < roughness[0]
print(
    f"over {6 * tasks} tasks: squared error of one draw {errors[0]:.3f}, of the mean {errors[1]:.3f}; "
    f"way up and down, to the truth's: {roughness[0]:.2f} and {roughness[1]:.2f}"
)
plots.bands(
    saw.card,
    truth=truth,
    seen=seen,
    exact=draws,
    mean=mean,
    band=False,
    curves=3,
    title=f"Jumps: truth {jumps[0]:.0f}, each draw {jumps[1]:.1f}, their mean {jumps[2]:.0f}",
)


# %% [markdown]
# The mean wins on squared error by being a curve that cannot occur: its jumps are averaged away. Squared error therefore
# cannot tell whether an answer looks like a truth. So the kit scores *distributions*: many draws against one truth.
#
# ### Two: where to measure
#
# A step up at an unknown place, no noise. Each measurement says whether the step is to the left or to the right. *Predict:* how
# much of the box is still open after eight measurements: at random places, on a grid, each in the middle of what is open? And if
# you only have $N = 5$ draws of the posterior, and measure where half of them have made their step?

# %%
def still_open(seen):
    """The ends of the piece of the box where the step may be, by the exact posterior."""
    posterior = step.prior.posterior(seen)
    alive = posterior.log_weights.exp() > 1e-9
    return posterior.edges[:-1][alive].min().item(), posterior.edges[1:][alive].max().item()


N, most, many = 5, 8, 8 * tasks
step, rng, split = problems["step1d"], torch.Generator().manual_seed(seed), f"where {N} draws are split"
length = {way: torch.zeros(many, most + 1) for way in ("at random", "on a grid", split, "in the middle")}
for way, found in length.items():
    for i in range(many):
        truth, x = step.draw(1, seed=i), torch.empty(0, 1)
        for k in range(most + 1):
            if way == "on a grid" and k:  # planned ahead, k measurements in all
                x = nfd.cell_centres((k,))
            seen = Observations(x, truth(x)[0], 0.0)
            low, high = still_open(seen)
            found[i, k] = high - low
            new = 2 * torch.rand(1, generator=rng) - 1 if way == "at random" else torch.tensor([(low + high) / 2])
            if way == split:
                inside = torch.linspace(low, high, 402)[1:-1, None]
                up = step.oracle().draw(seen, N, seed=1000 * i + k)(inside).mean((0, 2))
                new = inside[(up < 0.5).sum().clamp_max(399)]
            x = torch.cat([x, new[None].reshape(1, 1)])

# %%
shrinks = {way: (found[:, 1:] / found[:, :-1]) for way, found in length.items()}
law, error = (N + 3) / (2 * (N + 2)), shrinks[split].std() / shrinks[split].numel() ** 0.5
assert (shrinks["in the middle"] - 0.5).abs().max() < 1e-4
assert (shrinks[split].mean() - law).abs() < 4 * error
figure, ((ax,),) = style.picture(size=(8.2, 3.4))
ways = zip(
    length.items(), ("--", "-", "-", "-"), (style.BASELINE, style.BASELINE, style.EXACT, style.TRUTH), strict=True
)
for (way, found), line_style, colour in ways:
    ax.semilogy(
        range(most + 1),
        found.mean(0),
        line_style,
        marker="o",
        ms=4,
        color=colour,
        label=f"{way}: {found.mean(0)[-1]:.2g} left",
    )
style.dress(
    ax,
    x="measurements",
    y="length still open (box: 2)",
    title=f"Measuring in the middle leaves {shrinks['in the middle'].mean():.2f}; split by {N} draws "
    f"{shrinks[split].mean():.2f} (law: {law:.2f})",
)
style.legend(ax, loc="lower left")
figure

# %% [markdown]
# For odd $N$ a measurement at the median of $N$ draws leaves $(N+3)/(2(N+2))$ of the length on average: with one draw two thirds,
# with many a half. So draws alone tell where to measure; no formula for the posterior is needed.
#
# ### Three: the wagon wheel
#
# A pattern drifts forwards or backwards, and only every $g$-th frame is seen, whole. *Predict:* the more frames the better?
# What will the exact posterior's odds of the right direction be (its probability, from 0 to 1), for $g = 1, 2, \dots, 8$?

# %%
wheel, odds = problems["two_speed1dt"], {}
for gap in range(1, 9):
    found = []
    for i in range(2 * tasks):
        film = wheel.prior.parts[i % 2].draw(1, seed=i)  # forwards and backwards in turn
        posterior = wheel.prior.posterior(nfd.observe(film, nfd.patterns.Frames(every=gap), noise_std=0.05, seed=i))
        found.append(posterior.log_weights.exp()[i % 2].item())
    odds[gap] = sum(found) / len(found)
assert min(odds[g] for g in (2, 3, 7)) > 0.9 and abs(odds[5] - 0.5) < 0.1
figure, ((ax,),) = style.picture(size=(8.2, 2.7))
ax.plot(odds.keys(), odds.values(), marker="o", color=style.EXACT)
ax.axhline(0.5, color=style.BASELINE, lw=0.8, ls=(0, (4, 3)))
style.dress(
    ax,
    x="g: one frame seen in g",
    y="odds of the right direction",
    title=f"Odds of the right direction: one frame in 5: {odds[5]:.2f}; in 2, 3, 7: {odds[2]:.2f}, "
    f"{odds[3]:.2f}, {odds[7]:.2f}",
)
figure

# %% [markdown]
# Fewer frames can tell *more*: in five frames the pattern makes half a turn, and half a turn forwards looks like half a turn
# backwards. *Predict:* at $g = 5$ the posterior has two humps. What does a draw look like, and the mean of all draws?

# %%
from nfdlab.evaluate.continuity import gradient

film = wheel.draw(1, seed=seed)
seen = nfd.observe(film, nfd.patterns.Frames(every=5), noise_std=0.05, seed=seed)
draws = wheel.oracle().draw(seen, 64, seed=seed)
ghost = EvaluatedFields(lambda coords, part: wheel.oracle().moments(seen, coords)[0][None], 1, 2)  # the exact mean
speeds = []
for fields in (draws, ghost):  # f_t = -speed f_x, by least squares over the box
    g = gradient(fields, 0.98 * nfd.cell_centres((24, 24)))
    speeds.append(-(g[..., 0] * g[..., 1]).mean((1, 2)) / g[..., 1].square().mean((1, 2)))
forwards = speeds[0] > 0
assert speeds[0].abs().min() > 4 * speeds[1].abs().max(), "every draw commits, the mean does not"
one, other = (draws[int(way.nonzero()[0])] for way in (forwards, ~forwards))
plots.pages(
    wheel.card,
    {"truth": film, "a draw": one, "another draw": other, "the mean": ghost},
    seen=seen,
    title=f"{int(forwards.sum())} of 64 draws drift at {speeds[0][forwards].mean():+.1f}, the others at "
    f"{speeds[0][~forwards].mean():+.1f}; the mean at {speeds[1].item():.1f}",
)

# %% [markdown]
# Each draw commits to one direction, and is a film that could have been. The mean stands still, which no film here does.
#
# ### A sampler without a network
#
# Diffusion learns one thing, the denoiser $D(z, \sigma)$. Here it is known, `oracle.at(seen, places).denoiser()`, and the
# library's samplers take it as they take a network. *Predict:* start from pure noise, follow the exact denoiser down the
# noise levels. Will these samples have the posterior's mean and spread?

# %%
from nfdlab.diffusion.noise import white
from nfdlab.diffusion.samplers import sample
from nfdlab.diffusion.schedule import NoiseLevels
from nfdlab.problems.gridded import gridded

cells, rows = nfd.cell_centres((64,)), {}
for name in ("gp1d", "sawtooth1d", "step1d"):
    kind = problems[name]
    truth = kind.draw(1, seed=seed)
    seen = nfd.observe(truth, layout, noise_std=0.05, seed=seed)
    now = kind.oracle().at(seen, cells)
    levels = NoiseLevels.of(kind.draw(256, seed=seed)(cells)).sigmas(30)
    noise = now.mean + levels[0] * white(256, (64,), seed=seed)
    ends = sample(now.denoiser(), noise.float(), levels)[..., None]
    mean, std = kind.oracle().moments(seen, cells)
    off, wide = (ends.mean(0) - mean).square().mean(), ends.var(0).mean()
    rows[name] = {"mean off, in posterior spreads": (off / std.square().mean()).sqrt().item(),
                  "spread, to the exact": (wide / std.square().mean()).sqrt().item()}
    assert rows[name]["mean off, in posterior spreads"] < 0.3 and abs(rows[name]["spread, to the exact"] - 1) < 0.15
    if name == "gp1d":
        shown = truth, seen, gridded(ends, smooth=True), kind.oracle().draw(seen, 256, seed=seed)
display(pd.DataFrame(rows).T.style.format("{:.2f}"))
plots.bands(gp.card, truth=shown[0], seen=shown[1], exact=shown[3], sampled=shown[2],
            title=f"256 samples, no network: spread {rows['gp1d']['spread, to the exact']:.2f} of the exact one")

# %% [markdown]
# Mean and spread are the posterior's, as nearly as 256 samples can tell. So a network that learns the exact denoiser needs
# nothing else. *Where it breaks* measures how far a wrong denoiser is from it.
#
# ## Turn the knobs
#
# The exact posterior under the sliders. Left and right are two sets of draws of it, so every difference between them is chance,
# and the two scores below the picture show how much of one task's score is chance. Try: no observations at all; one observation;
# the pattern `clusters`; then the problems `sawtooth1d` with `view` on draws, `two_speed1dt` with `frames` and one in 5, and
# `styles2d` with few observations. A problem without an exact posterior says so.

# %%
smooth = nfd.problems.get("gp1d")
panel = nfd.explore(smooth.oracle(), smooth, count=keep, pattern=pattern, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# Three rulers, on the same tasks for everybody. The *CRPS* is the error of a distribution at a place: the mean distance of draws to
# the truth, minus half of their mean distance to each other. Its *ratio* to that of exact draws: 1.00 is the best possible, and
# on average nobody is below. *Coverage*: how often the truth lies in the band of 90 % of the draws; 0.90 is right. *Spread*: how
# wide the answer is, over how wide it should be. (`rmse`: the error of the mean. `variogram`: see lesson 08.) *Predict:* kriging
# fits a Gaussian field to the observations. On which of these three problems will it lose most?

# %%
rows, tables = [], {}
for name, counts in {"gp1d": (5, 12), "drift1dt": (60,), "sawtooth1d": (3, 6)}.items():
    kind = problems[name]
    rivals = {"exact, again": kind.oracle()} | {
        rival: nfd.baselines.get(rival, kind) for rival in nfd.baselines.names() if rival != "linear_in_time"}
    places = nfd.cell_centres((64,) if kind.d == 1 else (12, 12))
    table = compare(rivals, kind, counts=counts, tasks=tasks, seed=seed, points=places)
    tables[name] = table.summary().xs("mean", level="m").loc[["exact, again", "kriging", "linear"]]
    for rival in rivals:
        found = table.ratio("crps", rival)
        rows.append({"problem": name, "contestant": rival, **found.loc["mean"], "worst": found.loc["worst", "crps"],
                     "to": "exact"})
ranking = pd.DataFrame(rows).sort_values("crps", kind="stable")
again, kriged = (ranking[ranking["contestant"] == rival] for rival in ("exact, again", "kriging"))
holds = ((again["low"] <= 1) & (again["high"] >= 1)).sum()
display(plots.benchmark(ranking.sort_values("problem", kind="stable"),
                        title=f"{tasks} tasks at each number of observations. "
                              f"Exact against itself: {again['crps'].mean():.2f}, "
                              f"its interval holds 1.00 on {holds} of {len(again)}"))
print("kriging:", ", ".join(f"{row.problem} {row.crps:.2f} [{row.low:.2f}, {row.high:.2f}]"
                            for row in kriged.itertuples()))
pd.concat(tables)[["crps", "rmse", "variogram", "spread", "coverage90"]].style.format("{:.2f}").set_caption(
    f"means over the numbers of observations, {tasks} tasks at each")

# %% [markdown]
# Kriging loses most on sawtooths, which jump; look at its spread there. `exact, again` is a second set of exact draws: how far it is
# from 1.00 is chance, and a finer claim needs more tasks. An interpolation is one curve, so its spread and coverage are zero,
# however close it is. `climatology` draws from the prior and sees nothing: its ratio is what the observations are worth.
#
# ## Where it breaks
#
# **The wrong prior.** A posterior is right for its own prior only. *Predict:* give the exact posterior half the true
# lengthscale, or twice. Which mistake costs more? Which of the two is *too sure*? And at which noise level is its denoiser worst?

# %%
from nfdlab.evaluate.regret import regret

wrong = {f"lengthscale {scale:g}": nfd.problems.get("gp1d", lengthscale=scale).oracle()
         for scale in (gp.lengthscale / 2, 2 * gp.lengthscale)}
table = compare(wrong, gp, counts=(5, 12), tasks=2 * tasks, seed=seed, points=cells)
worlds = table.summary().xs("mean", level="m")[["crps", "spread", "coverage90"]]
display(worlds.style.format("{:.2f}").set_caption(f"{2 * tasks} tasks at each of 5 and 12 observations"))
truth = gp.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=8), noise_std=0.05, seed=seed)
best, sure = gp.oracle(), list(wrong)[1]
both = {"exact": best.draw(seen, 64, seed=seed), sure: wrong[sure].draw(seen, 64, seed=seed)}
display(plots.bands(gp.card, truth=truth, seen=seen, **both, title=f"Too smooth a prior: "
                    f"{worlds.loc[sure, 'spread']:.2f} of the spread, "
                    f"{worlds.loc[sure, 'coverage90']:.0%} of truths in its band"))
figure, ((ax,),) = style.picture(size=(8.2, 2.7))
for (name, oracle), shade in zip(wrong.items(), (style.BASELINE, style.MODEL), strict=True):
    now = best.at(seen, cells)
    curve = regret(oracle.at(seen, cells).denoiser(), now.denoiser(), now.draw(128, seed=seed),
                   torch.logspace(-1.5, 1.5, 13), seed=seed)
    peak = curve.loc[curve["regret"].idxmax()]
    ax.loglog(curve["sigma"], curve["regret"], marker="o", ms=4, color=shade,
              label=f"{name}: at most {peak['regret']:.2g}, at σ = {peak['sigma']:.2g}")
style.dress(ax, x="noise level σ", y="regret",
            title="How far the denoiser is from the exact one, over what nobody can know")
style.legend(ax)
figure

# %% [markdown]
# Twice the lengthscale is too sure: it expects smoother curves, and its narrow band misses too many truths. (In the last picture
# 1 means: the wrong denoiser's squared error is twice the least possible one.)
#
# **No prior known.** Nobody knows the prior of real hills, digits or wavy shapes, so nobody has their exact posterior. The
# kit then takes its ratios to kriging. That is a rival, not a bound: less than 1.00 is possible, and 1.00 only means as good as
# kriging. Coverage needs no exact answer and remains a ruler. *Predict:* does a plain interpolation beat kriging anywhere?

# %%
rows, covered = [], {}
for name in (name for name in ("stars2d", "terrain2d", "digits2d") if name not in exact):
    rivals = {rival: nfd.baselines.get(rival) for rival in ("rbf", "linear", "nearest")}
    table = compare(rivals, problems[name], counts=(40,), tasks=tasks, seed=seed, points=nfd.cell_centres((12, 12)))
    covered[name] = table.ratio("coverage90", "kriging").loc["mean", "coverage90"]
    for rival in rivals:
        found = table.ratio("crps", rival)
        rows.append(
            {
                "problem": name,
                "contestant": rival,
                **found.loc["mean"],
                "worst": found.loc["worst", "crps"],
                "to": "kriging",
            }
        )
ranking = pd.DataFrame(rows)
print("kriging's 90 % band holds", ", ".join(f"{share:.0%} on {name}" for name, share in covered.items()))
plots.benchmark(
    ranking,
    title=f"Ratios to kriging, 40 observations, {tasks} tasks: the best interpolation reaches "
    f"{ranking['crps'].min():.2f}",
)

# %% [markdown]
# **The best linear answer.** Optimal interpolation measures mean and covariance on training functions, which kriging never saw, and then
# applies Bayes' rule. It is the rival that a network must beat. *Predict:* on digits, slices of a head, films, solid shapes and a
# moving ball: where does it leave kriging behind, and where not? Measured once, with the command in `APPROACHES.md`.

# %%
from nfdlab.evaluate.ranking import kept_rivals

check = Exercises({
    1: (lambda odds: max(abs(odds[gap] - 0.5) for gap in (10, 15)) < 0.1, "How far does the pattern turn in a gap?"),
    2: (lambda sure: sure[0.0] > 0.999 and sure[0.0] > sure[0.5] > sure[2.0], "On which side is the jump likelier?"),
    3: (lambda left: 0 <= left[1] < left[0] or keep == 0, "Root mean square of the standard deviation on the line."),
})
known = kept_rivals().ranking().set_index(["problem", "contestant"])
linear_ = known["crps"].unstack()["optimal_interpolation"]
plots.benchmark(
    known.reset_index(),
    title=f"Optimal interpolation: {linear_['digits2d']:.2f} of kriging on digits, {linear_['head2d']:.2f} on heads; "
    f"{linear_['ball3dt']:.2f} of exact on the ball",
)

# %% [markdown]
# On digits and shapes, far ahead: they are much alike, and mean and covariance say how. On heads and films a patch may come from
# anywhere, so mean and covariance are nearly alike at all places, and kriging finds them by itself. On the ball both have more
# than twice the exact error, and draws that see nothing (`climatology`) are nearer than either: a few points mostly miss a ball, and
# a Gaussian makes too much of them. So much is left for a network to gain.
#
# **When to use an exact posterior:** to know what is possible, to test a sampler, a ruler or a pattern before any training.
# **When not:** on real data, where its prior would be your guess. **Cost:** one linear solve, or one evaluation of every curve
# there is.
#
# ## Exercises
#
# **1 · Turn a knob.** One frame in five cannot tell the direction. Can one in ten, or one in fifteen? Why? `check(1, odds)` takes
# the odds of the first direction by gap.
#
# <details><summary>Solution</summary>
#
# ```python
# odds = {}                                                     # a whole number of half turns: no way to tell
# for gap in (9, 10, 11, 15):
#     film = wheel.prior.parts[0].draw(1, seed=seed)
#     posterior = wheel.prior.posterior(nfd.observe(film, nfd.patterns.Frames(every=gap), noise_std=0.05, seed=seed))
#     odds[gap] = posterior.log_weights.exp()[0].item()
# print({gap: round(share, 2) for gap, share in odds.items()})
# check(1, odds)
# ```
#
# </details>
#
# **2 · Change a line.** Let the measurements of the step be noisy. After one in the middle, how sure can one be of the side?
# `check(2, sure)` takes, for each noise, the mean probability of the likelier side.
#
# <details><summary>Solution</summary>
#
# ```python
# middle, rng, sure = torch.zeros(1, 1), torch.Generator().manual_seed(seed), {}
# for noise in (0.0, 0.5, 2.0):
#     chances = []
#     for i in range(100):
#         value = step.draw(1, seed=i)(middle)[0] + noise * torch.randn(1, 1, generator=rng)
#         below = step.prior.posterior(Observations(middle, value, noise)).below(torch.zeros(1)).item()
#         chances.append(max(below, 1 - below))
#     sure[noise] = sum(chances) / len(chances)
# print({noise: round(chance, 2) for noise, chance in sure.items()})
# check(2, sure)
# ```
#
# </details>
#
# **3 · Write a piece.** Make a world of your own, say a chirp of unknown pitch and place, with its exact posterior.
# `check(3, (before, after))` takes its spread before and after observations.
#
# <details><summary>Solution</summary>
#
# ```python
# from nfdlab.exact.enumerated import Enumerated
# from nfdlab.exact.posterior import Exact
#
# chirp = lambda p, x: torch.sin((4 + 4 * p[:, :1]) * (x[..., 0] + 1 + p[:, 1:]).square())[..., None]
# world = Enumerated.uniform(chirp, 1, 1, (120, 120))            # curves with two numbers in [0, 1)
# truth = world.draw(1, seed=seed)
# seen = nfd.observe(truth, layout, noise_std=0.05, seed=seed)
# before, after = (Exact(world).moments(s, line)[1].square().mean().sqrt().item() for s in (None, seen))
# check(3, (before, after))
# plots.fans({f"chirp: {after / before:.0%} left": (truth, seen, Exact(world).draw(seen, 64, seed=seed))})
# ```
#
# </details>
#
# **Five questions.** What makes an answer the best possible one? Why is a mean not a draw? Why does measuring where
# draws are split in half leave about a half? When do fewer frames tell more? What does a ratio of 1.00 mean where
# nobody knows the exact posterior?
#
# ## Further reading
#
# - Rasmussen & Williams 2006, *Gaussian processes for machine learning*
#   ([gaussianprocess.org/gpml](https://gaussianprocess.org/gpml)): eqs. 2.25 and 2.26 are the smallest version.
# - Gneiting & Raftery 2007, *Strictly proper scoring rules, prediction, and estimation*
#   ([10.1198/016214506000001437](https://doi.org/10.1198/016214506000001437)): why a score must reward the right
#   distribution, and the CRPS.
# - Scheuerer & Hamill 2015, *Variogram-based proper scoring rules*
#   ([10.1175/MWR-D-14-00269.1](https://doi.org/10.1175/MWR-D-14-00269.1)): a score that sees lost roughness.
# - Castro & Nowak 2008, *Minimax bounds for active learning*
#   ([10.1109/TIT.2008.920189](https://doi.org/10.1109/TIT.2008.920189)): bisection when measurements are noisy.
# - Karras et al. 2022, *Elucidating the design space of diffusion-based generative models*
#   ([2206.00364](https://arxiv.org/abs/2206.00364)): the exact denoiser of a finite set (their appendix B.3), and the
#   samplers used here.
# - Song et al. 2021, *Maximum likelihood training of score-based diffusion models*
#   ([2101.09258](https://arxiv.org/abs/2101.09258)): what a denoiser's error costs.
