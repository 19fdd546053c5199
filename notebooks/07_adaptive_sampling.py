# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Looking where draws disagree
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
tasks: int = 12  # how many Gaussian surfaces are averaged over
hills: int = 6  # how many hills on the right, where the prior is blind
steps: int = 24  # how many steps the bisection is averaged over
pixels: int = 1024  # side of the large picture; 2048 takes some seconds more
toy_steps: int = 1200  # training steps of the smallest version
guess: int = 8  # your prediction, see the first picture
guess_toy: float = 0.5  # your prediction, see the smallest version
guess_model: float = 0.5  # your prediction, see the library's version
guess_digit: float = 1.5  # your prediction, see the digits

# %%
from dataclasses import replace

import pandas as pd
import torch
from IPython.display import display
from torch import nn
from torch.distributions import Normal

import nfdlab as nfd
from nfdlab.core.acquisition import acquisition
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import child, seeded, stream
from nfdlab.evaluate import ablation
from nfdlab.evaluate.active_learning import kept_looks, learning_curves, score_now
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.fields.refining import render_adaptive
from nfdlab.jupyter.exercises import Exercises
from nfdlab.observation.active import Search, interval
from nfdlab.panels import LossWatch, plots, style
from nfdlab.panels.active_figure import promised, regret, show_posterior
from nfdlab.panels.active_panel import looking

if budget == "smoke":
    tasks, hills, steps, looks, pixels, toy_steps = 2, 2, 6, 9, 512, 16
step, bump, gauss = (nfd.problems.get(name) for name in ("step1d", "bump2d", "gp2d"))
watch = LossWatch("autoencoder, then diffusion over its latents")
halver = nfd.load("adaptive_sampling", "step1d", device=device)
if budget != "reference":
    display(watch)
model = nfd.load_or_train("adaptive_sampling", bump, budget=budget, seed=seed, device=device, watch=watch)

# %% [markdown]
# ## Picture
#
# Somewhere on a plain stands one small hill. You have sixteen looks. *Predict, and write it down* as `guess` in the cell of
# parameters: which look is the first on the hill? And where do you spend the rest? A grid spends all on finding.

# %%
truth = bump.draw(1, seed=seed + 11)
points, window = nfd.cell_centres((96, 96)).flip(-1) * torch.tensor([1.0, -1.0]), ((-1.0, 1.0), (-1.0, 1.0))
halfway = Search(model, d=2, seed=seed, looks=looks).run(truth, looks // 2)
ended = halfway.run(truth)  # the other half of the looks
even = Search(model, d=2, seed=seed, looks=looks, policy="grid").run(truth)
target, axis = truth(points)[0, :, 0], bump.card.axes
figure, (axes,) = style.picture(1, 5, size=(13.4, 3.4))
words = f"truth: {(target > 0.5).float().mean():.1%} higher than half"
show_posterior(axes[0], replace(ended, seen=None), points, target[None], window, words, style.INK, axis, target)
rmse, on_hill = [], []
for ax, search in zip(axes[1:], (halfway, ended, even), strict=False):
    rmse.append(score_now(search, truth))
    on_hill.append((search.seen.values[:, 0] > 0.2).nonzero()[:, 0] + 1)  # which looks
    words = f"{'a grid' if search is even else f'{search.m} looks'}: RMSE {rmse[-1]:.3f}"
    values = search.draw(64)(points)[..., 0].cpu()
    show_posterior(ax, search, points, values, window, words, style.MODEL, axis, target)
promised(axes[4], halfway, f"after {halfway.m}: where next?", style.MODEL, axis)
for ax in axes:
    style.dress(ax, x=axis[0], y=axis[1] if ax is axes[0] else None)
first = on_hill[1][0] if len(on_hill[1]) else "none"
style.headline(figure, f"{looks} looks where draws disagree: {len(on_hill[1])} on the hill, RMSE {rmse[1]:.3f}; "
               f"a grid of {looks}: {len(on_hill[2])} on it, RMSE {rmse[2]:.3f}\n"
               f"The first on the hill is look {first} (you said {guess})")
figure

# %% [markdown]
# Numbers are looks, in their order (a crowd shows its first). Pictures are the mean of 64 draws, with its root mean square error (RMSE). On
# the right, the draws' variance at every place: each bright spot is a hill of one or more of 16 draws. A look there confirms it, or
# removes it from all draws at once. A look is *on the hill* when it reads more than a fifth of its height.
#
# ## Idea in symbols
#
# With observations $S$ so far and draws $f_1 \dots f_n \sim p(f \mid S)$ of a generative model, look where the **acquisition function** $a$ is
# largest:
#
# $$x^\star = \arg\max_x a(x), \qquad a(x) = \operatorname{Var}_i f_i(x) \quad\text{or}\quad
# a(x) = H\Big[\frac1n \sum_i \mathcal{N}(f_i(x), s^2)\Big] - H\big[\mathcal{N}(0, s^2)\big],$$
#
# the **variance** of the draws or the **mutual information** of reading and function, in nats ($s$ is the noise of a
# reading, $H$ the entropy: how unsure one is of a value); or the variance that a reading is expected to remove at all places
# (**expected error reduction**). For a step all three are highest where half of the draws are up, so a look there splits the interval
# where the jump may be near its middle.
#
# Each reading must then change the draws. An autoencoder represents a field by a short vector $z$, and $f_z(x)$, the decoder, gives
# its value at any place. A diffusion learns the distribution of $z$, before any reading. What a reading does to its draws is written out
# below: a denoiser is given the readings (*Smallest version*), or draws are weighted by them (*The library's version*).
#
# ## Smallest version
#
# The whole method from nothing: a diffusion of steps at 64 places, conditioned on what was read, whose draws choose the next look. The denoiser
# is given four rows: the noisy curve, its level of noise (log σ), which places were seen (the mask), and what was read there. Then 16 curves are drawn, given the
# readings; the next look is where their variance is largest; and so on. The jump must lie between the last low and the first high reading.
# *Predict, and write it down* as `guess_toy`: which share of that interval does a look leave, on average? Bisection would leave ½.

# %%
rng, X = stream(seed, "toy"), nfd.cell_centres((64,))[:, 0]
s, power = 0.05, 0.25  # noise of a reading; mean square of a curve whose values are -0.5 and 0.5
with seeded(seed):
    net = nn.Sequential(nn.Conv1d(4, 16, 5, padding=2), nn.SiLU(), *(layer for k in (2, 4, 8, 16) for layer in (
        nn.Conv1d(16, 16, 5, padding=2 * k, dilation=k), nn.SiLU())), nn.Conv1d(16, 1, 5, padding=2))


def denoise(noisy, sigma, mask, seen):
    """D(noisy, sigma, S): noisy curves (b, 64), where they were seen (mask) and what was read there -> clean curves."""
    scale = (sigma**2 + power).sqrt()
    rows = torch.stack([noisy / scale, (sigma.log() / 4).expand_as(noisy), mask, seen], 1)
    return power / scale**2 * noisy + power**0.5 * sigma / scale * net(rows)[:, 0]


adam, losses = torch.optim.Adam(net.parameters(), 6e-3), []
rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, toy_steps)
for _ in range(toy_steps):
    jump, near = 2 * torch.rand(32, 1, generator=rng) - 1, 2 * torch.rand(32, 6, generator=rng) - 1
    near = torch.where(torch.rand(32, 6, generator=rng) < 0.5, near, jump + 2 * near**3)  # half near the jump
    number = ((near.clamp(-1, 1) + 1) * 31.99).long()  # ... as looks will be; a cell, 0 to 63
    looked = (torch.arange(6) < torch.randint(7, (32, 1), generator=rng)).float()  # 0 to 6 of them
    clean, mask = (X > jump).float() - 0.5, torch.zeros(32, 64).scatter(1, number, looked)
    sigma = torch.exp(1.2 * torch.randn(32, 1, generator=rng) - 0.5)
    noisy, read = (clean + level * torch.randn(32, 64, generator=rng) for level in (sigma, s))
    loss = (sigma**2 + power) / (power * sigma**2) * (denoise(noisy, sigma, mask, mask * read) - clean).square()
    adam.zero_grad()
    loss.mean().backward()
    adam.step()
    rate.step()
    losses.append(loss.mean().item())

# %%
levels = torch.cat([torch.linspace(10 ** (1 / 7), 0.02 ** (1 / 7), 12) ** 7, torch.zeros(1)])
tests, each, width = 48, 16, {}  # curves that are searched, and draws of each
curves = step.draw(tests, seed=child(seed, "toy"))(X[:, None])[..., 0] - 0.5
for policy in ("random", "variance"):
    mask, seen, trail = torch.zeros(tests, 64), torch.zeros(tests, 64), []
    for _ in range(5):
        drawn, a = 10 * torch.randn(tests * each, 64, generator=rng), torch.rand(tests, 64, generator=rng)
        if policy == "variance":
            given = [row.repeat_interleave(each, 0) for row in (mask, seen)]
            for sigma, lower in zip(levels[:-1], levels[1:], strict=True):  # Euler, along the probability-flow ODE
                with torch.no_grad():
                    D = denoise(drawn, sigma.expand(len(drawn), 1), *given)
                drawn = torch.lerp(D, drawn, (lower / sigma).item())
            a = drawn.reshape(tests, each, 64).var(1)
        index = a.masked_fill(mask > 0, -1.0).argmax(1, keepdim=True)
        trail.append((mask[0], seen[0], drawn[:each], a[0], X[index[0, 0]].item()))
        mask = mask.scatter(1, index, 1.0)
        seen = seen.scatter(1, index, curves.gather(1, index) + s * torch.randn(tests, 1, generator=rng))
    low, high = torch.where(mask * seen < 0, X, -1.0).amax(1), torch.where(mask * seen > 0, X, 1.0).amin(1)
    width[policy] = (high - low).clamp_min(0) / 2  # the share of the box that five looks leave

# %%
again = torch.cat([torch.arange(tests)[None], torch.randint(tests, (1000, tests), generator=rng)])  # bootstrap over the curves
factor = {name: share[again].mean(1) ** 0.2 for name, share in width.items()}
factor = {name: [v[0].item(), *v[1:].quantile(torch.tensor([0.025, 0.975])).tolist()] for name, v in factor.items()}
figure, (axes,) = style.picture(1, 4, size=(11.6, 2.8), sharey=True)
for k, (ax, (mask, seen, drawn, a, place)) in enumerate(zip(axes, trail, strict=False)):
    low, high = max([-1.0, *X[mask * seen < 0].tolist()]), min([1.0, *X[mask * seen > 0].tolist()])
    ax.axvspan(low, high, color=style.EXACT, alpha=0.15, lw=0, label="where the jump may be")
    ax.plot(X, drawn.T, color=style.MODEL, lw=style.THIN, alpha=style.DRAW_ALPHA)
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
# > the misfit of a step has no useful gradient (measured under *Where it breaks*).
#
# ## The library's version
#
# It does not give readings to a denoiser. It takes 2048 draws $z$ of the prior, the particles, and weights them: **sequential Monte Carlo**.
# A particle's weight is multiplied by $p(y \mid z)$, the probability density of the reading $y$ if the particle were true. Two errors count: the noise of the reading, and the decoder's own,
# which is small at most places and large at a few (beside a jump). The effective sample size of weights $w_i$ that sum to one is
# $1/\sum_i w_i^2$: about how many particles still count. Below, the place of each look, the weights and their effective size are written
# out and asserted equal to the library's, until fewer than 256 particles count.

# %%
search, hidden = Search(halver, d=1, seed=seed), step.draw(1, seed=seed + 2)
z, error, rows = search.particles.x, halver.about["decoder_error"], []
bank = halver.decode(z)(search.candidates)[..., 0].double()  # particles, at 256 places
kinds = [(1 - error["share"], error["small"]), (error["share"], error["large"])]  # how often, how large
logs, effective = torch.zeros(len(z)).double(), float(len(z))
while search.m < 5 and effective >= 256:
    luck = stream(child(seed, "draws", search.m), "members")
    sixteen = torch.multinomial(logs.softmax(0), 16, replacement=True, generator=luck)  # particles, by their weights
    a = bank[sixteen].var(0)
    plateau = (a > (1 - 1e-6) * a.max()).nonzero()[:, 0]
    index = int(plateau[len(plateau) // 2])  # the middle of the highest
    search = search.look(hidden)  # the library: chooses, reads, weighs
    assert torch.equal(search.seen.coords[-1], search.candidates[index])
    reading, theirs = search.seen.values[-1, 0].item(), search.particles.effective_sample_size
    miss = bank[:, index] - reading
    logs = logs + sum(p * Normal(0.0, (e**2 + s**2) ** 0.5).log_prob(miss).exp() for p, e in kinds).log()
    effective = float(1 / logs.softmax(0).square().sum())
    rows.append((search.candidates[index, 0].item(), reading, effective, theirs))
    if effective >= 256:
        torch.testing.assert_close(search.particles.log_weights.cpu(), logs, rtol=0, atol=1e-3)
        torch.testing.assert_close(theirs, effective, rtol=1e-4, atol=0)
low, high = interval(search.seen)
print(f"{search.m} looks leave {high - low:.3f} of 2; now {len(search.particles.x)} particles, all of one weight")
pd.DataFrame(rows, columns=["place", "reading", "effective size by hand", "the library's"],
             index=range(1, len(rows) + 1)).rename_axis("look").round(3)

# %% [markdown]
# In the last row fewer than 256 count, and the library resamples: it takes 256 particles, each as often as its weight says, and moves them by
# Markov chain Monte Carlo: small random steps, each kept or undone by how well it fits the readings. All weights are equal again (`nfdlab/diffusion/smc.py`; this is the one piece that is not written out here).
#
# `Search` does this with any model: it asks where to look, reads the value there, gives it to the model.
# In theory, splitting an interval at the median of $N$ exact draws, $N$ odd, leaves $(N+3)/(2(N+2))$ of it on average; for even $N$,
# half-way between the two middle draws, $1/2 + N/(2(N+1)(N+2))$. That is compared below with the mean interval after five looks, to the power ⅕.
# *Predict, and write it down* as `guess_model`: the factor by which a look shrinks the interval, for the model? For 16 exact draws, and for
# looks at random (five of those leave two sevenths on average)?

# %%
rivals = {
    "exact": {"fitted": step.oracle()},
    "model": {"fitted": halver},
    "random": {"fitted": step.oracle(), "policy": "random"},
}
halving = learning_curves(rivals, step, looks=5, tasks=steps, seed=seed, draws=8)
left = halving[halving["looks"] == 5].pivot(index="task", columns="rival", values="width")[list(rivals)].to_numpy() / 2
sets = torch.randint(steps, (1000, steps), generator=stream(seed, "sets"))  # bootstrap over the steps
whole = torch.tensor(left)[torch.cat([torch.arange(steps)[None], sets])].mean(1) ** (1 / 5)  # the first row: all steps
whole = torch.cat([whole, whole[:, [1]] - whole[:, [0]]], 1)
ends = torch.tensor([0.025, 0.975]).double()
factors = pd.DataFrame(torch.cat([whole[:1], whole[1:].quantile(ends, 0)]).T, index=[*rivals, "model − exact, in pairs"],
                       columns=["factor a look", "low", "high"])
figure, ((ax,),) = style.picture(size=(7.4, 3.4))
inks = style.EXACT, style.MODEL, style.BASELINE
for (name, part), colour in zip(halving.groupby("rival", sort=False), inks, strict=True):
    ax.semilogy(part.groupby("looks")["width"].mean() / 2, color=colour, marker="o", ms=4, label=name)
ax.semilogy(range(6), [0.5**m for m in range(6)], color=style.TRUTH, lw=1, ls=(0, (4, 3)), label="halving")
theory = 1 / 2 + 16 / (2 * 17 * 18)  # 16 draws, an even number
said = ", ".join(f"{name} ×{v.iloc[0]:.2f} [{v['low']:.2f}, {v['high']:.2f}]" for name, v in factors.loc[list(rivals)].iterrows())
style.dress(ax, x="looks", y="share of the interval left, mean",
            title=f"A look leaves, {steps} steps:\n{said}\n(16 draws in theory ×{theory:.2f}; you said ×{guess_model:.2f} for the model)")
style.legend(ax)
display(figure)
factors.style.format("{:.3f}").set_caption(f"{steps} steps; low and high: 95 % intervals by bootstrap")

# %% [markdown]
# Halving would be the best possible; 16 draws do not know the middle exactly, and that is what the theory adds to ½. Exact draws and the model
# come within 0.03 of the theory, and the last row does not tell the two apart; looks at random leave far more.
#
# ## Turn the knobs
#
# Press **Look**. *looks* is how sparse the data are, *scale* looks closer at the last one, *policy* is the acquisition function, *draws* how many
# are asked (try two). Blue is the same policy with draws of the exact posterior. One search may be lucky, as the model's is here: *task*
# gives another hill, and averages come next. The sliders move with the arrow keys.

# %%
panel = looking(model, bump, looks=4, seed=seed)
panel

# %% [markdown]
# ## Against the others
#
# The same hills, the same noise at each look. `adaptive` is a Python library that uses no prior: it splits triangles where the
# surface bends. The grid is made anew for each number of looks. What these two saw is then given to the exact posterior, so that only the places
# count. (Measured once, on forty hills: `keep_looks("adaptive_sampling", "bump2d")`; one of them is searched again
# here.) *Predict:* after sixteen looks, how many times as large as the model's is the error of a grid? And after how many looks does choosing by
# draws begin to pay?

# %%
table = kept_looks("adaptive_sampling", "bump2d")
kept_rmse = table.pivot(index=["looks", "task"], columns="rival", values="rmse")[table["rival"].unique()]
last, many, paid = table["looks"].max(), table["task"].nunique(), {}
again = torch.cat([torch.arange(many)[None], torch.randint(many, (1000, many), generator=stream(seed, "hills"))])
for m, part in kept_rmse.groupby("looks"):
    values = torch.tensor(part.to_numpy())[again]  # the hills, then 1000 bootstrap sets of them
    for what, level in (("mean", values.mean(1)), ("median", values.quantile(0.5, 1))):
        times = level / level[:, [1]]  # over the model's, on the same hills
        for name, v in zip(kept_rmse, torch.cat([times[:1], times[1:].quantile(ends, 0)]).T, strict=True):
            paid[what, name, m] = v.tolist()
paid = pd.DataFrame(paid, index=["ratio", "low", "high"]).T.sort_index()
said = {what: {name: "×{:.2f} [{:.2f}, {:.2f}]".format(*paid.loc[(what, name, last)]) for name in kept_rmse}
        for what in ("mean", "median")}
figure, (axes,) = style.picture(1, 2, size=(11.0, 3.8))
flat = bump.draw(200, seed=seed)(points)[..., 0].square().mean(1).sqrt().median()  # error of a plain without any hill
regret(axes[0], {}, kept_rmse.groupby("looks").median().to_dict(), f"Median of {many} hills (a plain: {flat:.2f})")
for k, (name, ink) in enumerate(style.colours_of(list(kept_rmse)).items()):
    v = paid.loc[("mean", name)]
    bars = [v["ratio"] - v["low"], v["high"] - v["ratio"]]
    axes[1].errorbar(v.index + 0.2 * k - 0.4, v["ratio"], bars, fmt="os^vD"[k] + "-", ms=4, color=ink, label=name)
style.dress(axes[1], title="The same hills, 95 % intervals", x="looks", y="mean RMSE over the model's")
style.legend(axes[1], loc="upper left")
style.headline(figure, f"Mean RMSE after {last} looks over the model's, {many} hills:\n" + "; ".join(
    f"{name} {words}" for name, words in said["mean"].items() if name != "model"))
display(figure)
anew = learning_curves({"model": {"fitted": model}}, bump, looks=last, tasks=1, seed=0, draws=32, every=[last])
print(f"One hill searched again: RMSE {anew['rmse'][0]:.4f} (kept: {kept_rmse.loc[last, 'model'][0]:.4f})")
reached = pd.DataFrame({f"measured to {bound}": kept_rmse.loc[last].lt(bound).sum() for bound in (0.04, 0.06, 0.08)})
reached.assign(**{f"{what}, over the model's": pd.Series(row) for what, row in said.items()})

# %% [markdown]
# **The grid leaves three times the model's mean error, and so does `adaptive`.** (The median hill: ten and five times.) The two differ in kind. The grid
# locates nearly every hill, but is less sharp: it measures 37 of 40 hills to an RMSE of 0.08, and only 13 to 0.04. `adaptive` misses hills: a third of
# them it does not measure even to 0.08, although a plain without any hill would be only 0.14 off. Looks chosen by draws do both: nine hills in ten are
# measured to 0.04, by the model as by the exact posterior. It pays from eight looks on: what was seen says where the hill can still be. A few hills
# stay missed. (In the table, *measured to* counts hills whose RMSE is lower than that.)
#
# **Variance or mutual information?** At one place, eight of sixteen draws are +1 and eight are −1. At another, the sixteen are spread evenly from −1 to 1.
# *Predict:* which of the two places would you look at?

# %%
halves = torch.tensor([1.0, -1.0]).repeat(8)
two = torch.stack([halves, torch.linspace(-1, 1, 16)], 1)[..., None]  # two candidates
rules = "variance", "mutual_information", "expected_error_reduction"
pd.DataFrame({by: acquisition(by, two, 0.05) for by in rules}, index=["half and half", "spread evenly"]).round(3)

# %% [markdown]
# Variance takes the first place: no draws within [−1, 1] differ more. But a reading there tells only +1 or −1, one bit, 0.69 nats; at the second place it tells
# more, and mutual information takes that.
#
# **The negative control.** A Gaussian surface. In its posterior covariance, $C - C_S (C_{SS} + s^2)^{-1} C_S^\top$, no observed value occurs: where to look does
# not depend on what was read, so all looks could have been planned at once. *Predict:* does looking where draws disagree beat looks at random? And a grid?

# %%
rivals = {
    "exact, variance": {"fitted": gauss.oracle(), "draws": 64},
    "exact, random": {"fitted": gauss.oracle(), "policy": "random"},
    "exact, grid": {"fitted": gauss.oracle(), "policy": "grid"},
}
control = learning_curves(rivals, gauss, looks=16, tasks=tasks, seed=seed, every=16)
greedy, other = (Search(gauss.oracle(), d=2, seed=seed).run(gauss.draw(1, seed=seed + i), 16) for i in (0, 1))
walls = float((greedy.seen.coords.abs().amax(1) > 0.8).float().mean())
print(f"Two different surfaces: looks apart by at most {(greedy.seen.coords - other.seen.coords).abs().max():.1g}. "
      f"{walls:.0%} of the looks are near a wall, on {1 - 0.8**2:.0%} of the area.")
final = control[control["looks"] == 16].pivot(index="task", columns="rival", values="rmse")[list(rivals)]
excess = final.sub(final["exact, grid"], axis=0)
chance = final.sub(final["exact, random"], axis=0)
pd.DataFrame(
    {"RMSE after 16 looks": final.mean(), "less the grid's": excess.mean(), "±": 2 * excess.sem(),
     "less random's": chance.mean(), "± ": 2 * chance.sem()}
).style.format("{:.3f}").set_caption(f"{tasks} surfaces, compared in pairs, ± 2 standard errors")

# %% [markdown]
# Two different surfaces got the same looks: the readings changed nothing. Looking where draws disagree does not measurably beat looks at random
# here: the difference is less than its two standard errors. Greedy looks crowd at the walls, and a grid is better; for a
# Gaussian no rule that waits for readings beats the best fixed plan.
#
# **Where many numbers are unknown: a handwritten digit.** Which pixel next? The model of digits has no particles: a U-Net is conditioned on
# all readings, as in the smallest version, and draws anew after each look. Four ways to spend
# 20 looks, all answered by that model: where draws disagree; a plan made beforehand, by the variance of the best linear answer (optimal
# interpolation), which is the same for every digit; a grid; at random. (Measured once, on 40 held-out digits; the table is kept with the weights.
# The pictures are made here.) *Predict, and write it down* as `guess_digit`: after 20 looks, how many times as large is the plan's error as that of
# looking where draws disagree?

# %%
digits, painter = nfd.problems.get("digits2d"), nfd.load("adaptive_sampling", "digits2d", device=device)
names, over = ["where draws disagree", "planned", "grid", "random"], {}
crps = kept_looks().pivot(index=["looks", "task"], columns="rival", values="crps")[names]
for m, part in crps.groupby("looks"):
    values = torch.tensor(part.to_numpy())  # a row a digit
    again = torch.randint(len(values), (1000, len(values)), generator=stream(seed, "again"))  # bootstrap over digits
    means = torch.cat([values.mean(0)[None], values[again].mean(1)])
    ratio = means / means[:, :1]  # on the same digits
    for name, v in zip(names, ratio.T, strict=True):
        over[name, m] = [v[0].item(), *v[1:].quantile(torch.tensor([0.025, 0.975]).double()).tolist()]
over = pd.DataFrame(over, index=["ratio", "low", "high"]).T
digit, side = digits.draw(1, seed=seed + 4), nfd.cell_centres((56, 56)).flip(-1) * torch.tensor([1.0, -1.0])
blank = Search(replace(painter, steps=6), d=2, seed=seed, candidates=nfd.cell_centres((28, 28)))  # quick draws
early, goal = blank.run(digit, 6), digit(side)[0, :, 0]
figure, (axes,) = style.picture(1, 4, size=(13.4, 3.5))
for k, (name, ink) in enumerate(style.colours_of(names).items()):
    v = over.loc[name]
    bars = [v["ratio"] - v["low"], v["high"] - v["ratio"]]
    axes[0].errorbar(v.index + 0.7 * k, v["ratio"], bars, ms=4, fmt="Dos^"[k] + "-", color=ink, label=name)
style.dress(axes[0], title=f"{len(values)} digits, 95 % intervals", x="looks", y="CRPS, ratio on the same digits")
style.legend(axes[0], loc="upper left")
show_posterior(axes[1], blank, side, goal[None], window, "truth", style.INK, digits.card.axes, goal)
for ax, search in zip(axes[2:], (early, early.run(digit, 12)), strict=True):
    drawn = search.draw(32)(side)[..., 0].cpu()
    words = f"{search.m} looks: RMSE {(drawn.mean(0) - goal).square().mean() ** 0.5:.2f}"
    show_posterior(ax, search, side, drawn, window, words, style.MODEL, digits.card.axes, goal)
style.headline(figure, "After 20 looks, CRPS over that of looking where draws disagree: " + ", ".join(
    f"{name} ×{v['ratio']:.2f} [{v['low']:.2f}, {v['high']:.2f}]" for name, v in over.xs(20, level=1)[1:].iterrows())
    + f".\nYou said ×{guess_digit:.2f} for the plan")
figure

# %% [markdown]
# The first ten looks can be planned: where digits differ most is the same for all of them, and the linear answer knows that. Then reading pays. After 20 looks
# the plan leaves a tenth more error, after 40 a quarter more: its places are the same for every digit, and it cannot follow a stroke that it has found. A grid
# is little better than chance. (Intervals: bootstrap over the digits, ratios on the same digits.)
#
# **The field's part: look closer only where there is something to see.** A draw of the search at the top is a field: it can be asked at every place.
# A picture of 1024² pixels (`pixels`) would ask it a million times. Instead, ask large blocks at their corners, and half-way between
# the corners. Where each value half-way is the mean of its two corners, within a tolerance, the block is filled in. Where one is not, the block is cut
# into four, and each is asked in the same way. The tolerance is chosen beforehand: half a step of a map of 256 colours, from 0 to 1. (The full
# picture is made here too, only to measure the error.) *Predict:* what share of the pixels must be asked?

# %%
hill, tolerance, queries = ended.draw(1), 0.5 / 255, []
watched = EvaluatedFields(lambda x, part: queries.append(x) or hill(x), 1, 2)  # the same, and notes where it is asked
picture, asked = render_adaptive(watched, (pixels, pixels), tolerance=tolerance)
off = (picture - nfd.render(hill, (pixels, pixels))).abs().max().item()
assert asked == sum(len(x) for x in queries)
figure, (axes,) = style.picture(1, 2, size=(9.0, 3.9))
block = {"bins": 64, "range": [(-1, 1), (-1, 1)], "cmap": style.STD_MAP}
shown = axes[0].imshow(picture[0, ..., 0].T, extent=(-1, 1, -1, 1), origin="lower", cmap=style.FIELD_MAP)
counted = axes[1].hist2d(*torch.cat(queries).T.cpu().numpy(), **block)[-1]
for ax, bar in zip(axes, (shown, counted), strict=True):
    figure.colorbar(bar, ax=ax, shrink=0.85)
    ax.set_aspect("equal")
    style.dress(ax, x=axis[0], y=axis[1])
style.dress(axes[0], title=f"{pixels}² pixels")
style.dress(axes[1], title=f"queries in blocks of {pixels // 64}² pixels")
style.headline(figure, f"{asked:,} queries for {pixels**2:,} pixels ({asked / pixels**2:.1%}); "
               f"largest error {off / tolerance:.2f} × the tolerance")
figure

# %% [markdown]
# Where the surface bends, every pixel is asked. Elsewhere a parabola through the few places that were asked fills a block.
#
# ## Who does the work?
#
# The model of steps with a part taken away, given readings at random places, on the same tasks: the network silenced, so that its
# Gaussian prior answers alone; and its draws replaced by a Gaussian of their mean and covariance. *Predict:* which costs most?
# (`nfdlab ablate adaptive_sampling step1d` measured it; it is kept with the weights. The table is of the whole models, without any search: CRPS
# over the exact posterior's, and the minutes of training.)

# %%
worth = ablation.worth(ablation.kept("adaptive_sampling", "step1d"))["to full"]
display(kept_scores({"step1d": halver, "bump2d": model}))
plots.worth("adaptive_sampling", "step1d")


# %% [markdown]
# A jump at an unknown place: without its network the error is nearly three times as large. A Gaussian in place of the draws costs a
# third, and costs the exact posterior a quarter: mean and covariance do not say that a value is either 0 or 1.
#
# **What this does not show.** It is the quality of the draws (CRPS) for steps alone. No search was repeated without a part, and hills and digits
# were not measured. For steps and hills the diffusion supplies draws of the prior and no more; the particles do the conditioning.
#
# ## Where it breaks
#
# **A prior that never saw the right half.** Particles with a hill on the right get a weight of zero; what is left is what a
# model of left hills would draw, without training one. All true hills lie on the right. *Predict:* which share of the looks goes there? And how sure is
# it at the end?

# %%
def left_only(latents):
    """Log weights of latents: those whose hill is on the right count nothing."""
    coarse = nfd.cell_centres((8, 8))
    highest = model.decode(latents)(coarse)[..., 0].argmax(1).cpu()
    return -1e4 * (coarse[highest, 0] > 0).to(latents)


pool, walled = bump.draw(64, seed=child(seed, "right")), model.sequential(seed=seed, log_prior=left_only)
right = [pool[i : i + 1] for i in (points[pool(points)[..., 0].argmax(1), 0] > 0.4).nonzero()[:hills, 0].tolist()]
rows, shown, goal = [], {}, right[0](points)[0, :, 0]
for name, particles in (("all hills", None), ("left hills only", walled)):
    for i, f in enumerate(right):
        search = Search(model, d=2, seed=i, looks=looks, particles=particles).run(f)
        shown.setdefault(name, search)  # the first
        rows.append({"prior": name, "task": i, "looks right": float((search.seen.coords[:, 0] > 0).float().mean()),
                     "RMSE": score_now(search, f, 32), "spread of draws": float(search.values.std(0).mean())})
        rows[-1]["spread / RMSE"] = rows[-1]["spread of draws"] / rows[-1]["RMSE"]
blind = pd.DataFrame(rows).pivot(index="task", columns="prior")
worse = blind["RMSE"]["left hills only"] - blind["RMSE"]["all hills"]
figure, (axes,) = style.picture(1, 3, size=(10.2, 4.0))
show_posterior(axes[0], Search(model, d=2, seed=seed), points, goal[None], window, "one truth", style.INK, axis, goal)
for ax, (name, search) in zip(axes[1:], shown.items(), strict=True):
    values, share = search.draw(64)(points)[..., 0].cpu(), blind["looks right"][name]
    title = f"{name}: {share.mean():.0%} ± {2 * share.sem():.0%}\nof looks on the right"
    show_posterior(ax, search, points, values, window, title, style.MODEL, axis, goal)
style.headline(figure, f"Blind on the right, {hills} hills: RMSE {worse.mean():.3f} ± {2 * worse.sem():.3f} higher")
display(figure)
blind.agg(["mean", "sem", "max"]).T.round(3)

# %% [markdown]
# No acquisition function mends a prior: what the prior excludes is never looked for. And the draws do not say so: on each
# of the hills they differ, at the end, by less than a fifth of the error (last row: the largest ratio). (Pictures: the first of the hills. Titles:
# mean ± 2 standard errors over all of them.)
#
# **Draws that ignore the readings.** Another way of conditioning on the same readings, diffusion posterior sampling (`dps`), pulls each draw along
# the gradient of the misfit. Of one reading $y$ at a place $x$ the misfit is $|y - f(x)|$, so the pull is as strong as the gradient of the draw's own
# value there, by the noisy latent. *Predict:* how strong is it at three tenths from the jump, as a share of that at the jump?
# And what becomes of the bisection?

# %%
latents = halver.sequential(seed=seed).x[:256]  # draws of the prior
noisy = (latents + torch.randn(latents.shape, generator=stream(seed, "noisy")).to(latents)).requires_grad_()  # level 1
line = nfd.cell_centres((256,)).to(latents)
steep = halver.values(line, halver.denoiser()(noisy, noisy.new_tensor(1.0)))[..., 0].cpu()  # the draws, denoised
jump, pull = (steep < 0.5).sum(1), {}
for cells in (0, 1, 2, 4, 8, 16, 38, 64):  # of 1/128 each, to the right
    at = steep.gather(1, (jump + cells).clamp_max(255)[:, None]).sum()
    slope = torch.autograd.grad(at, noisy, retain_graph=True)[0].norm(dim=1).cpu()
    pull[cells / 128] = float(slope[jump + cells < 256].median())
figure, ((ax,),) = style.picture(size=(5.6, 3.0))
ax.semilogy(list(pull), list(pull.values()), "o-", color=style.MODEL)
weak = pull[38 / 128] / pull[0.0]
style.dress(ax, title=f"At {38 / 128:.2f} from the jump: 1/{style.number(1 / weak, 2)} of the pull",
            x="distance of the reading from the draw's jump", y="gradient's length, median")
display(figure)
rows = []
for guide in ("particles", "dps"):
    for task in range(steps // 4):
        search = Search(halver.using(guide=guide), d=1, seed=task, carry=guide == "particles")
        search = search.run(step.draw(1, seed=child(seed, "deaf", task)), 5)
        low, high = interval(search.seen)
        rows.append({"guide": guide, "task": task, "interval left": high - low,
                     "spread of the draws' jumps": 2 * float(search.values.mean(1).std())})
guides = pd.DataFrame(rows).pivot(index="task", columns="guide")
deaf = {what: guides[what].assign(difference=lambda v: v["dps"] - v["particles"]) for what in guides.columns.levels[0]}
pd.DataFrame({what: [f"{v[name].mean():.3f} ± {2 * v[name].sem():.3f}" for name in v] for what, v in deaf.items()},
             index=["dps", "particles", "difference, in pairs"])

# %% [markdown]
# Nearly everywhere the pull is nearly zero: a draw whose jump is wrong is not told where to move it.
# Draws weighted by the readings jump within the interval that is left. With `dps` they jump anywhere, and looks go where the answer is
# known. Weights need no gradient. (Mean ± 2 standard errors, the same steps.)
#
# **When to use it:** each measurement is expensive, what is sought is local or has edges, and a prior of such things can be learned. **When
# not:** smooth Gaussian fields, or where all places can be measured at once: make a grid. Nor where the world may hold what the prior
# does not: the draws will not say so. **Cost:** the minutes of training are in the table above; each look draws anew.

# %%
seventh = Search(model, d=2, seed=seed).tell(ended.seen.coords[:7], ended.seen.values[:7])
check = Exercises({
    1: (lambda factors: all(abs(v - 1 / 2 - n / (2 * (n + 1) * (n + 2))) < 0.1 for n, v in factors.items())
        and factors[2] > factors[64] or budget == "smoke",
        "(Mean share of the interval left after five looks) ** (1 / 5), for 2, 4, 16 and 64 draws."),
    2: (lambda apart: apart >= 0.2, "The smallest distance between the four looks, each chosen given those before it."),
    3: (lambda policy: [torch.equal(policy(search, 1), replace(search, policy="mutual_information").ask(1))
                        for search in (halfway, seventh)] == [True, False],
        "policy(search, 1): by mutual information after 8 looks, at random after 7."),
})

# %% [markdown]
# ## Exercises
#
# **1 · Turn a knob.** How many draws does the bisection need? `check(1, factors)` takes the factor a look, by draws.
#
# <details><summary>Solution</summary>
#
# ```python
# factors_ = {}
# for n in (2, 4, 16, 64):
#     table_ = learning_curves({"exact": {"fitted": step.oracle(), "draws": n}}, step, looks=5, tasks=steps, seed=seed, draws=8)
#     shares = torch.tensor(table_[table_["looks"] == 5]["width"].to_numpy()) / 2
#     factors_[n] = shares.mean().item() ** (1 / 5)
#     low_, high_ = (shares[sets].mean(1) ** (1 / 5)).quantile(ends).tolist()
#     print(f"{n} draws: {factors_[n]:.3f} [{low_:.3f}, {high_:.3f}], theory {1 / 2 + n / (2 * (n + 1) * (n + 2)):.3f}")
# check(1, factors_)
# ```
#
# </details>
#
# **2 · Change a line.** Take four looks at a time, chosen before any is read. Are they far apart, and what does the haste cost?
# `check(2, apart)` takes the smallest distance between two of the first four; compare the errors on a few hills, in pairs.
#
# <details><summary>Solution</summary>
#
# ```python
# hasty = Search(model, d=2, seed=seed, looks=looks)
# apart = torch.pdist(hasty.ask(4)).min().item()
# print("four at once:", hasty.ask(4).round(decimals=2).tolist(), "nearest two", apart)
# check(2, apart)
# costs = []
# for i in range(6):
#     hill_, now = bump.draw(1, seed=child(seed, "haste", i)), Search(model, d=2, seed=i, looks=looks)
#     alone = score_now(now.run(hill_), hill_)
#     for _ in range(looks // 4):
#         now = now.look(hill_, 4)
#     costs.append(score_now(now, hill_) - alone)
# costs = torch.tensor(costs)
# print(f"RMSE four at a time, less one at a time: {costs.mean():.3f} ± {2 * costs.std() / len(costs) ** 0.5:.3f}")
# ```
#
# </details>
#
# **3 · Write a piece.** A policy of your own: every fourth look at random, the others by mutual information. Does it find the right-hand hill
# in spite of the prior that excludes it (`walled`)? `check(3, policy)` takes the policy, and asks it after seven looks and after eight.
#
# <details><summary>Solution</summary>
#
# ```python
# def careful(search, k):
#     if search.m % 4 == 3:
#         return 2 * torch.rand(k, 2, generator=stream(search.seed, "careful", search.m)) - 1
#     return replace(search, policy="mutual_information").ask(k)
#
# end = Search(model, d=2, seed=seed, looks=looks, particles=walled, policy=careful).run(right[0])
# print(f"highest reading {end.seen.values.max():.2f}, RMSE {score_now(end, right[0]):.3f}: contact alone does not mend the prior")
# check(3, careful)
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
#
# <details><summary>Answers to the five questions</summary>
#
# 1. There a reading rules out the most draws. It is no good place where the draws are wrong: under a prior that is blind on one side, or with `dps`.
# 2. The posterior covariance does not hold the values that were read. All places could have been chosen before the first reading.
# 3. Bisection leaves 0.50 of the interval a look; sixteen draws in theory 0.53. Exact draws and the model come within 0.03 of that.
# 4. What it excludes. Hills on the right got no look, and the draws were sure all the same.
# 5. When the world is nearly Gaussian, when all readings come together, or for the first looks at things that differ in the same places.
#
# </details>
