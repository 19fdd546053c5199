# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · A stochastic field: which places move together
#
# *before: [`03_score_field`](03_score_field.ipynb) · next: [`04_coarse_to_fine`](04_coarse_to_fine.ipynb)*
#
# ![the same values at each place, dealt to the draws in four ways](pictures/08_stochastic_field.png)
#
# ## Question
#
# **Can every point be calibrated and the whole be wrong?** (*Calibrated*: of the 90 % bands, 90 % hold the truth.)
#
# A field can be stochastic: $f(x, \omega)$ with $\omega$ random. Draw many $\omega$, and at each place you get a distribution of
# values, a *marginal* distribution. But many questions are about the whole curve: its mean over an interval, its highest point, the
# number of its jumps. Their answers depend on *which places move together*: on the *joint* distribution. A model can learn it from functions.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 3  # how many observations are seen
tasks: int = 12  # how many tasks each number in the tables is averaged over
toy_steps: int = 300  # training steps of the smallest version
guess: float = 0.9  # your prediction, see the first picture
guess_linear: float = 1.5  # your prediction, see "Against the others"
guess_rise: float = 3.0  # your prediction, see "Where it breaks"

# %%
import math

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab import recipes
from nfdlab.approaches.stochastic_field import EpistemicUncertainty
from nfdlab.core.rng import child, stream
from nfdlab.diffusion import samplers, schedule
from nfdlab.diffusion.noise import white
from nfdlab.evaluate import ablation
from nfdlab.evaluate.calibration import functional_coverage, interval
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare, measured
from nfdlab.exact.enumerated import member
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style
from nfdlab.problems.families import sawtooth

if budget == "smoke":
    tasks, toy_steps = 2, 8
problem, jump, smooth = (nfd.problems.get(name) for name in ("sawtooth1d", "step1d", "gp1d"))
coords, truth, oracle = nfd.cell_centres((128,)), problem.draw(1, seed=seed), problem.oracle()
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %% [markdown]
# With `budget = "reference"` the next cell opens the weights that ship with the package. `"lesson"` trains the first of
# the three here, in two minutes of one core, with a live loss curve and a button to stop (the others get a few steps).

# %%
watch = LossWatch("denoising sawtooths")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("stochastic_field", problem, budget=budget, seed=seed, device=device, watch=watch)
few = budget if budget == "reference" else "smoke"
stepper, smoother = (
    nfd.load_or_train("stochastic_field", one, budget=few, seed=seed, device=device) for one in (jump, smooth)
)

# %% [markdown]
# ## Picture
#
# Take 200 draws of the model at 128 places. At each place we keep the 200 values, and only change which draw gets which value, as one deals
# cards: *place by place*, at random; *by covariance*, so that the draws keep about the covariance they had; or *highest to one*, where the
# same draw gets the highest value at every place. So every marginal stays the same *to the last digit*; what changes is called the *copula*. The
# question is how many jumps a curve has. *Predict, and write it down* as `guess` in the cell of parameters: dealt place by place, how often does the
# 90 % interval of the number of jumps hold the truth?

# %%
WAYS = ("as drawn", "place by place", "by covariance", "highest to one")


def dealt(values: torch.Tensor, way: str) -> torch.Tensor:
    """The same values (n, p, 1) at each place, dealt to the draws in another way."""
    ordered, rng = values.sort(0).values, stream(seed, "dealt")
    if way == "as drawn":
        return values
    if way == "place by place":
        ranks = torch.rand(values.shape, generator=rng).argsort(0)
    elif way == "by covariance":  # the ranks of a Gaussian with the covariance of the draws
        z = torch.randn(len(values), len(values), generator=rng)
        ranks = (z @ (values - values.mean(0))[..., 0])[..., None].argsort(0).argsort(0)
    else:
        ranks = torch.arange(len(values))[:, None, None].expand(values.shape)
    return ordered.gather(0, ranks)


def jumps(values: torch.Tensor) -> torch.Tensor:
    """Steps of more than a quarter from one place to the next: (…, p, 1) -> (…, 1, 1)."""
    return (values.diff(dim=-2).abs() > 0.25).float().sum(-2, keepdim=True)


# %%
bundles = {"exact": oracle.draw(seen, 200, seed=seed)(coords)}
drawn = model.draw(seen, 200, seed=seed)(coords).cpu()
bundles |= {way: dealt(drawn, way) for way in WAYS}
figure, (axes,) = style.picture(1, 5, size=(13.4, 2.9), sharey=True)
for ax, (way, values) in zip(axes, bundles.items(), strict=True):
    ink = style.colour_of(way)
    ax.fill_between(coords[:, 0], *(end[:, 0] for end in interval(values)), color=ink, alpha=style.BAND_ALPHA, lw=0)
    ax.plot(coords[:, 0], values[:3, :, 0].T, color=ink, lw=style.THIN)
    ax.plot(coords[:, 0], truth(coords)[0, :, 0], color=style.TRUTH, lw=1.2)
    ax.scatter(seen.coords[:, 0], seen.values[:, 0], s=22, c=style.DOT, edgecolors=style.RING, zorder=5)
    count = jumps(values)
    style.dress(ax, title=f"{way}:\n{count.mean():.1f} ± {count.std():.1f} jumps", x=problem.card.axes[0])
style.dress(axes[0], y=f"value ({problem.card.units})")
figure

# %% [markdown]
# One task proves nothing. So now many, with the exact posterior as the ruler; and beside the sawtooths single steps, of which we ask the mean over the box.
# Three scores are taken as well. The *CRPS* looks at each place by itself. The *energy score* is the CRPS of whole functions: distances between functions
# in place of distances at a point. The *variogram score* compares the differences between pairs of places with the true ones.

# %%
rows, many, scores = [], 2 * tasks, ("crps", "energy", "variogram")
whole = {"sawtooth1d": jumps, "step1d": lambda values: values.mean(-2, keepdim=True)}
for name, one, fitted in (("sawtooth1d", problem, model), ("step1d", jump, stepper)):
    for i in range(many):
        goal = one.draw(1, seed=child(seed, "goal", i))
        spots, target = nfd.observe(goal, nfd.patterns.Random(count=keep), noise_std=0.05, seed=i), goal(coords)[0]
        found = fitted.draw(spots, 64, seed=i)(coords).cpu()
        for way, values in {"exact": one.oracle().draw(spots, 64, seed=i)(coords),
                            **{way: dealt(found, way) for way in WAYS}}.items():
            row = {k: v.item() for k, v in measured(values, target, 1, scores).items()}
            rows.append({"problem": name, "dealt": way, **row, "interval holds the truth": functional_coverage(
                values, target, whole[name]).item(), "spread of what is asked": whole[name](values).std().item()})
each = pd.DataFrame(rows)
dealing = each.groupby(["problem", "dealt"], sort=False).mean()
held = dealing.loc[("sawtooth1d", "place by place"), "interval holds the truth"]
doubt = 2 * (held * (1 - held) / many) ** 0.5
print(f"place by place, the interval of the number of jumps holds {held:.0%} ± {doubt:.0%} of the truths "
      f"(you said {guess:.0%})")

# %%
again, relative = torch.randint(many, (2000, many), generator=stream(seed, "tasks drawn again")), {}
for (name, way), part in each.groupby(["problem", "dealt"], sort=False):
    as_drawn = each[(each["problem"] == name) & (each["dealt"] == "as drawn")]
    for score in scores:
        mine, base = (torch.tensor(frame[score].to_numpy())[again].mean(1) for frame in (part, as_drawn))
        relative[name, way, score] = [part[score].mean() / as_drawn[score].mean(), *(mine / base).quantile(
            torch.tensor([0.025, 0.975]).double()).tolist()]
shown = dealing.copy().astype(object)
for (name, way, score), ratio in relative.items():
    shown.loc[(name, way), score] = "{:.2f} [{:.2f}, {:.2f}]".format(*ratio)
shown.style.format("{:.2f}", subset=shown.columns[3:]).set_caption(
    f"Scores as a ratio to the same draws as drawn, with 95 % intervals; share of truths in 90 % intervals and their "
    f"spread (of the number of jumps, of a step's mean). {keep} observations, {many} tasks: a share of 0.90 has a "
    f"standard error of {(0.09 / many) ** 0.5:.2f}")

# %% [markdown]
# Yes: every point can be calibrated and the whole be wrong. CRPS, and any score that is a mean over places, is blind to how
# places move together: its ratio is 1. The energy score sees a little of it. The variogram score sees more, and questions about whole
# curves see it best. The right covariance is not enough either: it knows neither how many jumps a curve has nor how high they are.
#
# ## Idea in symbols
#
# $\omega$ is white noise at the points of a **lattice**, a vector of independent standard normals: one seed, one $\omega$. A denoiser $D$, told the
# observations $S$, takes all of it down the noise levels *together*, and a **neural field** $f_z$ reads the result at any place:
#
# $$\frac{\mathrm{d}z}{\mathrm{d}\sigma} = \frac{z - D(z, \sigma, S)}{\sigma}, \qquad z(\sigma_{\max}) = \sigma_{\max}\, \omega, \qquad
# f(x, \omega) = f_{z(0)}(x).$$
#
# Nothing on this path is random but its start. So $f$ is a *function* of $x$ and of $\omega$, continuous in both, and what the observations leave open
# is all in $\omega$. $D$ is a U-Net, which sees neighbours; that is how it learns which places move together.

# %% [markdown]
# ## Smallest version
#
# From nothing: sawtooths at 32 places. Two denoisers, of five convolutions each. One has kernels of width 1: it denoises each number by itself.
# The other has kernels of width 5, and sees neighbours. *Predict:* which of the two gets the values at a place right, and which
# the curves? (*Off by* in the titles: how far values must be moved on average to be uniform, as those of sawtooths are.)

# %%
X, rng, toys = nfd.cell_centres((32,)), stream(seed, "toy"), {}
for name, width in {"place by place": 1, "with neighbours": 5}.items():
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = []
        for a, b, spread in ((2, 48, 1), (48, 48, 2), (48, 48, 4), (48, 48, 2), (48, 1, 1)):
            layers += [torch.nn.Conv1d(a, b, width, padding=width // 2 * spread, dilation=spread), torch.nn.SiLU()]
        net = torch.nn.Sequential(*layers[:-1])

    def D(x, s, net=net):  # x (b, 1, 32), s (b, 1, 1)
        size = (1 + s**2).sqrt()
        return x / size**2 + s / size * net(torch.cat([x / size, (s.log() / 4).expand_as(x)], 1))

    adam, unit = torch.optim.Adam(net.parameters(), 3e-3), 12**-0.5  # a sawtooth's values are uniform
    for i in range(toy_steps):
        clean = problem.draw(64, seed=child(seed, "toy", i))(X).mT / unit
        s = torch.exp(1.2 * torch.randn(64, 1, 1, generator=rng))
        noisy = clean + s * torch.randn(clean.shape, generator=rng)
        loss = ((D(noisy, s) - clean).square() * (1 + s**2) / s**2).mean()  # Karras et al. 2022, eq. 8
        adam.zero_grad(), loss.backward(), adam.step()
    with torch.no_grad():
        toys[name] = unit * samplers.sample(lambda x, s, D=D: D(x, s.expand(len(x), 1, 1)), 20.0 * white(
            256, (1, 32), seed=seed), schedule.karras(20, 0.01, 20.0), method="dpmpp").mT

# %%
toys |= {"library": model.draw(None, 256, seed=seed)(X).cpu(), "fresh sawtooths": problem.draw(256, seed=1)(X)}
even = torch.linspace(-0.5, 0.5, 256)
off = {name: (values.flatten().sort().values.unflatten(0, (256, 32)).mean(1) - even).abs().mean().item()
       for name, values in toys.items()}
counts = {name: jumps(values).mean().item() for name, values in toys.items()}
figure, (panes,) = style.picture(1, 4, size=(12, 2.6), sharey=True)
for ax, (name, values) in zip(panes, toys.items(), strict=True):
    ax.plot(X[:, 0], values[:3, :, 0].T, color=style.TRUTH if name.startswith("fresh") else style.MODEL, lw=1)
    style.dress(ax, x=problem.card.axes[0], title=f"{name}:\n{counts[name]:.1f} jumps, values off by {off[name]:.3f}")
figure

# %% [markdown]
# **Place by place the values are right and the curves are nonsense.** With neighbours the same five layers draw curves with about as many
# jumps as sawtooths have.
#
# > **How this differs from the papers.** CARD (Han et al. 2022) diffuses one response at a time, given its covariates. Neural diffusion processes (Dutordoir et
# > al. 2023) diffuse the values at any set of points together, by attention; here the values lie on a lattice, for a U-Net, and a field reads them once, at the
# > end. In functional diffusion (Zhang & Wonka 2024) a noise *function* becomes a function, as here, but its network works on sets of points.
#
# And the library's own draw in plain PyTorch, given its denoiser (`03_score_field` writes that out): $\omega$, Euler's steps, the field.

# %%
n, steps = 4, 16
omega, given = model.noise(n, seed=seed), model.conditioning(seen)
D, levels = model.denoiser(given), model.sigmas(steps)
with torch.no_grad():
    z = levels[0] * omega
    for s, t in zip(levels[:-1], levels[1:], strict=True):
        z = z + (t - s) * (z - D(z, s)) / s
    values = model.net.evaluate(coords.to(model.device), model.net.prepare(z, given))

# %% [markdown]
# ## The library's version
#
# One line, and the same numbers: `draw` makes $\omega$ from the seed, `push` takes yours. And since $f$ is continuous in $\omega$, one noise function can
# be turned into another, cos(angle) · one + sin(angle) · other, and the curve changes with it. *Predict:* is each curve on the way a draw, too?

# %%
library = model.draw(seen, n, seed=seed, steps=steps, sampler="euler")(coords)
assert torch.allclose(values.cpu(), library.cpu(), atol=1e-4)
assert torch.equal(model.push(seen, omega, steps=steps, sampler="euler")(coords), library)
print(f"largest difference {(values.cpu() - library.cpu()).abs().max():.1e}")
one, other = model.noise(6, seed=seed)[[1]], model.noise(6, seed=seed)[[5]]
angles = torch.linspace(0, math.pi / 2, 5).to(one).reshape(-1, 1, 1)
turned = model.push(seen, torch.cos(angles) * one + torch.sin(angles) * other)(coords).cpu()
figure, (panes,) = style.picture(1, 5, size=(13.4, 2.4), sharey=True)
for i, ax in enumerate(panes):
    ax.plot(coords[:, 0], turned[i, :, 0], color=style.MODEL, lw=1.2)
    ax.scatter(seen.coords[:, 0], seen.values[:, 0], s=22, c=style.DOT, edgecolors=style.RING, zorder=5)
    style.dress(ax, x=problem.card.axes[0], title=f"ω turned by {22.5 * i:.0f}°: {jumps(turned[i]).item():.0f} jumps")
figure

# %% [markdown]
# Yes: at every angle the noise is standard normal again.
#
# **Aleatoric and epistemic uncertainty.** The band has two causes. *Aleatoric* uncertainty is what these observations leave open;
# more training would not change it. *Epistemic* uncertainty comes from training on a finite number $N$ of functions; others would have
# given other weights. For the weights of the last layer, a least-squares fit, it has a closed form: their standard deviation
# falls as $1/\sqrt N$. *Predict:* how many training functions until the epistemic part is a tenth of the aleatoric one?

# %%
sizes = (2, 8, 32, 128)
uncertainty = EpistemicUncertainty.of(model, problem, recipes.views_for(problem), functions=256, seed=seed)

how = {"models": 4, "draws": 32, "seed": seed}
split = {N: [x.square().mean().sqrt().item() for x in uncertainty.split(seen, coords, learned_from=N, **how)]
         for N in sizes}
enough = next((N for N, (aleatoric, epistemic) in split.items() if epistemic < aleatoric / 10),
              f"more than {sizes[-1]}")
print(f"epistemic std is below a tenth of aleatoric std from {enough} functions on")
pd.DataFrame(split, index=["aleatoric", "epistemic"]).T.rename_axis("functions").round(4)

# %% [markdown]
# The weights that ship saw far more functions than this table has, so nearly all of their band is aleatoric.
#
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how close: the query-scale slider only decodes, the draws stay. The sliders move with the arrow keys.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# Kriging fits a kernel to the observations; the best linear answer has the mean and covariance of training functions. *Predict, and
# write it down* as `guess_linear`: the CRPS of the best linear answer on sawtooths, as a ratio to that of the exact posterior? And by
# which of the three scores does it lose most?

# %%
table = {}
figure, (axes,) = style.picture(1, 2, size=(10.6, 2.9))
for ax, one in zip(axes, (problem, jump), strict=True):
    rivals = {"ours": model if one is problem else stepper,
              "best linear answer": nfd.baselines.get("optimal_interpolation", one),
              "kriging": nfd.baselines.get("kriging")}
    compared = compare(rivals, one, counts=(4,), tasks=tasks, draws=32, seed=seed)
    table[one.card.name] = compared.summary(intervals=True).xs("mean", level="m")
    for k, (who, ink) in enumerate(zip(rivals, (style.MODEL, style.BASELINE, style.FAINT), strict=True)):
        row = table[one.card.name].loc[who]
        for j, score in enumerate(scores):
            ax.plot([j + 0.2 * (k - 1)] * 2, [row[f"{score}_low"], row[f"{score}_high"]], color=ink, lw=1.5)
            ax.plot(j + 0.2 * (k - 1), row[score], "o", ms=5, color=ink, label=None if j else who)
    ax.axhline(1.0, color=style.EXACT, lw=1.2)
    ax.set_xticks(range(3), scores)
    ax.set_yscale("log")
    style.dress(ax, title=f"{one.card.name}: {tasks} tasks, 95 % intervals", y="ratio to exact")
style.legend(axes[0])
linear_, ours_ = (table["sawtooth1d"].loc[who] for who in ("best linear answer", "ours"))
style.headline(figure, f"Best linear answer, sawtooths: CRPS × {linear_['crps']:.1f} (you said × {guess_linear:g}), "
               f"energy × {linear_['energy']:.1f}, variogram × {linear_['variogram']:.1f}\n"
               f"Ours: × {ours_['crps']:.2f}, {ours_['energy']:.2f}, {ours_['variogram']:.2f}")
top = table["sawtooth1d"].loc[["ours"], "maximum90"].item()
print(f"Largest value of a sawtooth: the 90 % interval of our draws holds the truth in {top:.0%} of {tasks} tasks")
display(kept_scores({"sawtooth1d": model, "step1d": stepper, "gp1d": smoother}))
figure

# %% [markdown]
# Both rivals lose least by the energy score, and more by CRPS and by the variogram score. On these few tasks
# ours cannot be told from exact by any of the three; the table, over many more, puts it a few percent behind on sawtooths.
# These three do not ask for everything: the *largest* value of a draw is a little too high, since its teeth overshoot at some jump, and the printed line shows it.
# The table was measured over many more tasks when the weights were made: random places, noise 0.05, ratios to the exact posterior.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole; and its draws replaced by a Gaussian of their mean and covariance,
# which would cost the exact posterior something, too. *Predict:* which costs most? `nfdlab ablate stochastic_field sawtooth1d` measured it;
# the tables are kept with the weights.

# %%
worth = {name: ablation.worth(ablation.kept("stochastic_field", name))["to full"]
         for name in ("sawtooth1d", "step1d", "gp1d")}
plots.worth("stochastic_field", "sawtooth1d")

# %%
print({name: {arm: round(float(ratio), 2) for arm, ratio in arms.items()} for name, arms in worth.items()})
plots.worth("stochastic_field", "step1d")

# %% [markdown]
# The best linear answer has twice the error on steps and nearly four times the error on sawtooths: the network is needed. The field is not missed
# there, since a linear reading between 128 lattice points is as good. A Gaussian in place of the draws costs a tenth on sawtooths and a third on steps;
# what it costs whole curves, the first table showed (*by covariance*). On `gp1d`, a Gaussian field, the weights that ship start from the measured
# Gaussian, and there the linear part is everything.
#
# ## Where it breaks
#
# **Uncertainty that does not warn.** Epistemic uncertainty says how much the weights would vary with other training functions *of
# the same kind*. Take sawtooths of a training kind, and beside each the same one with twice its pitch, which no training function had;
# both are observed at the same 16 places. *Predict, and write it down* as `guess_rise`: by what factor does the epistemic part rise? And
# by what factor the error? The *misfit* (`05`) is how far the mean of the draws is from the observed values, in units of their noise.

# %%
params, rows = torch.rand(tasks, 2, generator=stream(seed, "pitch")) * torch.tensor([0.5, 1.0]), []  # pitch 1.5 to 2
twice = params * torch.tensor([2.0, 1.0]) + torch.tensor([1.5, 0.0])  # the pitch is 1.5 plus the first number
for name, kind in {"a training kind": params, "twice the pitch": twice}.items():
    for i in range(tasks):
        strange = member(sawtooth, kind[i : i + 1], 1, 1)
        spots = nfd.observe(strange, nfd.patterns.Random(count=16), noise_std=0.05, seed=i)
        odd, target = model.draw(spots, 32, seed=i), strange(coords)[0]
        found, (low, high) = odd(coords).cpu(), interval(odd(coords).cpu())
        parts = [x.square().mean().sqrt().item() for x in uncertainty.split(
            spots, coords, learned_from=10_000, models=4, draws=8, seed=i)]
        rows.append({"kind": name, "aleatoric": parts[0], "epistemic": parts[1],
                     "error of the mean": (found.mean(0) - target).square().mean().sqrt().item(),
                     "truths in the band": ((low <= target) & (target <= high)).float().mean().item(),
                     "misfit": ((odd(spots.coords).cpu().mean(0) - spots.values) / 0.05).square().mean().sqrt().item()})
doubts = pd.DataFrame(rows).groupby("kind", sort=False)
doubt, error = doubts.mean(), 1.96 * doubts.sem()  # half of a 95 % interval
rise = doubt.loc["twice the pitch"] / doubt.loc["a training kind"]
display((doubt.map("{:.3f}".format) + " ± " + error.map("{:.3f}".format)).style.set_caption(
    f"{tasks} sawtooths of each, ± half of a 95 % interval"))

# %%
check = Exercises({
    1: (lambda rows: 0.7 < rows[8] / rows[32] < 1.4 or budget == "smoke", "jumps(values) of draws at coords."),
    2: (lambda odds: abs(odds["ours"] - odds["exact"]) < 0.2 or budget == "smoke",
        "Both places at once, within one draw."),
    3: (lambda spread: spread["highest to one"] > 2 * spread["as drawn"] or budget == "smoke",
        "One integral a draw, then their std."),
})
plots.bands(problem.card, truth=strange, seen=spots, model=odd,
            title=f"Twice the pitch: epistemic part × {rise['epistemic']:.1f} (you said × {guess_rise:g}), error × "
            f"{rise['error of the mean']:.1f}\nmisfit {doubt['misfit'].iloc[1]:.1f} ± {error['misfit'].iloc[1]:.1f}, "
            f"of a training kind {doubt['misfit'].iloc[0]:.1f} ± {error['misfit'].iloc[0]:.1f}")

# %% [markdown]
# The epistemic part hardly rises. **The error is many times larger, and more than both parts together say**: both describe the world of the
# training, and neither knows that there is another. The misfit does rise: the draws miss the very values that they were given. So
# compare draws with what was observed.
#
# **When to use it:** questions about whole curves: integrals, maxima, counts, paths. **When not:** near-Gaussian fields, whose whole
# functions kriging draws just as well; blurs, averages and integrals as data (`03_score_field`). **Cost:** a draw asks the network once
# a step; a query reads the last lattice.
#
# ## Exercises
#
# **1 · Turn a knob.** How few sampler steps can you afford? Count the jumps of draws given `seen` with 2, 8 and 32 steps; `check(1, rows)` takes them as
# a dictionary.
#
# <details><summary>Solution</summary>
#
# ```python
# rows = {k: jumps(model.draw(seen, 64, seed=1, steps=k)(coords)).mean().item() for k in (2, 8, 32)}
# print(rows)
# check(1, rows)
# ```
#
# </details>
#
# **2 · Change a line.** Take the two places at which the sign of the curve is least certain. How likely is it above 0 at *both*? From draws, from the
# product of the two single odds, and exactly. `check(2, odds)`.
#
# <details><summary>Solution</summary>
#
# ```python
# unsure = ((drawn > 0).float().mean(0)[:, 0] - 0.5).abs()
# two, odds = coords[unsure.topk(2, largest=False).indices], {}
# for name, fitted in {"ours": model, "exact": oracle}.items():
#     above = (fitted.draw(seen, 500, seed=1)(two)[..., 0] > 0).float()
#     odds[name], odds[f"{name}, product"] = above.prod(1).mean().item(), above.mean(0).prod().item()
# print({name: round(value, 2) for name, value in odds.items()})
# check(2, odds)
# ```
#
# </details>
#
# **3 · Write a piece.** The integral over the box: how wide is its distribution under each way of dealing the same values? `check(3, spread)`.
#
# <details><summary>Solution</summary>
#
# ```python
# spread = {way: dealt(drawn, way).mean((1, 2)).std().item() for way in WAYS}
# print({way: round(value, 3) for way, value in spread.items()})
# check(3, spread)
# ```
#
# </details>
#
# **Five questions.** What can be right at every place and wrong for the curve? What is ω, and what stays the same
# as long as ω stays? How can the values at each place be kept and dealt anew? Which scores see the difference, and which do
# not? Which part of the uncertainty falls with more training?
#
# ## Further reading
#
# - Han, Zheng & Zhou 2022, *CARD: classification and regression diffusion models*
#   ([2206.07275](https://arxiv.org/abs/2206.07275)): a diffusion for one number at each place.
# - Dutordoir et al. 2023, *Neural diffusion processes* ([2206.03992](https://arxiv.org/abs/2206.03992)): all places
#   diffused together, by attention.
# - Zhang & Wonka 2024, *Functional diffusion* ([2311.15435](https://arxiv.org/abs/2311.15435)): noise that is a
#   function, so that draws have any resolution.
# - Scheuerer & Hamill 2015, *Variogram-based proper scoring rules*
#   ([10.1175/MWR-D-14-00269.1](https://doi.org/10.1175/MWR-D-14-00269.1)): a score that sees how places are
#   correlated.
# - Schefzik, Thorarinsdottir & Gneiting 2013, *Ensemble copula coupling*
#   ([1302.7149](https://arxiv.org/abs/1302.7149)): values at a place kept, and dealt anew by ranks.
# - Daxberger et al. 2021, *Laplace redux* ([2106.14806](https://arxiv.org/abs/2106.14806)): epistemic uncertainty of
#   the last layer, after training.
