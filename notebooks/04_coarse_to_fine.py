# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Coarse to fine: diffusion on what is large, a field for the detail
#
# *before: [`08_stochastic_field`](08_stochastic_field.ipynb) · next: [`06_temporal_field`](06_temporal_field.ipynb)*
#
# ![truth, an average answer and a whole draw, and their three spectra](pictures/04_coarse_to_fine.png)
#
# ## Question
#
# **What does regression lose, and who gives it back?**
#
# Enlarge a picture eight times by regression, and it comes back smooth. The answer with the lowest squared error is the mean of all pictures
# that could be, and in a mean their details cancel: a scan without its folds is useless all the same. Here the answer is built
# in three stages that can be switched off one by one: diffusion draws what is *coarse*, a field adds the detail that is *to be
# expected*, and a second diffusion draws the rest of the detail.
#
# Three problems: slices through a head, learned from some slabs of it and tested in others; hills, learned in the west of a map; and Gaussian surfaces,
# whose exact answer is known.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute. With `budget = "reference"`
# the lesson opens the weights that ship; `"lesson"` trains the first here, in two minutes of one core, with a live loss curve and a
# button to stop (the others get a few steps).

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which patches, which noise
device: str = "auto"  # auto | cpu | cuda
cells: int = 8  # averages a side of the coarse picture that is seen: 8 (×4) or 4 (×8)
tasks: int = 6  # how many patches each number is averaged over
toy_steps: int = 300  # training steps of the smallest version
guess: float = 0.5  # your prediction, see the first picture

# %%
from dataclasses import replace
from math import atan, pi

import pandas as pd
import plotly.graph_objects as go
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.approaches.coarse_to_fine.tiling import wide
from nfdlab.core.rng import child, normals, stream
from nfdlab.diffusion import samplers, schedule
from nfdlab.evaluate import ablation
from nfdlab.evaluate.continuity import seam_jump, spectrum_error
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.spectra import spectrum
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks, toy_steps = 1, 30
problem, rough, hills = (nfd.problems.get(name) for name in ("head2d", "powerlaw2d", "terrain2d"))
saws, heads = nfd.problems.get("sawtooth1d"), nfd.problems.held_out(problem)
linear, cubic = nfd.baselines.get("optimal_interpolation", problem), nfd.baselines.get("cubic")
grid = nfd.cell_centres((32, 32))
Blocks = nfd.patterns.BlockAverage

# %%
watch = LossWatch("coarse values and average detail, then the rest")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("coarse_to_fine", problem, budget=budget, seed=seed, device=device, watch=watch)
few = budget if budget == "reference" else "smoke"
walker, smoother = (
    nfd.load_or_train("coarse_to_fine", one, budget=few, seed=seed, device=device) for one in (hills, rough)
)

# %% [markdown]
# ## Picture
#
# A patch of 32 × 32 voxels is seen as a coarse picture: 8 × 8 averages, each over a block of 4 × 4 voxels, with a little noise. *Predict, and write it
# down* as `guess` in the cell of parameters: of the power that the truth has at waves shorter than two blocks, what share does regression keep?

# %%
power = lambda values: spectrum(values.cpu(), (32, 32))[1].mean(1)[:, 1:17]  # noqa: E731 - at 1 to 16 waves (n, 16)


def asked(who, source, pattern, i, n=16, **how):
    """A truth of a source, what a pattern shows of it, and n answers."""
    truth = source.draw(1, seed=child(seed, "patch", i))
    seen = nfd.observe(truth, pattern, noise_std=0.05, seed=i)
    return truth, seen, who.draw(seen, n, seed=i, **how)


stages = {"enlarged": "coarse", "regression": "regression", "one draw": "all"}
blocks = Blocks(cells=cells, parts=32 // cells)
answers = {name: [asked(model, heads, blocks, i, 1, stages=stage) for i in range(2 * tasks)]
           for name, stage in stages.items()}
pictures = {"truth": torch.cat([truth(grid) for truth, *_ in answers["one draw"]])}
pictures |= {name: torch.cat([f(grid).cpu() for *_, f in found]) for name, found in answers.items()}
curves = {name: power(values) for name, values in pictures.items()}
resampled = torch.randint(2 * tasks, (2000, 2 * tasks), generator=stream(seed, "patches drawn again"))  # bootstrap


def with_interval(a, b):
    """The ratio of the means of a and b over the same patches, and its 95 % interval."""
    return [(a.mean() / b.mean()).item(), *(a[resampled].mean(1) / b[resampled].mean(1)).quantile(
        torch.tensor([0.025, 0.975]).to(a)).tolist()]


detail = {name: p[:, cells // 2:].sum(1) for name, p in curves.items()}  # waves that the blocks cannot show
kept = {name: with_interval(p, detail["truth"]) for name, p in detail.items()}

# %%
figure, (axes,) = style.picture(1, 5, size=(13.6, 3.2), width_ratios=[1, 1, 1, 1, 1.25])
truth, seen, _ = answers["one draw"][0]
shown = {"truth": pictures["truth"][0], "seen: block averages": seen.values, "regression": pictures["regression"][0],
         "one draw": pictures["one draw"][0]}
low, high = pictures["truth"][0].quantile(torch.tensor([0.01, 0.99])).tolist()
for ax, (name, values) in zip(axes, shown.items(), strict=False):
    side = round(len(values) ** 0.5)
    ax.imshow(values.reshape(side, side), extent=(-1, 1, 1, -1), cmap=style.FIELD_MAP, vmin=low, vmax=high)
    style.dress(ax, title=name, x=problem.card.axes[1], y=problem.card.axes[0] if name == "truth" else None)
inks = style.TRUTH, style.BASELINE, style.SECOND, style.MODEL
for (name, p), colour in zip(curves.items(), inks, strict=True):
    axes[4].loglog(range(1, 17), p.mean(0), color=colour, lw=2.2 if name == "truth" else 1.5, label=name)
style.dress(axes[4], title="their spectra", x="waves across the box", y="power")
style.legend(axes[4], loc="lower left")
words = {name: "{:.0%} [{:.0%}, {:.0%}]".format(*share) for name, share in kept.items()}
style.headline(figure, f"Finer than the blocks ({2 * tasks} patches): regression keeps {words['regression']} "
               f"of the power (you said {guess:.0%}), a draw {words['one draw']}")
figure

# %% [markdown]
# Regression is not wrong, it answers with a mean. At a point the squared error of the mean is half of that of a draw; still,
# one draw in three is the nearer of the two, by chance. *Predict:* why one in three, and not one in two? (Measured on Gaussian surfaces, with exact
# answers.)

# %%
found = [asked(rough.oracle(), rough, nfd.patterns.Grid(count=64), i, 1) for i in range(4 * tasks)]
goal, single = (torch.cat([row[j](grid) for row in found]) for j in (0, 2))
means = torch.stack([rough.oracle().moments(seen, grid)[0] for _, seen, _ in found])
nearer = ((single - goal).abs() < (means - goal).abs()).float().mean().item()
half = ((means - goal).square().mean() / (single - goal).square().mean()).item()
print(f"{len(goal)} surfaces: squared error of the mean {half:.2f} of a draw's; the draw is nearer at "
      f"{nearer:.0%} of points, in theory at arctan(2)/π = {atan(2) / pi:.0%}")

# %% [markdown]
# The draw is nearer only where it lies on the same side of the mean as the truth, and not more than twice as far out. But many questions about the
# *whole* (how long is a border, how deep a fold) cannot be answered from a mean. Now numbers: enlarged ×4 and ×8, against bicubic
# enlargement and against the best linear answer, which knows the training slices' mean and covariance and takes block averages exactly. *Predict:* by how
# much is the CRPS of four draws below that of the best linear answer?

# %%
rows, scored, contestants = [], {}, {"bicubic": (cubic, {}), "best linear answer": (linear, {}),
                                     "regression": (model, {"stages": "regression"}), "all three stages": (model, {})}
for factor in (4, 8):
    for name, (who, how) in contestants.items():
        pattern = Blocks(cells=32 // factor, parts=factor)
        if name == "bicubic":
            pattern = nfd.patterns.Grid(count=(32 // factor) ** 2)
        n = 4 if name in ("best linear answer", "all three stages") else 1  # the other two give one answer
        found = [asked(who, heads, pattern, i, n, **how) for i in range(2 * tasks)]
        values, real = [f(grid).cpu() for *_, f in found], torch.cat([truth(grid) for truth, *_ in found])
        one_each, wanted = (power(pictures_).mean(0) for pictures_ in (torch.cat([v[:1] for v in values]), real))
        each = torch.stack([crps(v, r) for v, r in zip(values, real, strict=True)])
        scored[factor, name] = each
        doubt = 2 * each.std() / len(each) ** 0.5
        rows.append({"enlarged": f"×{factor}", "": name, "CRPS": f"{each.mean():.3f} ± {doubt:.3f}",
                     "|log power ratio|": f"{(one_each / wanted).log().abs().mean():.2f}"})
table = pd.DataFrame(rows).pivot(index="", columns="enlarged").loc[list(contestants)]
display(table.style.set_caption(
    f"{2 * tasks} patches, ± two standard errors; of one answer the CRPS is its absolute error"))
ratio = {f: with_interval(scored[f, "all three stages"], scored[f, "best linear answer"]) for f in (4, 8)}
print("draws over the best linear answer: " + ", ".join(
    f"×{f} {value:.2f} [{low:.2f}, {high:.2f}]" for f, (value, low, high) in ratio.items()))

# %% [markdown]
# Part of the gain over regression has nothing to do with detail: a Gaussian of the right width scores 1 − 1/√2 = 29 % better than its own mean, since it
# says how unsure it is. The best linear answer says that too, and knows no border: its draws are Gaussian. The last columns are about the detail: 0 is
# the truth's spectrum. (Bicubic enlargement is given the values at the blocks' middles, not averages.)
#
# ## Idea in symbols
#
# A function is drawn in stages, each given the one before and the observations $S$:
#
# $$p(f \mid S) = \int p(c \mid S)\; p(\tilde f \mid c, S)\, \mathrm{d}c, \qquad f = \bar f(\,\cdot\,; c, S) + \tilde f .$$
#
# - $c$, averages over the blocks of a **coarse picture** (8 × 8), by diffusion given $S$: another coarse picture, scattered points, or both.
# - $\bar f(x; c, S)$: $c$ read linearly, plus the **expected detail** from a local field (LIIF), which asks the four cells around $x$ and weighs their answers
#   by areas. It is also given the width of the pixel that is asked for. Trained by squared error.
# - $\tilde f$, the *rest*: $f - \bar f$ on a finer lattice (32 × 32), by a second diffusion, whose denoiser is given features of $\bar f$. It is divided by its own
#   standard deviation. Between the points of the lattice a second field reads it.
# - **Conditioning augmentation**: in training, noise of random size is added to $c$, and the stages after it are given the size. Then they do not mistake
#   errors of the first stage for detail.
#
# ## Smallest version
#
# From nothing: sawtooths at 32 places, seen as 8 averages. A regression enlarges them; a second network denoises what the regression leaves, given the averages
# and the regression's answer. *Predict:* what does the regression make of a jump?

# %%
X, rng, nets, unit = nfd.cell_centres((32,)), stream(seed, "toy"), {}, 0.15
with torch.random.fork_rng():
    torch.manual_seed(seed)
    for name, channels in {"mean": 1, "rest": 4}.items():
        layers = []
        for a, b, spread in ((channels, 48, 1), (48, 48, 2), (48, 48, 4), (48, 48, 2), (48, 1, 1)):
            layers += [torch.nn.Conv1d(a, b, 5, padding=2 * spread, dilation=spread), torch.nn.SiLU()]
        nets[name] = torch.nn.Sequential(*layers[:-1])
adam = torch.optim.Adam([*nets["mean"].parameters(), *nets["rest"].parameters()], 3e-3)
D = lambda x, s, c, mean: (x / (1 + s**2) + s / (1 + s**2).sqrt() * nets["rest"](torch.cat(  # noqa: E731
    [x / (1 + s**2).sqrt(), (s.log() / 4).expand_as(x), c, mean], 1)))
for i in range(toy_steps):
    f = saws.draw(64, seed=child(seed, "toy", i))(X).mT  # (64, 1, 32)
    c = f.unflatten(2, (8, 4)).mean(3).repeat_interleave(4, 2)  # averages of four
    mean = nets["mean"](c)
    rest = (f - mean).detach() / unit
    s = torch.exp(1.2 * torch.randn(64, 1, 1, generator=rng))
    x = rest + s * torch.randn(rest.shape, generator=rng)
    loss = (f - mean).square().mean() / unit**2
    loss = loss + ((1 + s**2) / s**2 * (D(x, s, c, mean.detach()) - rest).square()).mean()
    adam.zero_grad(), loss.backward(), adam.step()

# %%
fresh = saws.draw(128, seed=child(seed, "toy test"))(X).mT
c = fresh.unflatten(2, (8, 4)).mean(3).repeat_interleave(4, 2)
with torch.no_grad():
    mean, levels = nets["mean"](c), schedule.karras(30, 0.02, 20.0)
    noise = levels[0] * torch.randn(fresh.shape, generator=rng)
    rest = samplers.sample(lambda x, s: D(x, s.expand(len(x), 1, 1), c, mean), noise, levels, method="euler")
bank = saws.draw(8192, seed=2)(X)[..., 0]
shown = {"truth": fresh, "averages": c, "regression": mean, "a draw": mean + unit * rest}
toy = {name: (torch.cdist(values[:, 0], bank).amin(1) / 32**0.5).mean().item() for name, values in shown.items()}
figure, (panes,) = style.picture(1, 4, size=(12, 2.6), sharey=True)
for ax, (name, values) in zip(panes, shown.items(), strict=True):
    ink = {"truth": style.TRUTH, "regression": style.SECOND, "a draw": style.MODEL}.get(name, style.BASELINE)
    ax.plot(X[:, 0], values[:2, 0].T, color=ink, lw=1.2)
    style.dress(ax, x=saws.card.axes[0], title=f"{name}: {toy[name]:.3f}")
style.headline(figure, "Two sawtooths; root mean square distance of 128 to the nearest of 8,192 sawtooths")
figure

# %% [markdown]
# The regression bends where it should jump, because the jump may be anywhere in its block; a draw decides where.
#
# > **How this differs from the papers.** SR3 (Saharia et al. 2023) diffuses the enlarged picture itself; CorrDiff (Mardani et al. 2023) a residual, as here. Both
# > are *given* the coarse picture; here it may be unknown, and is drawn first, as in cascades (Ho et al. 2022). CorrDiff's regression is a large U-Net; here it is
# > a local field, so that any resolution can be asked.
#
# ## The library's version
#
# The library's own draw, part by part: what was seen becomes channels, a diffusion draws coarse values, a field adds the expected detail, a second
# diffusion the rest. And one line that gives the same numbers.

# %%
net, n, (truth, seen, _) = model.net, 4, answers["one draw"][0]
with torch.no_grad():
    points, averages = model.observed(seen)
    channels = net.channels(points, averages)
    features, given = net.condition(channels, points)
    sigmas = net.coarse.noise_levels.sigmas(model.steps).to(model.device)
    start = sigmas[0] * normals(child(seed, "coarse"), n, net.shape, "white").to(model.device)
    c = samplers.sample(net.coarse.given(given), start, sigmas, method="dpmpp")
    c = c + model.augmentation() * normals(seed, n, net.shape, "augment").to(c)
    h = net.average.encode(c, torch.tensor([model.augmentation()]).to(c), features)
    conditioning = net.detail_conditioning(h, channels)
    sigmas = net.detail.denoiser.noise_levels.sigmas(model.steps).to(model.device)
    start = sigmas[0] * normals(child(seed, "fine"), n, net.detail.shape, "white").to(model.device)
    r = samplers.sample(net.detail.denoiser.given(conditioning), start, sigmas, method="dpmpp")
    q = grid.to(model.device)
    values = net.mean(q, c, net.average.field.project(h)) + net.detail.evaluate(q, net.detail.prepare(r, conditioning))

draws = model.draw(seen, n, seed=seed)
assert torch.allclose(values.cpu(), draws(grid), atol=1e-3)
odd, dense = nfd.cell_centres((13, 13)), nfd.cell_centres((39, 39))
again = draws(dense).reshape(n, 39, 39)[:, 1::3, 1::3].flatten(1)  # the middle of three cells is that of one
print(f"by hand and by library: {(values.cpu() - draws(grid)).abs().max():.0e} apart; "
      f"asked at 13² and at 39²: {(again - draws(odd)[..., 0]).abs().max():.0e}")
plots.ladder(problem.card, {"truth": truth, "model": draws}, scales=(1, 2, 4, 8), side=32,
             title="One draw, closer and closer: a function, not a picture")

# %% [markdown]
# **LIIF's four corners.** The four cells around a query are its corners. Move the slider: the query walks through the box, and the area of each dot shows
# its cell's share of the answer. *Predict:* what is a corner's share at the moment when the query leaves it for the next?

# %%
walk = torch.stack([torch.linspace(-0.8, 0.8, 25), 0.5 * torch.sin(3 * torch.linspace(-0.8, 0.8, 25))], 1)
sites, cell = nfd.cell_centres((8, 8)), (walk + 1) / 2 * 8 - 0.5
share = (1 - (cell[:, None] - ((sites + 1) / 2 * 8 - 0.5)[None]).abs()).clamp_min(0).prod(-1)      # (25, 64): areas
jump = share.diff(dim=0).abs().max().item()
figure = go.Figure()
for spot, part in zip(walk.tolist(), share, strict=True):
    figure.add_scatter(x=[*sites[:, 0].tolist(), spot[0]], y=[*sites[:, 1].tolist(), spot[1]],
                       mode="markers", visible=False, showlegend=False, hoverinfo="text",
                       text=[f"{p:.0%}" for p in part.tolist()] + ["asked here"],
                       marker={"size": (4 + 34 * part.sqrt()).tolist() + [10],
                               "color": [style.MODEL] * 64 + [style.TRUTH],
                               "symbol": ["circle"] * 64 + ["x"]})
figure.data[12].visible = True
figure.update_layout(width=470, height=540, paper_bgcolor=style.PAPER, plot_bgcolor=style.PAPER,
                     xaxis_title="x", yaxis_title="y",
                     title=f"At most {int((share > 0).sum(1).max())} corners count;<br>"
                           f"a share never jumps by more than {jump:.0%} a step",
                     sliders=[{"active": 12, "currentvalue": {"prefix": "x = "}, "steps": [
                         {"method": "restyle", "label": f"{spot[0]:.2f}",
                          "args": [{"visible": [j == i for j in range(25)]}]}
                         for i, spot in enumerate(walk.tolist())]}])
figure

# %% [markdown]
# Its share is 0 by then, so the answer does not jump.
#
# ## Turn the knobs
#
# Scattered points instead of a coarse picture: how sparse, which pattern, how noisy, how close. The query-scale slider only asks, the draws stay. For hills,
# `nfd.explore(walker, hills)`; with the last stage switched off, `nfd.explore(model.using(stages="mean"), problem)`. Below the panel, three buttons
# add one stage after the other to one answer.

# %%
panel = nfd.explore(model, problem, count=100, pattern="grid", seed=seed, device=device, draws=8, view="draws")
panel

# %%
figure, buttons = go.Figure(), []
for i, (words, stage) in enumerate((("coarse", "coarse"), ("+ expected detail", "mean"), ("+ the rest", "all"))):
    values = model.draw(seen, 1, seed=seed, stages=stage)(grid)[0].reshape(32, 32).cpu()
    off = (values.flatten() - truth(grid)[0, :, 0]).square().mean().sqrt().item()
    figure.add_heatmap(z=(100 * values.flip(0)).round().div(100).tolist(), visible=i == 2, zmin=low, zmax=high,
                       colorscale=style.FIELD_MAP, showscale=False)
    buttons.append({"label": words, "method": "update", "args": [{"visible": [j == i for j in range(3)]}, {
        "title.text": f"{words}:<br>{off:.2f} from the truth (root mean square)"}]})
figure.update_layout(width=460, height=520, paper_bgcolor=style.PAPER, title=buttons[2]["args"][1]["title.text"],
                     updatemenus=[{"type": "buttons", "direction": "right", "buttons": buttons,
                                   "active": 2, "x": 0, "xanchor": "left", "y": -0.05}])
figure

# %% [markdown]
# ## Against the others
#
# Measured over many patches when the weights were made, noise 0.05: heads and hills as a ratio to the best linear answer, Gaussian surfaces
# to the exact posterior. *Predict:* on which of the three is least to gain?

# %%
kept_scores({"head2d": model, "terrain2d": walker, "powerlaw2d": smoother})

# %% [markdown]
# Gaussian surfaces leave nothing to gain, and draws are nearly exact. On heads they beat the best linear answer; on hills the best linear answer wins.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the field silenced, so that coarse values are read linearly; and
# its draws replaced by a Gaussian of their mean and covariance. That is noise, as strong and as smooth as the draws, in place of the
# texture that was learned. Two scores: the CRPS, at single points, and the energy score, of whole pictures (`08_stochastic_field`).
# *Predict:* which part costs more, and in which score? `nfdlab ablate coarse_to_fine head2d` measured it; the table is kept with the weights.

# %%
table = ablation.kept("coarse_to_fine", "head2d")
worth, of_full = ablation.worth(table)["to full"], replace(table, reference=ablation.FULL)
costs = {arm: {metric: of_full.ratio(metric, arm).loc["mean"].tolist() for metric in ("crps", "energy")}
         for arm in table.contestants if arm != ablation.FULL}
shown = {arm: {f"{metric}, to the full approach": f"{value:.3f} [{low:.3f}, {high:.3f}]"
               for metric, (value, low, high) in found.items()} for arm, found in costs.items()}
display(pd.DataFrame(shown).T.style.set_caption(
    f"with 95 % intervals; {table.rows['task'].nunique()} tasks for each of " + ", ".join(table.counts)))
plots.worth("coarse_to_fine", "head2d")

# %% [markdown]
# **Here the field earns its place**: with coarse values read linearly the error is a fifth larger or more, above that of the best linear
# answer, and the energy score agrees. Noise in place of the texture costs a few percent at single points, and about one percent by the
# energy score. Is that all that the texture is worth? Tissue is smooth up to a border, so most steps from one voxel to the next are small
# and some are large. We count the large ones, more than four times the median step of their picture. *Predict:* has a picture
# with noise for texture more of them than the truth, or fewer?

# %%
share, power_ = {name: [] for name in ("truth", "a draw", "Gaussian")}, []
for i in range(2 * tasks):
    truth, _, found = asked(model, heads, Blocks(cells=4, parts=8), i, 16)
    values, z = found(grid).cpu(), normals(seed, 16, (16,), "noise for texture", i)
    mean = values.mean(0)
    noise = mean + torch.einsum("nk,kpc->npc", z, values - mean) / 15**0.5  # a Gaussian of their mean and covariance
    for name, some in zip(share, (truth(grid), values, noise), strict=True):
        step = torch.cat([some.reshape(-1, 32, 32).diff(dim=d).flatten(1).abs() for d in (1, 2)], 1)
        share[name].append((step > 4 * step.median(1, keepdim=True).values).float().mean())
        power_.append(step.square().mean())
share = {name: torch.stack(found) for name, found in share.items()}
large = {name: with_interval(found, share["truth"]) for name, found in share.items()}
figure, (axes,) = style.picture(1, 3, size=(8.6, 3.6))
for ax, name, one in zip(axes, share, (truth(grid), values, noise), strict=True):
    ax.imshow(one[0].reshape(32, 32), extent=(-1, 1, 1, -1), cmap=style.FIELD_MAP, vmin=low, vmax=high)
    words = "" if name == "truth" else ": {:.2f} [{:.2f}, {:.2f}]".format(*large[name])
    style.dress(ax, x=problem.card.axes[1], title=name + words)
same = sum(power_[2::3]) / sum(power_[1::3])
style.headline(figure, f"How many large steps, over the truth's ({2 * tasks} patches at ×8, with 95 % intervals);\n"
               f"mean squared step of the Gaussian over that of a draw: {same:.2f}")
figure

# %% [markdown]
# Fewer: its steps have no less power, but more of them are of middle size and fewer are large, so borders are washed out. Draws of the
# model have about as many as the truth. Neither of the two scores says much about that: to see it one has to ask for it.
# (Intervals: patches drawn again with replacement, 2000 times.)
#
# ## Where it breaks
#
# **Noisy coarse values, and nobody says so.** Coarse values carry noise of 0.3 of their standard deviation. The stages after them are given
# the size 0, or the true one, 0.3 (*augmentation* in the title). *Predict:* what do they make of the noise?

# %%
many, truths, found = 2 * tasks, [heads.draw(1, seed=child(seed, "noisy", i)) for i in range(2 * tasks)], {}
for level in (0.0, 0.3):
    for i, truth in enumerate(truths):
        noise = 0.3 * float(net.unit.std) * normals(seed, 1, (8, 8, 1), "noisy", i)[0]
        found.setdefault(level, []).append(model.refine(model.coarse(truth)[0] + noise, 8, seed=i, augmentation=level))
values = {level: [f(grid).cpu() for f in fs] for level, fs in found.items()}
each = {level: torch.stack([crps(v, t(grid)[0]) for v, t in zip(vs, truths, strict=True)])
        for level, vs in values.items()}
error = {level: scores.mean().item() for level, scores in each.items()}
worse, least, most = with_interval(each[0.0], each[0.3])
cover = {level: sum(((t(grid)[0] - v.mean(0)).square().mean() / v.var(0).mean()).sqrt().item()
                    for v, t in zip(vs, truths, strict=True)) / many for level, vs in values.items()}
plots.pages(problem.card, {"truth": truths[0], "augmentation 0": found[0.0][0], "augmentation 0.3": found[0.3][0]},
            title=f"CRPS at augmentation 0 over that at 0.3: {worse:.2f} [{least:.2f}, {most:.2f}];\n"
            f"error over spread {cover[0.0]:.1f} and {cover[0.3]:.1f} ({many} patches)")

# %% [markdown]
# Given 0, the model takes the noise for tissue, adds detail to it, and is too sure.
#
# **×16 after training to ×4.** The second diffusion draws values on 32 × 32 points, ×4 of the 8 × 8 blocks. What lies between them is read by a field. A Gaussian
# surface has no waves shorter than a twelfth of the box along either axis. *Predict:* is a draw of it, asked at 128 × 128, too rough or too smooth?

# %%
scales = (1, 2, 4, 8, 16)
prior, fresh = smoother.draw(None, 10 * tasks, seed=seed), rough.draw(10 * tasks, seed=seed + 1)
off = list(spectrum_error(prior, fresh, base=(8, 8), scales=scales).values())
a, b = (spectrum(f(nfd.cell_centres((128, 128))).cpu(), (128, 128))[1].mean((0, 1)) for f in (prior, fresh))
extra, share = (a[32:64].sum() / b[32:64].sum()).item(), (a[32:64].sum() / a[1:64].sum()).item()
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
ax.plot([f"×{s}" for s in scales], off, "o-", color=style.MODEL)
style.dress(ax, x="scale asked, of 8 × 8", y="|log power ratio|",
            title=f"Up to ×2 at most {max(off[:2]):.2f}, at ×4 {off[2]:.2f}, at ×16 {off[4]:.1f}: {share:.0e}\n"
            "of a draw's power lies in waves shorter than two points of its lattice")
figure

# %% [markdown]
# Too rough: what is learned between the points of a lattice leaves small creases at them, and creases are power where the truth has none, if very little.
#
# **Wider than the box it knows.** A strip three boxes long is drawn in tiles that overlap by half. Blended at every step of the sampler, they make
# one picture. Laid side by side, they do not. *Predict:* how much larger are steps across a seam?

# %%
seams, long = (-0.5, -1 / 6, 1 / 6, 0.5), nfd.cell_centres((144, 48))
strips = {name: wide(walker, 4, (3, 1), seed=seed, steps=8, blended=on)
          for name, on in (("blended", True), ("by themselves", False))}
step = {name: seam_jump(f, seams, step=0.004) for name, f in strips.items()}
figure, axes = style.picture(2, 1, size=(7.4, 5.2))
for (ax,), (name, f) in zip(axes, strips.items(), strict=True):
    ax.imshow(f(long)[0].reshape(144, 48).T.cpu(), origin="lower", cmap=style.FIELD_MAP, extent=(-3, 3, -1, 1))
    style.dress(ax, title=f"{name}: a step across a seam is {step[name]:.1f} times one elsewhere",
                x=f"{hills.card.axes[0]}, in half boxes", y=hills.card.axes[1])
check = Exercises({
    1: (lambda scores: scores[12] < 1.1 * min(scores.values()) or budget == "smoke",
        "More steps than the default should bring little."),
    2: (lambda both: both["both"] < min(both["averages"], both["points"]) or budget == "smoke",
        "Are weights and values of points and averages in the same order?"),
    3: (lambda ratio: 0.5 < ratio < 2 or budget == "smoke", "Of the rest alone: a draw less its mean detail."),
})
figure

# %% [markdown]
# **When to use it:** enlarging coarse pictures by any factor where detail matters; large domains. **When
# not:** where only the mean is asked for: there regression is enough; for other data than points and averages, which need guidance
# (`03_score_field`). **Cost:** the minutes of training are in the table above; a draw costs two samplers, however closely it is looked at.
#
# ## Exercises
#
# **1 · Turn a knob.** How many steps does each diffusion need? `check(1, scores)` takes CRPS by number of steps.
#
# <details><summary>Solution</summary>
#
# ```python
# truth, seen, _ = answers["one draw"][1]
# scores = {k: crps(model.draw(seen, 32, seed=1, steps=k)(grid).cpu(), truth(grid)[0]).item() for k in (4, 12, 24)}
# print(scores)
# check(1, scores)
# ```
#
# </details>
#
# **2 · Change a line.** Both at once: a coarse picture of 4 × 4 averages *and* 60 points. A point is a row of weights with a single 1. Is the CRPS below that of
# either alone? `check(2, both)`.
#
# <details><summary>Solution</summary>
#
# ```python
# from nfdlab.core.types import LinearObservations
#
# averages = nfd.observe(truth, Blocks(cells=4, parts=8), noise_std=0.05, seed=1)
# points = nfd.observe(truth, nfd.patterns.Random(count=60), noise_std=0.05, seed=2)
# together = LinearObservations(torch.cat([averages.points, points.coords]),
#                               torch.block_diag(averages.weights, torch.eye(60)),
#                               torch.cat([averages.values, points.values]), 0.05)
# both = {name: crps(model.draw(s, 32, seed=1)(grid).cpu(), truth(grid)[0]).item()
#         for name, s in (("averages", averages), ("points", points), ("both", together))}
# print(both)
# check(2, both)
# ```
#
# </details>
#
# **3 · Write a piece.** Does the rest have the right size? Divide the standard deviation of the rest that is drawn by that of the rest of the truth,
# `truth − mean`. `check(3, ratio)`.
#
# <details><summary>Solution</summary>
#
# ```python
# coarse = model.coarse(truth)[0]
# mean = model.refine(coarse, 1, seed=0, stages="mean")(grid).cpu()
# drawn = model.refine(coarse, 16, seed=0)(grid).cpu() - mean
# ratio = (drawn.std() / (truth(grid) - mean).std()).item()
# print(f"{ratio:.2f}")
# check(3, ratio)
# ```
#
# </details>
#
# **Five questions.** What does regression lose, and in which of the spectra is it seen? Why is noise added to coarse
# values before detail is drawn on them? What does the field need a pixel's width for? Why do tiles that are drawn by
# themselves not fit? What does one see between the points of the lattice, a draw or a mean?
#
# ## Further reading
#
# - Saharia et al. 2023, *Image super-resolution via iterative refinement*
#   ([2104.07636](https://arxiv.org/abs/2104.07636)): SR3, diffusion given a coarse picture.
# - Ho et al. 2022, *Cascaded diffusion models for high fidelity image generation*
#   ([2106.15282](https://arxiv.org/abs/2106.15282)): stage after stage, and noise on what a stage is conditioned on.
# - Mardani et al. 2023, *Residual corrective diffusion modeling* ([2309.15214](https://arxiv.org/abs/2309.15214)):
#   regression first, diffusion of what it leaves.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*
#   ([2012.09161](https://arxiv.org/abs/2012.09161)): four corners, and the pixel's width.
# - Bar-Tal et al. 2023, *MultiDiffusion* ([2302.08113](https://arxiv.org/abs/2302.08113)): tiles that are blended at
#   every step.
