# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Looking where draws disagree: the diffusion says where, the field says what
#
# *before: [`10_sparse_features`](10_sparse_features.ipynb) · next: [`11_bake_off`](11_bake_off.ipynb)*
#
# ![a small hill found in sixteen looks, and missed by a grid of as many](pictures/07_adaptive_sampling.png)
#
# ## Question
#
# **Where would you look next?**
#
# A measurement costs a borehole, a beam, a minute in a scanner. You may choose the places one at a time, each after reading the
# last. A model whose draws can be asked anywhere shows where it is unsure: where its draws disagree. Two tests whose exact posterior
# is known: a step, where nothing beats cutting the interval in half, and a small hill that lies somewhere on a plain. And a real one:
# handwritten digits, one pixel at a time.
#
# You need the primers `00b` and `00c`, the scores of `00a`, and lesson 05. ▶ *Run ▸ Run All Cells*, then press **Look**; it takes about a minute. Three
# sets of weights ship with the kit, for steps, hills and digits; `budget = "lesson"` trains the one for hills here, in two minutes of one core.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which noise
device: str = "auto"  # auto | cpu | cuda
looks: int = 16  # how many measurements of the hill are paid for
tasks: int = 12  # how many hills, or surfaces, each number is averaged over
steps: int = 16  # how many steps the bisection is averaged over
pixels: int = 2048  # side of the large picture; 4096 takes some seconds more
toy_steps: int = 1200  # training steps of the smallest version
guess: int = 8  # your prediction, see the first picture
guess_toy: float = 0.5  # your prediction, see the smallest version
guess_model: float = 0.5  # your prediction, see the library's version
guess_digit: float = 0.5  # your prediction, see the digits

# %%
from dataclasses import replace

import pandas as pd
import torch
from IPython.display import display
from torch import nn

import nfdlab as nfd
from nfdlab.baselines.adaptive_grid import adaptive_grid
from nfdlab.core.acquisition import acquisition
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import child, seeded, stream
from nfdlab.evaluate.active_learning import kept_looks, learning_curves, score_now, shrinkage
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.fields.refining import render_adaptive
from nfdlab.jupyter.exercises import Exercises
from nfdlab.observation.active import Search, interval
from nfdlab.panels import LossWatch, plots, style
from nfdlab.panels.active_figure import promised, regret, show_posterior
from nfdlab.panels.active_panel import looking

if budget == "smoke":
    tasks, steps, looks, pixels, toy_steps = 2, 6, 9, 1024, 16
step, bump, gauss = (nfd.problems.get(name) for name in ("step1d", "bump2d", "gp2d"))
watch = LossWatch("autoencoder, then diffusion over its latents")
halver = nfd.load("adaptive_sampling", "step1d", device=device)
if budget != "reference":
    display(watch)
model = nfd.load_or_train("adaptive_sampling", bump, budget=budget, seed=seed, device=device, watch=watch)

# %% [markdown]
# ## Picture
#
# A hill covers about a fiftieth of the plain. You have sixteen looks. *Predict, and write it down* as `guess` in the cell of
# parameters: which look is the first on the hill? And where do you spend the rest? A grid spends all on finding.

# %%
truth = bump.draw(1, seed=seed + 11)
points, window = nfd.cell_centres((96, 96)).flip(-1) * torch.tensor([1.0, -1.0]), ((-1.0, 1.0), (-1.0, 1.0))
found = Search(model, d=2, seed=seed, looks=looks).run(truth)
even = Search(model, d=2, seed=seed, looks=looks, policy="grid").run(truth)
trails = {
    f"{looks // 2} looks": Search(model, d=2, seed=seed, looks=looks).run(truth, looks // 2),
    f"{looks} looks": found,
    "a grid": even,
}
figure, (axes,) = style.picture(1, 5, size=(13.4, 2.9))
target, nothing = truth(points)[0, :, 0], replace(found, seen=None)
show_posterior(axes[0], nothing, points, target[None], window, "truth", style.INK, bump.card.axes, target)
for ax, (words, now) in zip(axes[1:], trails.items(), strict=False):
    values, title = now.draw(64)(points)[..., 0].cpu(), f"{words}: {score_now(now, truth):.3f}"
    show_posterior(ax, now, points, values, window, title, style.MODEL, bump.card.axes, target)
promised(axes[4], trails[f"{looks // 2} looks"], f"after {looks // 2}: where next?", style.MODEL, bump.card.axes)
hits = (found.seen.values[:, 0] > 0.2).nonzero().flatten().tolist()
print(f"first on the hill: look {hits[0] + 1 if hits else 'none'} (you said {guess}); {len(hits)} of {looks} in all")
figure

# %% [markdown]
# Numbers are looks, in their order; pictures are the mean of 64 draws, with the root mean square error. On the right, the draws' variance at every place: each
# bright spot is a hill of one or more of 16 draws. A look there confirms it, or removes it from all draws at once.
#
# ## Idea in symbols
#
# With observations $S$ so far and draws $f_1 \dots f_n \sim p(f \mid S)$ of a generative model, look where the **acquisition function** $a$ is
# largest:
#
# $$x^\star = \arg\max_x a(x), \qquad a(x) = \operatorname{Var}_i f_i(x) \quad\text{or}\quad
# a(x) = H\Big[\frac1n \sum_i \mathcal{N}(f_i(x), s^2)\Big] - H\big[\mathcal{N}(0, s^2)\big],$$
#
# the **variance** of the draws or the **mutual information** of reading and function, in nats ($s$ is the noise of a reading, $H$ the entropy: how unsure one is of a value); or the
# variance that a reading is expected to remove at all places (**expected error reduction**). For a step all three are highest
# where half of the draws are up. Splitting an interval at the median of $N$ draws, $N$ odd, leaves $(N+3)/(2(N+2))$ of it on
# average; for even $N$, half-way between the two middle draws, it is $1/2 + N/(2(N+1)(N+2))$. With many draws both are nearly ½.
#
# Then the draws must be conditioned on the reading. An autoencoder represents a field by a short vector $z$, a diffusion learns the
# distribution of $z$, and **sequential Monte Carlo** weights its draws, the particles, by $p(y \mid z)$: most looks only change weights;
# when few particles still count (a small *effective sample size*), they are resampled and moved by MCMC (small random steps, each kept or undone by how well it fits). The field $f_z(x)$ decodes.
#
# ## Smallest version
#
# The whole method from nothing: a diffusion of steps at 64 places, conditioned on what was read, whose draws choose the next look. The denoiser
# is given two rows beside the noisy curve: which places were seen (the mask), and what was read there. Then 16 curves are drawn, given the
# readings; the next look is where their variance is largest; and so on. The jump must lie between the last low and the first high reading.
# *Predict, and write it down* as `guess_toy`: which share of that interval does a look leave, on average? Bisection would leave ½.

# %%
rng, X, s = stream(seed, "toy"), nfd.cell_centres((64,))[:, 0], 0.05
with seeded(seed):
    net = nn.Sequential(nn.Conv1d(4, 16, 5, padding=2), nn.SiLU(), *(layer for k in (2, 4, 8, 16) for layer in (
        nn.Conv1d(16, 16, 5, padding=2 * k, dilation=k), nn.SiLU())), nn.Conv1d(16, 1, 5, padding=2))


def denoise(z, sigma, mask, seen):
    """D(z, sigma, S): noisy curves z (b, 64), where they were seen (mask) and what was read there -> clean curves."""
    size = (sigma**2 + 0.25).sqrt()  # a step from -0.5 to 0.5 has variance 0.25
    F = net(torch.stack([z / size, (sigma.log() / 4).expand_as(z), mask, seen], 1))[:, 0]
    return 0.25 / size**2 * z + 0.5 * sigma / size * F


adam, losses = torch.optim.Adam(net.parameters(), 6e-3), []
rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, toy_steps)
for _ in range(toy_steps):
    jump, places = 2 * torch.rand(32, 1, generator=rng) - 1, 2 * torch.rand(32, 6, generator=rng) - 1
    places = torch.where(torch.rand(32, 6, generator=rng) < 0.5, places, jump + 2 * places**3)  # half near the jump
    number = ((places.clamp(-1, 1) + 1) * 31.99).long()  # ... as looks will be
    looked = (torch.arange(6) < torch.randint(7, (32, 1), generator=rng)).float()  # 0 to 6 of them
    clean, mask = (X > jump).float() - 0.5, torch.zeros(32, 64).scatter(1, number, looked)
    sigma = torch.exp(1.2 * torch.randn(32, 1, generator=rng) - 0.5)
    noisy, read = (clean + level * torch.randn(32, 64, generator=rng) for level in (sigma, s))
    loss = (sigma**2 + 0.25) / (0.5 * sigma) ** 2 * (denoise(noisy, sigma, mask, mask * read) - clean).square()
    adam.zero_grad(), loss.mean().backward(), adam.step(), rate.step()
    losses.append(loss.mean().item())

# %%
levels = torch.cat([torch.linspace(10 ** (1 / 7), 0.02 ** (1 / 7), 12) ** 7, torch.zeros(1)])
curves, width = step.draw(48, seed=child(seed, "toy"))(X[:, None])[..., 0] - 0.5, {}
for policy in ("random", "variance"):
    mask, seen, trail = torch.zeros(48, 64), torch.zeros(48, 64), []
    for _ in range(5):
        z, a = 10 * torch.randn(768, 64, generator=rng), torch.rand(48, 64, generator=rng)
        if policy == "variance":
            for now, then in zip(levels[:-1], levels[1:], strict=True):  # Euler, along the probability-flow ODE
                with torch.no_grad():
                    D = denoise(z, now.expand(768, 1), *(row.repeat_interleave(16, 0) for row in (mask, seen)))
                z = torch.lerp(D, z, (then / now).item())
            a = z.reshape(48, 16, 64).var(1)  # of the 16 draws of each of 48 curves
        index = a.masked_fill(mask > 0, -1.0).argmax(1, keepdim=True)
        trail.append((mask[0], seen[0], z[:16], a[0], X[index[0, 0]].item()))
        mask = mask.scatter(1, index, 1.0)
        seen = seen.scatter(1, index, curves.gather(1, index) + s * torch.randn(48, 1, generator=rng))
    low, high = torch.where(mask * seen < 0, X, -1.0).amax(1), torch.where(mask * seen > 0, X, 1.0).amin(1)
    width[policy] = (high - low).clamp_min(0) / 2  # the share of the box that five looks leave

# %%
again = torch.cat([torch.arange(48)[None], torch.randint(48, (1000, 48), generator=rng)])  # bootstrap over the curves
factor = {name: share[again].mean(1) ** 0.2 for name, share in width.items()}
factor = {name: [v[0].item(), *v[1:].quantile(torch.tensor([0.025, 0.975])).tolist()] for name, v in factor.items()}
figure, (axes,) = style.picture(1, 4, size=(11.6, 2.8), sharey=True)
for k, (ax, (mask, seen, z, a, place)) in enumerate(zip(axes, trail, strict=False)):
    low, high = max([-1.0, *X[mask * seen < 0].tolist()]), min([1.0, *X[mask * seen > 0].tolist()])
    ax.axvspan(low, high, color=style.EXACT, alpha=0.15, lw=0, label="where the jump may be")
    ax.plot(X, z.T, color=style.MODEL, lw=style.THIN, alpha=style.DRAW_ALPHA)
    ax.plot(X, curves[0], color=style.TRUTH, lw=style.THIN)
    ax.plot(X, a - 1.2, color=style.BASELINE, label="variance of draws, lowered by 1.2")
    ax.plot(X[mask > 0], seen[mask > 0], "o", color="white", mec="black", ms=5)
    ax.axvline(place, color=style.INK, lw=0.8, ls=(0, (2, 2)), label="next look")
    style.dress(ax, title=f"look {k + 1}: at {place:.2f}", x=step.card.axes[0])
style.legend(axes[-1], loc="upper left", bbox_to_anchor=(1.0, 1.0))
print(f"loss {sum(losses[:20]) / 20:.2f} -> {sum(losses[-50:]) / 50:.2f}")
style.headline(figure, "A look leaves " + ", ".join(
    f"×{v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}] ({'where draws disagree' if name == 'variance' else name})"
    for name, v in reversed(factor.items())) + f"; you said ×{guess_toy:.2f}")
figure

# %% [markdown]
# The first look is near the middle, and each further one near the middle of the interval that is left (blue): there about half of the draws are up.
# Looking where draws disagree leaves much less than looking at random, but more than bisection would: 16 draws do not know the middle exactly,
# and the toy's draws are not quite those of the posterior. (48 steps, five looks each; in brackets 95 % intervals by bootstrap.)
#
# > **How this differs from the papers.** Nolan et al. 2025 choose the next pixel or column *while* sixteen draws of a pixel diffusion are being
# > denoised, by their spread; here draws are finished first, and looks may be anywhere. AdaSense (Elata et al. 2024) takes the draws' principal
# > directions as linear measurements; here a look is one place. Both guide a diffusion of pixels towards what was measured; the toy's denoiser is
# > given the readings instead; and in the library diffusion only supplies draws of the prior, in a short latent, and particles are weighted, since
# > the misfit of a step has no useful gradient.
#
# ## The library's version
#
# It does not condition a denoiser: it takes draws of the prior and weighs them. By hand, five looks at one step:

# %%
line, hidden = nfd.cell_centres((256,)), step.draw(1, seed=seed + 2)
bank = halver.draw(None, 4096, seed=1)(line)[..., 0].cpu()  # what the model thinks possible
weights, places = torch.ones(len(bank)), []
for i in range(5):
    sixteen = bank[torch.multinomial(weights, 16, generator=stream(seed, "members", i))]
    a = acquisition("variance", sixteen[..., None])  # = sixteen.var(0)
    top = (a >= a.max() - 1e-6).nonzero()[:, 0]
    index = int(top[len(top) // 2])  # the middle of the plateau
    noise = s * torch.randn(1, generator=stream(seed, "reading", i))
    reading = hidden(line[index : index + 1])[0, 0, 0] + noise
    weights = weights * torch.exp(-0.5 * ((bank[:, index] - reading) / s) ** 2)  # Bayes' rule, draw by draw
    places.append(float(line[index]))
seen = nfd.Observations(torch.tensor(places)[:, None], hidden(torch.tensor(places)[:, None])[0], s)
low, high = interval(seen)
print("looks at", [round(x, 2) for x in places],
      f"leave {high - low:.3f} of 2: ×{((high - low) / 2) ** 0.2:.2f} a look")

# %% [markdown]
# `Search` does this with any model: it asks where to look, reads the value there, gives it to the model. Its acquisition function is the one above.
# *Predict, and write it down* as `guess_model`: the factor by which a look shrinks the interval, for the model? For 16 exact draws, and for
# looks at random (five of those leave two sevenths on average)?

# %%
now = Search(halver, d=1, seed=seed)
assert torch.equal(now.acquisition(), acquisition("variance", now.draw(16)(now.candidates)))
rivals = {
    "exact": {"fitted": step.oracle()},
    "model": {"fitted": halver},
    "random": {"fitted": step.oracle(), "policy": "random"},
}
halving = learning_curves(rivals, step, looks=5, tasks=steps, seed=seed, draws=8)
factors = shrinkage(halving)
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
inks = style.EXACT, style.MODEL, style.BASELINE
for (name, part), colour in zip(halving.groupby("rival", sort=False), inks, strict=True):
    ax.semilogy(part.groupby("looks")["width"].mean() / 2, color=colour, marker="o", ms=4, label=name)
ax.semilogy(range(6), [0.5**m for m in range(6)], color=style.TRUTH, lw=1, ls=(0, (4, 3)), label="halving")
theory = 1 / 2 + 16 / (2 * 17 * 18)  # 16 draws, an even number
style.dress(
    ax,
    x="looks",
    y="share of the interval left, mean",
    title=f"Mean of {steps} steps, a look leaves: "
    + ", ".join(f"{name} ×{row['whole']:.2f}" for name, row in factors.iterrows())
    + f"\n(16 draws in theory ×{theory:.2f}; you said ×{guess_model:.2f} for the model)",
)
style.legend(ax)
display(figure)
factors.style.format("{:.3f}").set_caption(
    "factor a look: mean of each step's own with its standard error; from the mean interval after five looks"
)

# %% [markdown]
# Halving would be the best possible; 16 draws do not know the middle exactly, and that is what the theory adds to ½. The model's factor is
# within two standard errors of the theory; looks at random leave far more.
#
# ## Turn the knobs
#
# Press **Look**. *looks* is how sparse the data are, *scale* looks closer at the last one, *policy* is the acquisition function, *draws* how many
# are asked (try two). Blue is the same policy with draws of the exact posterior. The sliders move with the
# arrow keys.

# %%
panel = looking(model, bump, looks=4, seed=seed)
panel

# %% [markdown]
# ## Against the others
#
# The same hills, the same noise at each look. `adaptive` is a Python library that uses no prior: it splits triangles where the
# surface bends. What it and the grid saw is then given to the exact posterior, so that only the places count. A hill is *found* if the root mean
# square error at the end is below 0.04. (Measured once, on forty hills: `keep_looks("adaptive_sampling", "bump2d")`; two of them are searched again
# here.) *Predict:* who finds most of them?

# %%
found = kept_looks("adaptive_sampling", "bump2d")
end, names = found["looks"].max(), found["rival"].unique().tolist()
final = found[found["looks"] == end].pivot(index="task", columns="rival", values="rmse")[names]
good = final.lt(0.04).astype(float)
hills = good.sum().astype(int)
figure, ((ax,),) = style.picture(size=(7.2, 3.6))
curves = {name: part.groupby("looks")["rmse"].median().to_dict() for name, part in found.groupby("rival", sort=False)}
counts = "; ".join(f"{name} {n}" for name, n in hills.items())
regret(ax, {}, curves, f"Found after {end} looks, of {len(good)} hills:\n{counts}")
display(figure)
for rival in ("grid", "adaptive"):
    more = good[["exact", "model", "model, mutual information"]].sub(good[rival], axis=0)
    print(f"Share of hills found, less that of {rival} (± 2 standard errors, paired): "
          + "; ".join(f"{name} {v.mean():.2f} ± {2 * v.sem():.2f}" for name, v in more.items()))
anew = learning_curves({"model": {"fitted": model}}, bump, looks=end, tasks=2, seed=0, draws=32, every=[end])
print("Two hills searched again: RMSE " + ", ".join(f"{now:.4f} (kept: {then:.4f})" for now, then in
                                                    zip(anew["rmse"], final["model"], strict=False)))
display(final.agg(["median", "mean", "sem"]).round(4))
kept_scores({"step1d": halver, "bump2d": model})

# %% [markdown]
# Searches that ask draws find nine hills in ten, and the model finds as many as the exact posterior. `adaptive` finds three in five, and the grid one in
# three. (Curves: the median over the hills.) Hills that were missed dominate the means: sixteen draws are few, and now and then all of them have the hill
# elsewhere. The second table: the model given points at random, without any search; CRPS over the exact posterior's, measured over more tasks when the
# weights were made.
#
# **Discovery.** How many looks until one reads more than a fifth of the hill's height (17 where none of 16 does)? A rule that refines where it has seen
# something does not know that a hill exists. *Predict:* is a prior worth more before or after the first contact?

# %%
rows, ways = [], {"exact": "variance", "random": "random", "grid": "grid", "adaptive": adaptive_grid}
for task in range(tasks):
    hill = bump.draw(1, seed=child(seed, "discovery", task))
    for name, policy in ways.items():
        search = Search(bump.oracle(), d=2, seed=task, looks=16, policy=policy).run(hill)
        hits = (search.seen.values[:, 0] > 0.2).nonzero()[:, 0].tolist()
        rows.append({"": name, "first contact": hits[0] + 1 if hits else 17, "looks on the hill": len(hits)})
contact = pd.DataFrame(rows).groupby("", sort=False).agg(["mean", "sem"])
contact.style.format("{:.1f}").set_caption(f"mean and standard error over {tasks} hills")

# %% [markdown]
# After it. Until the first contact a prior saves some looks against random ones; against a grid so few hills cannot tell. From then on it spends the
# rest on the hill, and the others do not.
#
# **Variance or mutual information?** At one place, eight of sixteen draws are +1 and eight are −1. At another, the sixteen are spread evenly from −1 to 1.
# *Predict:* which of the two places would you look at?

# %%
halves = torch.tensor([1.0, -1.0]).repeat(8)
places = torch.stack([halves, torch.linspace(-1, 1, 16)], 1)[..., None]  # two candidates
rules = "variance", "mutual_information", "expected_error_reduction"
pd.DataFrame({by: acquisition(by, places, 0.05) for by in rules}, index=["half and half", "spread evenly"]).round(3)

# %% [markdown]
# Variance takes the first place: no draws within [−1, 1] differ more. But a reading there tells only +1 or −1, one bit, 0.69 nats; at the second place it tells
# more, and mutual information takes that.
#
# **The negative control.** A Gaussian surface. In its posterior covariance, $C - C_S (C_{SS} + s^2)^{-1} C_S^\top$, no observed value occurs: where to look does
# not depend on what was read, so all looks could have been planned at once. *Predict:* does looking where draws disagree beat looks at random? And a grid?

# %%
who = nfd.baselines.get("kriging")  # whatever draws can be asked
rivals = {
    "exact, variance": {"fitted": gauss.oracle(), "draws": 64},
    "exact, random": {"fitted": gauss.oracle(), "policy": "random"},
    "exact, grid": {"fitted": gauss.oracle(), "policy": "grid"},
}
control = learning_curves(rivals, gauss, looks=16, tasks=tasks, seed=seed, every=16)
surface = gauss.draw(1, seed=seed)
greedy, other = (
    Search(gauss.oracle(), d=2, seed=seed).run(f, 16) for f in (surface, gauss.draw(1, seed=seed + 1))
)
asked = Search(who, d=2, seed=seed).run(surface, 6)
edge = {name: f"{(search.seen.coords.abs().amax(1) > 0.8).float().mean():.0%}"
        for name, search in {"exact": greedy, "kriging": asked}.items()}
print(f"looks near the walls, on {1 - 0.8**2:.0%} of the area: {edge}; two different surfaces, looks apart by at most "
      f"{(greedy.seen.coords - other.seen.coords).abs().max():.1g}")
last = control[control["looks"] == 16].pivot(index="task", columns="rival", values="rmse")[list(rivals)]
excess = last.sub(last["exact, grid"], axis=0)
pd.DataFrame(
    {"RMSE after 16": last.mean(), "more than the grid": excess.mean(), "standard error of that": excess.sem()}
).style.format("{:.3f}").set_caption(f"{tasks} surfaces")

# %% [markdown]
# Two different surfaces got the same looks: the readings changed nothing. And greedy looks run to the walls, where half of what a look
# could tell lies outside the box, so a grid is better; for a Gaussian no rule that waits for readings beats the best fixed plan.
#
# **Where many numbers are unknown: a handwritten digit.** Which pixel next? Eight numbers do not make a digit, and no cloud of particles covers
# all digits: here a U-Net is conditioned on all readings, as in the smallest version, and draws anew after each look. Four ways to spend
# 20 looks, all answered by that model: where draws disagree; a plan made beforehand, by the variance of the best linear answer (optimal
# interpolation), which is the same for every digit; a grid; at random. (Measured once, on 40 held-out digits; the table is kept with the weights.
# The pictures are made here.) *Predict, and write it down* as `guess_digit`: what share of the error
# after random looks is left when looking where draws disagree? And does the plan come close?

# %%
digits, painter = nfd.problems.get("digits2d"), nfd.load("adaptive_sampling", "digits2d", device=device)
kept, ways, rest = kept_looks(), ["where draws disagree", "planned", "grid", "random"], {}
for m, part in kept.groupby("looks"):
    crps = torch.tensor(part.pivot(index="task", columns="rival", values="crps")[ways].to_numpy())
    again = torch.randint(len(crps), (1000, len(crps)), generator=stream(seed, "again"))
    share = torch.cat([crps.mean(0)[None], crps[again].mean(1)])
    share = share / share[:, 3:]  # of the error after random looks
    rest[m] = torch.cat([share[:1], share[1:].quantile(torch.tensor([0.025, 0.975]).double(), 0)])
digit, side = digits.draw(1, seed=seed + 4), nfd.cell_centres((56, 56)).flip(-1) * torch.tensor([1.0, -1.0])
quick = replace(painter, steps=6)  # few sampling steps are enough to say where draws disagree
now = Search(quick, d=2, seed=seed, candidates=nfd.cell_centres((28, 28)))
seen_ = {"truth": now, "6 looks": now.run(digit, 6)}
seen_["18 looks"] = seen_["6 looks"].run(digit, 12)
figure, (axes,) = style.picture(1, 4, size=(12.6, 3.2))
for k, name in enumerate(ways):
    axes[0].plot([*rest], [v[0, k] for v in rest.values()], "o-", ms=3, color=style.colours_of(ways)[name], label=name)
style.dress(axes[0], title=f"{len(crps)} digits", x="looks", y="CRPS, as a share of random looks'")
style.legend(axes[0])
aim = digit(side)[0, :, 0]
for ax, (name, now) in zip(axes[1:], seen_.items(), strict=True):
    values = aim[None] if name == "truth" else now.draw(32)(side)[..., 0].cpu()
    show_posterior(ax, now, side, values, window, name, style.INK, digits.card.axes, aim)
style.headline(figure, "After 20 looks, CRPS as a share of random's: " + ", ".join(
    f"{name} {v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]" for name, v in zip(ways[:3], rest[20].T, strict=False))
    + f".\nYou said {guess_digit:.2f}")
figure

# %% [markdown]
# The first ten looks can be planned: where digits differ most is the same for all of them, and the linear answer knows that. Then reading pays. After 20 looks
# the plan leaves a tenth more error, after 40 a quarter more: its places are the same for every digit, and it cannot follow a stroke that it has found. A grid
# is little better than chance, since it spends looks on the empty margin. (Intervals: 95 %, by bootstrap over the digits.)
#
# **The field's part: look closer only where there is something to see.** (A formula stands in for a trained field here.) A picture of $4096^2$ pixels asks a field
# sixteen million times. Instead one goes from coarse to fine, and asks more of a block only where its corners do not predict its middles. *Predict:* of a field with
# its detail in 1 % of the area, what share must be asked, if no pixel may be further off than interpolation between the pixels of the full picture is? (That is taken
# from the full picture here, so that the two can be compared; in use one chooses it beforehand.)

# %%
bell = lambda x: torch.exp(-0.5 * ((x - 0.31) / 0.035).square().sum(-1))  # noqa: E731 - where the detail is
ripples = EvaluatedFields(lambda x, part: (
    0.3 * torch.sin(2 * x[..., 0]) + bell(x) * torch.sin(150 * x[..., 1]))[None, :, None], 1, 2)
full = nfd.render(ripples, (pixels, pixels))
own = max(float(full.diff(n=2, dim=axis).abs().max()) / 8 for axis in (1, 2))  # off by so much between its pixels
part, asked = render_adaptive(ripples, (pixels, pixels), tolerance=own)
off = (part - full).abs()[0, ..., 0]
figure, axes = style.picture(1, 2, size=(7.6, 3.8))
corner = slice(int(0.57 * pixels), int(0.74 * pixels))  # the box from 0.14 to 0.48, both ways
for ax, shown, ends in (
    (axes[0, 0], part[0, :: pixels // 512, :: pixels // 512, 0], (-1, 1)),
    (axes[0, 1], part[0, corner, corner, 0], (0.14, 0.48)),
):
    ax.imshow(shown.T, extent=[*ends, *ends], origin="lower", cmap=style.FIELD_MAP, vmin=-1, vmax=1)
    ax.locator_params(nbins=4)
style.dress(axes[0, 0], title=f"{pixels}² pixels for {asked / pixels**2:.1%} of the queries")
style.dress(axes[0, 1], title=f"closer; error {float(off.max()) / own:.2f} × what is allowed")
figure

# %% [markdown]
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the network silenced, so that its Gaussian prior answers
# alone; and its draws replaced by a Gaussian of their mean and covariance, which would cost the exact posterior something, too. *Predict:*
# which costs most? `nfdlab ablate adaptive_sampling step1d` measured it; the table is kept with the weights.

# %%
from nfdlab.evaluate import ablation

worth = ablation.worth(ablation.kept("adaptive_sampling", "step1d"))["to full"]
plots.worth("adaptive_sampling", "step1d")

# %% [markdown]
# A jump at an unknown place: without its network the error is nearly three times as large. A Gaussian in place of the draws costs a
# third, and costs the exact posterior a quarter: mean and covariance do not say that a value is either 0 or 1.
#
# ## Where it breaks
#
# **A prior that never saw the right half.** Particles with a hill on the right get a weight of zero; what is left is what a
# model of left hills would draw, without training one. The true hill lies on the right. *Predict:* where does it look, and how sure is it at the end?

# %%
right = next(f for f in (bump.draw(1, seed=i) for i in range(seed, seed + 99))
             if points[f(points)[0, :, 0].argmax(), 0] > 0.4)
coarse = nfd.cell_centres((24, 24))
highest = lambda latents: model.decode(latents)(coarse)[..., 0].argmax(1).cpu()  # noqa: E731
left_only = lambda latents: -1e4 * (coarse[highest(latents), 0] > 0).to(latents)  # noqa: E731
walled = model.sequential(seed=seed, log_prior=left_only)
honest, blind = (Search(model, d=2, seed=seed, looks=looks, particles=particles) for particles in (None, walled))
ends = {"all hills": honest.run(right), "left hills only": blind.run(right)}
figure, axes = style.picture(1, 3, size=(10.2, 3.5))
goal = right(points)[0, :, 0]
show_posterior(axes[0, 0], honest, points, goal[None], window, "truth", style.INK, bump.card.axes, goal)
for ax, (words, end) in zip(axes[0, 1:], ends.items(), strict=True):
    values = end.draw(64)(points)[..., 0].cpu()
    share = float((end.seen.coords[:, 0] > 0).float().mean())
    title = f"{words}: {share:.0%} of looks right,\nspread {values.std(0).mean():.3f}, RMSE {score_now(end, right):.3f}"
    show_posterior(ax, end, points, values, window, title, style.MODEL, bump.card.axes, goal)
figure

# %% [markdown]
# No acquisition function mends a prior: what the prior excludes is never looked for.
#
# **Draws that ignore the readings.** Another way of conditioning on the same readings, diffusion posterior sampling (`dps`), pulls each draw along the
# gradient of the misfit. *Predict:* how large is that gradient at a place away from the jump of a draw? What becomes of the bisection?

# %%
left = {}
for guide in ("particles", "dps"):
    widths, wide = [], []
    for task in range(steps // 2):
        now = Search(halver.using(guide=guide), d=1, seed=task, carry=guide == "particles")
        now = now.run(step.draw(1, seed=child(seed, "deaf", task)), 5)
        low, high = interval(now.seen)
        widths.append(high - low)
        wide.append(2 * float(now.values.mean(1).std()))  # of where the draws jump
    left[guide] = {  # of the interval
        "factor a look": (sum(widths) / len(widths) / 2) ** 0.2,
        "interval left": sum(widths) / len(widths),
        "± 2 standard errors": 2 * float(torch.tensor(widths).std()) / len(widths) ** 0.5,
        "spread of the draws' jumps": sum(wide) / len(wide),
    }
check = Exercises({
    1: (lambda factors: abs(factors[64] - 0.5) < 0.1 and factors[2] > factors[64] or budget == "smoke",
        "The column `each` of `shrinkage`, for 2, 4, 16 and 64 draws."),
    2: (lambda apart: apart > 0.02, "The smallest distance between the four looks."),
    3: (lambda end: end.m == looks and (end.seen.coords[:, 0] > 0).sum() >= looks // 8, "The search at its end."),
})
pd.DataFrame(left).T.round(3)

# %% [markdown]
# Conditioned draws jump within the interval that is left. A gradient that is zero nearly everywhere carries no
# information: draws jump anywhere, and looks go where the answer is known. Weights need no gradient.
#
# **When to use it:** each measurement is expensive, what is sought is local or has edges, and a prior of such things can be learned. **When
# not:** smooth Gaussian fields, or where all places can be measured at once: make a grid. When the world may hold what the prior
# does not, spend some looks at random. **Cost:** the minutes of training are in the table above; each look draws anew.
#
# ## Exercises
#
# **1 · Turn a knob.** How many draws does the bisection need? `check(1, factors)` takes the factor a look, by draws.
#
# <details><summary>Solution</summary>
#
# ```python
# factors = {}
# for n in (2, 4, 16, 64):
#     table_ = learning_curves({"exact": {"fitted": step.oracle(), "draws": n}}, step, looks=5, tasks=steps, seed=seed, draws=8)
#     factors[n] = shrinkage(table_)["each"].iloc[0]
#     print(n, round(factors[n], 3), "theory", round(1 / 2 + n / (2 * (n + 1) * (n + 2)), 3))
# check(1, factors)
# ```
#
# </details>
#
# **2 · Change a line.** Take four looks at a time, chosen before any is read. Are they far apart, and what does the haste cost?
# `check(2, apart)` takes the smallest distance between two of them.
#
# <details><summary>Solution</summary>
#
# ```python
# hasty = Search(model, d=2, seed=seed, looks=looks)
# apart = torch.pdist(hasty.ask(4)).min().item()
# print("four at once:", hasty.ask(4).round(decimals=2).tolist(), "nearest two", apart)
# check(2, apart)
# for _ in range(looks // 4):
#     hasty = hasty.look(truth, 4)
# print("RMSE four at a time", score_now(hasty, truth), "one at a time", score_now(Search(model, d=2, seed=seed).run(truth, looks), truth))
# ```
#
# </details>
#
# **3 · Write a piece.** A policy of your own: every fourth look at random, the others by mutual information. Does it find the right-hand hill
# in spite of the prior that excludes it (`walled`)? `check(3, end)` takes the search at its end.
#
# <details><summary>Solution</summary>
#
# ```python
# def careful(search, k):
#     if search.m % 4 == 3:
#         return 2 * torch.rand(k, 2, generator=stream(search.seed, "careful", search.m)) - 1
#     return replace(search, policy="mutual_information").ask(k)
#
# end = Search(model, d=2, seed=seed, looks=looks, particles=walled, policy=careful).run(right)
# print(f"highest reading {end.seen.values.max():.2f}, RMSE {score_now(end, right):.3f}: contact alone does not mend the prior")
# check(3, end)
# ```
#
# </details>
#
# **Five questions.** Why look where draws disagree, and when is that no good place? Why does looking
# adaptively gain nothing on a Gaussian? How close does the search for a step come to bisection? What will a prior never look for?
# When would you plan all looks beforehand?
#
# ## Further reading
#
# - MacKay 1992, *Information-based objective functions for active data selection*
#   ([10.1162/neco.1992.4.4.590](https://doi.org/10.1162/neco.1992.4.4.590)): mutual information, and why variance is
#   its Gaussian case.
# - Nolan et al. 2025, *Active diffusion subsampling* ([2406.14388](https://arxiv.org/abs/2406.14388)): diffusion
#   draws choose the next pixels or lines of a scan.
# - Elata, Michaeli & Elad 2024, *AdaSense* ([2407.08256](https://arxiv.org/abs/2407.08256)): the next measurement
#   along the draws' principal directions.
# - Chopin 2002, *A sequential particle filter method for static models*
#   ([10.1093/biomet/89.3.539](https://doi.org/10.1093/biomet/89.3.539)): reweight, and move only when few particles
#   count.
# - Martel et al. 2021, *ACORN* ([2105.02788](https://arxiv.org/abs/2105.02788)): a field refined block by block where
#   it has detail.
# - Nijholt et al. 2019, *Adaptive* ([10.5281/zenodo.1182437](https://doi.org/10.5281/zenodo.1182437)): the library
#   without a prior that is the rival here.
