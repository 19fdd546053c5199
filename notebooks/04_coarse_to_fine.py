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
# ![truth, an average answer and a whole draw, and their three spectra](pictures/04_coarse_to_fine.png)
#
# ## Question
#
# **What does regression lose, and who gives it back?**
#
# Enlarge a picture eight times with the best average answer, and it comes back smooth: of all the detail that could be there,
# the average is none. A score like the squared error calls that optimal; a weather map without gusts is useless all the same. Here the answer is built
# in three steps that can be switched off one by one: diffusion draws what is *coarse*, a field adds the detail that is *to be
# expected*, and a second diffusion draws what was not.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which points
device: str = "auto"  # auto | cpu | cuda
keep: int = 64  # points of the regular grid that is seen
tasks: int = 4  # how many tasks each number is averaged over

# %%
from math import atan, pi

import pandas as pd
import plotly.graph_objects as go
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.approaches.coarse_to_fine.tiling import wide
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import normals
from nfdlab.evaluate.continuity import seam_jump, spectrum_error
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.spectra import spectrum
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks = 2
rough, hills = nfd.problems.get("powerlaw2d"), nfd.problems.get("terrain2d")
east = hills.held_out()
side, stages = 64, ("coarse", "mean", "all")
grid = nfd.cell_centres((side, side))

# %% [markdown]
# Two worlds from the weights that ship: Gaussian surfaces with detail at every scale, whose exact answer is known, and real
# hills, learned from the west of a map and asked about in the east. `budget = "lesson"` trains the first here, in two minutes.

# %%
watch = LossWatch("coarse values, average detail, what is left")
if budget != "reference":
    display(watch)
model = nfd.load_or_train(
    "coarse_to_fine", rough, budget=budget, seed=seed, device=device, watch=watch
)
walker = nfd.load("coarse_to_fine", "terrain2d", device=device)


# %% [markdown]
# ## Picture
#
# Eight by eight points of a surface are seen, and we ask at 64 × 64. *Predict:* of the variance at a quarter of a cell's
# width, how much is left in the average answer? And in one draw?

# %%
def power(fields, points=32):
    """Mean power at each wavenumber of all draws of a list of fields, on points² cells."""
    values = torch.cat([f(nfd.cell_centres((points, points))).cpu() for f in fields])
    k, found = spectrum(values, (points, points))
    return k[1 : points // 2 + 1], found.mean((0, 1))[1 : points // 2 + 1]


def asked(who, problem, s, count, n=2, **how):
    """A truth, what a regular grid shows of it, and n answers."""
    truth = problem.draw(1, seed=1000 + s)
    seen = nfd.observe(truth, nfd.patterns.Grid(count=count), noise_std=0.05, seed=s)
    return truth, seen, who.draw(seen, n, seed=s, **how)


answers = {
    stage: [asked(model, rough, seed + s, keep, stages=stage) for s in range(2 * tasks)]
    for stage in stages
}
curves = {"truth": power([truth for truth, *_ in answers["all"]])}
curves |= {
    name: power([f for *_, f in answers[key]])
    for name, key in (
        ("enlarged", "coarse"),
        ("regression", "mean"),
        ("regression + diffusion", "all"),
    )
}
kept = {
    name: (p[8:].sum() / curves["truth"][1][8:].sum()).item() for name, (_, p) in curves.items()
}

# %%
figure, (axes,) = style.picture(1, 4, size=(12.2, 3.3), width_ratios=[1, 1, 1, 1.25])
first = {"truth": answers["all"][0][0], "regression": answers["mean"][0][2], "one draw": answers["all"][0][2]}
low, high = first["truth"](grid).quantile(torch.tensor([0.01, 0.99])).tolist()
for ax, (name, f) in zip(axes, first.items(), strict=False):
    ax.imshow(
        f(grid)[0].reshape(side, side).T.cpu(),
        origin="lower",
        extent=(-1, 1, -1, 1),
        cmap=style.FIELD_MAP,
        vmin=low,
        vmax=high,
    )
    ax.scatter(*answers["all"][0][1].coords.T, s=5, color=style.DOT, edgecolor=style.TRUTH, linewidth=0.4)
    style.dress(ax, title=name, x="x", y="y" if name == "truth" else None)
inks = style.TRUTH, style.BASELINE, style.SECOND, style.MODEL
for (name, (k, p)), colour in zip(curves.items(), inks, strict=True):
    axes[3].loglog(k, p, color=colour, lw=2.2 if name == "truth" else 1.5, label=name)
(
    style.dress(axes[3], title="three spectra, and the truth's", x="cycles across the box", y="power"),
    style.legend(axes[3], loc="lower left"),
)
figure.suptitle(
    f"Finer than the grid: regression keeps {kept['regression']:.0%} of the power, with diffusion it is "
    f"{kept['regression + diffusion']:.0%}",
    x=0.01,
    ha="left",
    fontweight="bold",
    color=style.INK,
)
figure

# %% [markdown]
# The average answer is not wrong, it is an average. At a point its squared error is half of that of a draw, on average; still,
# one draw in three is the nearer of the two, by chance. *Predict:* why one in three, and not one in two?

# %%
truths, sights, _ = zip(*answers["all"], strict=True)
means = torch.stack([rough.oracle().moments(seen, grid)[0] for seen in sights])
single = torch.cat([rough.oracle().draw(seen, 1, seed=seed)(grid) for seen in sights])
goal = torch.cat([truth(grid) for truth in truths])
nearer = ((single - goal).abs() < (means - goal).abs()).float().mean().item()
half = ((means - goal).square().mean() / (single - goal).square().mean()).item()
print(
    f"exact answers, {len(goal)} surfaces: squared error of the mean {half:.2f} of a draw's; "
    f"the draw is nearer at {nearer:.0%} of points, in theory at arctan(2)/π = {atan(2) / pi:.0%}"
)

# %% [markdown]
# But nothing that is asked of the *whole* (the highest peak, the length of a coast, where water runs) can be read from the average.
# Now hills, from 8 × 8 and from 16 × 16 points, to be asked at 64 × 64. *Predict:* is a draw's score, the CRPS of a handful of draws, better or worse than the
# regression's absolute error?

# %%
rows, gain, cubic = {}, {}, nfd.baselines.get("cubic")
for count in (64, 256):
    scores = {}
    for name, who, how in (("regression", walker, {"stages": "mean"}),
                           ("all three steps", walker, {"stages": "all"}), ("bicubic", cubic, {})):
        found = [asked(who, east, seed + s, count, 6, **how) for s in range(tasks)]
        answer = [f(grid).cpu() if name == "all three steps" else f(grid).mean(0, keepdim=True).cpu()
                  for *_, f in found]  # regression gives one answer
        scores[name] = torch.stack([crps(v, t(grid)[0]) for v, (t, *_) in zip(answer, found, strict=True)])
        (_, p), (_, real) = power([f[:1] for *_, f in found], side), power([t for t, *_ in found], side)
        rows[f"{count} points", name] = {
            "CRPS": scores[name].mean().item(),
            "|log power ratio|": (p / real).log().abs()[1:16].mean().item(),
        }
    better = (scores["regression"] - scores["all three steps"]) / scores["regression"].mean()
    gain[count] = f"{better.mean():.0%} ± {better.std() / len(better) ** 0.5:.0%}"
shown = {name: asked(walker, east, seed, 64, 1, stages=name) for name in ("mean", "all")}
display(plots.pages(
    hills.card, {"truth": shown["all"][0], "regression": shown["mean"][2], "one draw": shown["all"][2]},
    seen=shown["all"][1], title=f"Hills: draws score {gain[64]} better than regression from 8², "
    f"{gain[256]} from 16² ({tasks} patches)"))
pd.DataFrame(rows).T.style.format("{:.3f}").set_caption(
    f"{tasks} patches of the east; of one answer the CRPS is its absolute error"
)

# %% [markdown]
# Part of the gain is no detail at all: a Gaussian of the right width scores 1 − 1/√2 = 29 % better than its own mean, since it says how
# unsure it is. The last column is about the detail.
#
# ## Idea in symbols
#
# A function is drawn in steps, each given the one before and the observations $S$:
#
# $$p(f \mid S) = \int p(c \mid S)\; p(r \mid c, S)\; p(f \mid c, r, S)\; \mathrm{d}c\, \mathrm{d}r .$$
#
# - $c$, values on a **coarse lattice** (8 × 8), by diffusion.
# - $m(x; c)$, the **average detail**: the best linear answer plus a local field (LIIF), which asks the four coarse points round $x$ and blends
#   what they say by areas. Trained by squared error.
# - $r = f - m$ on a **finer lattice** (32 × 32), by a second diffusion, whose denoiser is conditioned on features of the coarse values. Its scale is the residual's own.
# - below that, a **spectral prior**: $f$ is a sum of Fourier modes with the spectrum measured on draws, conditioned on all of the above. So a draw has no pixels.
# - **Noise conditioning augmentation**: noise of standard deviation $s$ is added to coarse values, and steps two and three are conditioned on $s$. Then they do not take errors of the first for hills.
#
# All networks start at zero beside closed forms, which for a Gaussian are exact. The *amplitude* of a function is one more unknown, inferred from the observations.
#
# ## Smallest version
#
# The average detail in plain PyTorch: the covariance of a sum of Fourier modes, a linear solve, and the four corners of a local field.

# %%
net, spectral = model.net, model.net.spectral_prior
sites, query = net.places[0], nfd.cell_centres((23, 23))
truth, value = rough.draw(1, seed=seed), rough.draw(1, seed=seed)(sites)[0]
with torch.no_grad():
    c = (value - spectral.mean.cpu()) / spectral.scale.cpu()  # (64, 1), in units of the prior
    step = torch.cat([sites, query])[:, None].double() - sites  # x − x', of all pairs
    cos = [(spectral.omega * step[..., i, None]).cos() for i in (0, 1)]
    among, across = torch.einsum("pqi,ij,pqj->pq", cos[0], spectral.power, cos[1]).split(
        [64, len(query)]
    )  # Σ S_k cos ω_k·(x − x')
    linear = across @ torch.linalg.solve(among + 9e-6 * torch.eye(64).double(), c.double())
    features = (
        net.average.encode(c.T[None].to(model.device), 0.0)[0].flatten(1).T
    )  # of each coarse point (64, w)
    field, answer = net.average.field, torch.zeros(len(query), 1, device=model.device)
    place = (query + 1) / 2 * 8 - 0.5  # in cells, 0 at the first centre
    base = place.floor().clamp(0, 6)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):  # LIIF: four corners, blended by areas
        corner = base + torch.tensor([i, j])
        t = (place - base).clamp(0, 1)
        area = torch.where(torch.tensor([i, j]).bool(), t, 1 - t).prod(1, keepdim=True)
        corner_features = field.prepare(
            features[(corner[:, 0] * 8 + corner[:, 1]).long()]
        ) + field.place(field.encode(((place - corner) / 1.5).to(model.device)))
        answer += area.to(model.device) * field.answer(corner_features)
    mean = spectral.mean.cpu() + spectral.scale.cpu() * (linear.float() + answer.cpu())

# %% [markdown]
# ## The library's version
#
# The same numbers, from `refine`, which adds detail to coarse values of your own. And `draw`, which does it all, asked at any resolution: 13², or 100².

# %%
library = model.refine(value, 1, seed=seed, augmentation=0.0, stages="mean")(query)[0].cpu()
assert (mean - library).abs().max() < 0.03
truth, seen, draws = asked(model, rough, seed, keep, 8)
exact = rough.oracle().draw(seen, 8, seed=seed)
odd, fine = nfd.cell_centres((13, 13)), nfd.cell_centres((39, 39))
again = (
    draws(fine).reshape(8, 39, 39)[:, 1::3, 1::3].flatten(1)
)  # the middle of three cells is that of one
print(
    f"by hand and by library: {(mean - library).abs().max():.4f} apart; "
    f"asked at 13² and at 39²: {(again - draws(odd)[..., 0]).abs().max():.0e}"
)
plots.ladder(
    rough.card,
    {"truth": truth, "model": draws, "exact": exact},
    scales=(1, 2, 4, 8, 16),
    side=64,
    title="One draw, closer and closer: its spread is "
    f"{draws(grid).std(0).mean() / exact(grid).std(0).mean():.2f} of the exact one",
)

# %% [markdown]
# **LIIF's four corners.** Move the slider: a query walks through the box, and each coarse point is as large as its share of the answer.
# *Predict:* what happens to a corner's share just as the query crosses to the next cell?

# %%
walk = torch.stack([torch.linspace(-0.8, 0.8, 25), 0.5 * torch.sin(3 * torch.linspace(-0.8, 0.8, 25))], 1)
cell = (walk + 1) / 2 * 8 - 0.5
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
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how close: the query-scale slider only asks, the draws stay. For hills, `nfd.explore(walker, hills)`; with the
# last step switched off, `nfd.explore(model.using(stages="mean"), rough)`. Below the panel, three buttons switch the steps of one answer on.

# %%
panel = nfd.explore(
    model, rough, count=keep, pattern="grid", seed=seed, device=device, draws=8, view="draws"
)
panel

# %%
figure, buttons = go.Figure(), []
for i, (words, stage, key) in enumerate((("coarse", "coarse", "enlarged"), ("+ average detail", "mean", "regression"),
                                         ("+ what was not to be expected", "all", "regression + diffusion"))):
    values = answers[stage][0][2](grid)[0].reshape(side, side).T.cpu()
    figure.add_heatmap(z=(100 * values).round().div(100).tolist(), visible=i == 2, zmin=low, zmax=high,
                       colorscale=style.FIELD_MAP, showscale=False)
    buttons.append({"label": words, "method": "update", "args": [{"visible": [j == i for j in range(3)]}, {
        "title.text": f"{words}:<br>{kept[key]:.0%} of the power finer than the grid"}]})
figure.update_layout(width=460, height=520, paper_bgcolor=style.PAPER, title=buttons[2]["args"][1]["title.text"],
                     updatemenus=[{"type": "buttons", "direction": "right", "buttons": buttons,
                                   "active": 2, "x": 0, "xanchor": "left", "y": -0.05}])
figure

# %% [markdown]
# ## Against the others
#
# Fair CRPS as a ratio to draws of the exact posterior, 1.00 is the best possible: on a regular grid and at random places. *Predict:*
# where is kriging, which must find its kernel from the observations, furthest behind?

# %%
rivals = {"model": model, "kriging": nfd.baselines.get("kriging"), "cubic": cubic}
ratios = {name: {} for name in rivals}
for words, how in (("grid", {"pattern": nfd.patterns.Grid(count=64)}), ("random", {"counts": (16, 64)})):
    table = compare(rivals, rough, tasks=max(2, tasks // 2), draws=24, seed=seed, **how)
    for name in rivals:
        found = table.ratio("crps", name).drop(["mean", "worst"])
        ratios[name] |= {f"{m}, {words}": row for m, row in zip(found.index, found.to_numpy().tolist(), strict=True)}
figure, ((ax,),) = style.picture(size=(6.4, 3.0))
for name, found in ratios.items():
    value, low_, high_ = torch.tensor(list(found.values())).T
    ax.errorbar(
        list(found),
        value,
        yerr=torch.stack([value - low_, high_ - value]).clamp_min(0),
        fmt="o",
        ms=4,
        capsize=2.5,
        color=style.colour_of(name),
        label=name,
    )
ax.axhline(1.0, color=style.EXACT, lw=1), ax.set_yscale("log"), style.legend(ax)
style.dress(
    ax,
    y="CRPS over the exact posterior's",
    x="points seen",
    title=f"{max(2, tasks // 2)} tasks. On the grid: "
    + ", ".join(f"{name} {found['64, grid'][0]:.2f}" for name, found in ratios.items()),
)
figure

# %% [markdown]
# Said plainly: **on a Gaussian the closed forms do it all**, and the most that training can do is not to spoil it. What do networks add on hills? A few tasks
# cannot tell a few percent. Denoising can: fine values of hills in the east, given coarse ones, with noise of size σ added; the same noise for all.
# *Predict:* at which σ is there most to learn?

# %%
silent = nfd.load("coarse_to_fine", "terrain2d", device=device)
last = silent.net.coarse.net.net.output[-1], silent.net.detail.net.output[-1]
for layer in (*last, silent.net.average.field.answer[-1]):
    torch.nn.init.zeros_(layer.weight), torch.nn.init.zeros_(layer.bias)
patches, levels, left = east.draw(16 * tasks, seed=seed + 5), torch.logspace(-1.7, 0.3, 7).tolist(), {}
a = walker.net.estimated_amplitude(patches, walker.details(0.0))
with torch.no_grad():
    for name, who in {"networks": walker, "silent": silent}.items():
        n, detail = who.net, who.details(0.0)
        coarse, values = (n.units(patches(x), a).to(who.device) for x in n.places)
        average, features = n.fine_mean(coarse, detail)
        D = n.denoise_detail(detail, n.detail_conditioning(average, features))
        noise = normals(seed, patches.n, values.shape[1:], "hills").to(values)
        left[name] = [
            (average + D(values + s * noise - average, torch.tensor(s)) - values).square().mean().item() for s in levels
        ]
share = [x / y for x, y in zip(left["networks"], left["silent"], strict=True)]
figure, ((ax,),) = style.picture(size=(6.4, 3.0))
ax.semilogx(levels, share, "o-", color=style.MODEL), ax.axhline(1, color=style.BASELINE, lw=1)
style.dress(
    ax,
    x="noise level σ",
    y="squared error, networks over silent",
    title=f"Networks leave {min(share):.0%} of the silent error at σ = "
    f"{levels[share.index(min(share))]:.2f}, {share[-1]:.0%} at σ = {levels[-1]:.1f}",
)
display(figure)
kept_scores({"powerlaw2d": model, "terrain2d": walker})

# %% [markdown]
# In the middle, where texture is decided, the networks take something off. At much noise the average detail decides; above 1 there, it has
# learned something of the west that does not hold in the east. The spectral prior and the amplitude, inferred from the observations,
# do the rest. The table below the figure was measured when the weights were made: random places unless it says a grid, noise 0.05.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the network silenced, so that its Gaussian prior answers
# alone; the field, so that its linear part is left; and its draws replaced by a Gaussian of their mean and covariance, which the exact posterior feels too. *Predict:*
# which costs most? `nfdlab ablate coarse_to_fine powerlaw2d` measured it; the table is kept with the weights.

# %%
from nfdlab.evaluate import ablation

worth = ablation.worth(ablation.kept("coarse_to_fine", "powerlaw2d"))["to full"]
plots.worth("coarse_to_fine", "powerlaw2d")

# %% [markdown]
# On a Gaussian field with a power law neither the network nor the field adds anything that can be measured: the measured spectrum is all
# there is to know. Terrain is where they have something to do.
#
# ## Where it breaks
#
# **Noisy coarse values, and nobody says so.** Coarse values carry noise of 0.3. The second and third step are conditioned on
# augmentation 0, or on 0.3. *Predict:* what does the third step make of the noise?

# %%
truths, found = [rough.draw(1, seed=2000 + s) for s in range(tasks)], {}
for level in (0.0, 0.3):
    for i, truth in enumerate(truths):
        noisy = truth(sites)[0] + 0.3 * normals(seed + i, 1, (64, 1), "noisy")[0]
        found.setdefault(level, []).append(model.refine(noisy, 8, seed=i, augmentation=level))
error = {
    level: torch.stack([crps(f(grid).cpu(), t(grid)[0]) for f, t in zip(fs, truths, strict=True)])
    .mean()
    .item()
    for level, fs in found.items()
}
cover = {
    level: torch.stack(
        [
            (
                (t(grid)[0] - f(grid).cpu().mean(0)).square().mean() / f(grid).cpu().var(0).mean()
            ).sqrt()
            for f, t in zip(fs, truths, strict=True)
        ]
    )
    .mean()
    .item()
    for level, fs in found.items()
}
plots.pages(
    rough.card,
    {"truth": truths[0], "augmentation 0": found[0.0][0], "augmentation 0.3": found[0.3][0]},
    title=f"CRPS {error[0.0]:.3f} at augmentation 0, {error[0.3]:.3f} at 0.3; "
    f"error over spread {cover[0.0]:.1f} and {cover[0.3]:.1f} ({tasks} tasks)",
)

# %% [markdown]
# At augmentation 0 it keeps every bump of the noise, dresses it in convincing texture, and is far too sure. **×16 after training to
# ×4.** The networks have practised with values on 32 × 32 points. What lies between is up to what comes after: Fourier modes of the measured spectrum, or the
# drawn points read as a picture is, bicubically or linearly, which is where most cascades end. *Predict:* which is wrong at ×16, and is it too rough or too smooth?

# %%
scales, n, between = (1, 2, 4, 8, 16), 10 * tasks, {"modes": None, "bicubic": True, "linear": False}
prior, fresh = model.draw(None, n, seed=seed), rough.draw(n, seed=seed + 1)
lattice, off, sign = prior(net.places[1]).mT.reshape(n, 1, 32, 32), {}, {}
off["modes"] = list(spectrum_error(prior, fresh, base=(8, 8), scales=scales).values())
for name in ("bicubic", "linear"):
    for s in scales:
        points = nfd.cell_centres((8 * s, 8 * s))
        a, b = (
            spectrum(v.cpu(), (8 * s, 8 * s))[1].mean((0, 1))[1 : 4 * s + 1]
            for v in (interpolate(lattice, points, between[name]), fresh(points))
        )
        ratio = ((a + 1e-9) / (b + 1e-9)).log()
        off.setdefault(name, []).append(ratio.abs().mean().item())
        sign[name] = "too rough" if ratio[8 * s // 4 :].mean() > 0 else "too smooth"
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
inks = style.MODEL, style.colour_of("rbf"), style.colour_of("linear")
for (name, values), colour in zip(off.items(), inks, strict=True):
    ax.plot([f"×{s}" for s in scales], values, "o-", color=colour, label=name)
style.dress(
    ax,
    x="scale asked",
    y="|log power ratio|",
    title=f"At ×16: modes {off['modes'][-1]:.2f}, "
    + ", ".join(f"{name} {off[name][-1]:.1f} ({sign[name]})" for name in sign),
)
style.legend(ax)
figure

# %% [markdown]
# A picture has creases at its points, and creases are power where the truth has none. **Wider than the box it knows.** Tiles overlap by half; blended
# inside the sampler they draw one thing. Laid side by side, they do not. *Predict:* how much larger are steps across a seam?

# %%
seams, long = (-0.5, -1 / 6, 1 / 6, 0.5), nfd.cell_centres((144, 48))
strips = {
    name: wide(model, 4, (3, 1), seed=seed, steps=8, blended=on)
    for name, on in (("blended", True), ("by themselves", False))
}
step = {name: seam_jump(f, seams, step=0.004) for name, f in strips.items()}
figure, axes = style.picture(2, 1, size=(7.4, 5.2))
for (ax,), (name, f) in zip(axes, strips.items(), strict=True):
    ax.imshow(
        f(long)[0].reshape(144, 48).T.cpu(),
        origin="lower",
        cmap=style.FIELD_MAP,
        extent=(-3, 3, -1, 1),
    )
    style.dress(
        ax,
        title=f"{name}: a step across a seam is {step[name]:.1f} times one elsewhere",
        x="x, in half boxes",
        y="y",
    )
figure

# %% [markdown]
# **When to use it:** enlarging by any factor where texture matters; large domains; and wherever one wants to know what a step adds. **When
# not:** where only the mean is asked for: there regression is enough. **Cost:** the minutes of training are in the table above; a
# draw costs the same however closely it is looked at.
#
# ## Exercises
#
# **1 · Turn a knob.** How many steps does each diffusion need?
#
# <details><summary>Solution</summary>
#
# ```python
# truth, seen, _ = asked(model, rough, seed, keep, 1)
# for k in (3, 6, 16):
#     print(k, round(crps(model.draw(seen, 16, seed=1, steps=k)(grid).cpu(), truth(grid)[0]).item(), 4))
# ```
#
# </details>
#
# **2 · Change a line.** Augment on purpose: add noise 0.1 to drawn coarse values, and condition the next steps on it. Does the score change?
#
# <details><summary>Solution</summary>
#
# ```python
# for s in (0.0, 0.1, 0.3):
#     f = model.draw(seen, 16, seed=1, augmentation=s)
#     print(s, round(crps(f(grid).cpu(), truth(grid)[0]).item(), 4))
# ```
#
# For a Gaussian it does not: the noise is taken off again by what the observations and the detail say.
#
# </details>
#
# **3 · Write a piece.** Check the spectrum that was measured: draws of the spectral prior alone, against the truth's.
#
# <details><summary>Solution</summary>
#
# ```python
# white = spectral.noise(48, seed=seed).to(model.device)
# points = nfd.cell_centres((32, 32))
# values = (spectral(points.to(model.device), white) * spectral.scale + spectral.mean).cpu()
# ours, real = (spectrum(v, (32, 32))[1].mean((0, 1))[1:17] for v in (values, rough.draw(48, seed=1)(points)))
# print("log power ratio:", [round(v, 2) for v in (ours / real).log().tolist()])
# assert (ours / real).log().abs().mean() < 0.3
# ```
#
# </details>
#
# ## Further reading
#
# - Saharia et al. 2023, *Image super-resolution via iterative refinement* (SR3, arXiv 2104.07636): diffusion given a coarse picture.
# - Ho et al. 2022, *Cascaded diffusion models for high fidelity image generation* (arXiv 2106.15282): step after step, and noise
#   on what a step is conditioned on (noise conditioning augmentation).
# - Mardani et al. 2023, *Residual corrective diffusion modeling*: regression first, diffusion of what it leaves.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*: four corners.
# - Bar-Tal et al. 2023, *MultiDiffusion*: tiles that are blended at every step.
# - Dietrich & Newsam 1997, *Fast and exact simulation of stationary Gaussian processes*: Fourier modes on a box of twice the side.
# - Whittle 1953, *Estimation and information in stationary time series*: how a spectrum is fitted.
