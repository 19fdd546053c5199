# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00c · Diffusion: how does noise become a draw?
#
# *before: [`00b_neural_field_primer`](00b_neural_field_primer.ipynb) · next: [`00a_problems_and_rulers`](00a_problems_and_rulers.ipynb)*
#
# ![particles from noise to data, by the exact denoiser and by a learned one](pictures/00c_diffusion_primer.png)
#
# ## Question
#
# **How does noise become a draw?**
#
# A generative model turns random numbers into examples that look as if they came from the data. *Diffusion* does that by removing
# noise, a little at a time. All that its network has to learn is ordinary regression: given something noisy, say what the clean one was.
# This primer does it for single numbers, where the best possible network is known as a formula: thirty lines to train, thirty to draw.
# The numbers are of two kinds: three in ten lie near −1.5, the others near 1, each kind with a standard deviation of 0.25.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*; it takes half a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which first weights, which noise
device: str = "auto"  # auto | cpu | cuda
train_steps: int = 1500  # training steps of the smallest version
levels: int = 40  # noise levels that a sampler visits
lowest: float = 0.02  # the lowest noise level
highest: float = 20.0  # the highest noise level
guess: float = 0.5  # your prediction, see the first picture

# %%
import copy
import math

import pandas as pd
import torch
from torch import nn

from nfdlab.core.rng import normals
from nfdlab.diffusion import samplers
from nfdlab.diffusion.denoiser import Denoiser, WhitePrior
from nfdlab.diffusion.schedule import karras
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import style
from nfdlab.panels.flipbook import Flipbook

if budget == "smoke":  # a budget is a number of training steps here
    train_steps = 100
chance, middle, width = torch.tensor([0.3, 0.7]), torch.tensor([-1.5, 1.0]), 0.25


def data(n, rng):
    """n clean numbers (n, 1)."""
    kind = torch.multinomial(chance, n, replacement=True, generator=rng)
    return (middle[kind] + width * torch.randn(n, generator=rng))[:, None]


# %% [markdown]
# ## Smallest version
#
# **Noise.** Take a clean number $z_0$ and add noise: $z = z_0 + \sigma\varepsilon$, with $\varepsilon$ standard normal. $\sigma$ is the
# *noise level*. **The denoising loss.** A network, the *denoiser*, sees $z$ and $\sigma$ and says what $z_0$ was; the loss is its squared
# error. **Training** repeats that, each time at random $\sigma$.

# %%
torch.manual_seed(seed)
rng = torch.Generator().manual_seed(seed)
net = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(),
                    nn.Linear(64, 1))
spread = data(4096, rng).std()  # of the data


def learned(z, sigma):
    """The denoiser D(z, sigma) of z (n, 1): the network's guess of the clean number."""
    sigma = torch.as_tensor(sigma).expand(len(z))[:, None]
    size = (sigma**2 + spread**2).sqrt()  # standard deviation of z
    skip, out = spread**2 / size**2, sigma * spread / size
    return skip * z + out * net(torch.cat([z / size, sigma.log() / 4], 1))


adam, losses = torch.optim.Adam(net.parameters(), 3e-3), []
rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, train_steps)
for _ in range(train_steps):
    clean = data(512, rng)
    sigma = torch.exp(1.5 * torch.randn(512, generator=rng) - 0.5)  # a level for each number
    noisy = clean + sigma[:, None] * torch.randn(512, 1, generator=rng)
    weight = (sigma**2 + spread**2) / (sigma * spread) ** 2  # so that every level counts alike
    loss = (weight[:, None] * (learned(noisy, sigma) - clean).square()).mean()
    adam.zero_grad(), loss.backward(), adam.step(), rate.step()
    losses.append(loss.item())
print(f"loss: {sum(losses[:20]) / 20:.2f} at first, {sum(losses[-100:]) / 100:.2f} at the end")


# %% [markdown]
# Line by line. `net` takes two numbers, the noisy $z$ and the logarithm of the noise level, and gives one. `learned` wraps it so that
# all numbers that go into the net or come out of it are about 1 in size (Karras et al. 2022). At little noise $z$ itself is a good
# guess and is passed on (`skip` near 1); at much noise the net answers alone (`out` near `spread`). In the loop: 512 fresh clean
# numbers; a random noise level for each, around 0.6; the noise; the loss; one step of Adam.
#
# The loss does not go to nought, and should not: it cannot be zero, because many clean numbers can give the same noisy one. The best
# guess is their mean, weighted by how likely each is: $D^*(z, \sigma) = \mathbb{E}[z_0 \mid z]$. For two normal humps it is a formula, `exact`.
#
# **Sampling** makes new numbers. Start from pure noise at a high level. Ask the denoiser for its guess, go a part of the way to it, which
# is a lower noise level, and ask again.

# %%
def exact(z, sigma):
    """The best denoiser there can be: the mean of the clean number, given z (n, 1)."""
    sigma = torch.as_tensor(sigma, dtype=z.dtype).expand(len(z))[:, None]
    total = sigma**2 + width**2
    odds = (chance.log() - (z - middle) ** 2 / (2 * total)).softmax(1)  # which hump it came from
    # the mean in each hump, weighted by the odds
    return (odds * (middle * sigma**2 + z * width**2) / total).sum(1, keepdim=True)


sigmas = karras(levels, lowest, highest)  # from highest to lowest, then 0
noise = highest * normals(seed, 8192, (1,), "start")  # 8192 starts


@torch.no_grad()
def walk(denoise, sigmas, start=noise):
    """From noise to data: z at every level, (levels + 1, n)."""
    z = start / highest * sigmas[0]
    found = [z]
    for now, then in zip(sigmas[:-1], sigmas[1:], strict=True):
        guess_now = denoise(z, now)
        z = guess_now + then / now * (z - guess_now)
        found.append(z)
    return torch.stack(found)[:, :, 0]


# %% [markdown]
# `karras` lists the noise levels, closer together where they are low. In `walk`, a step to the level `then` keeps the share
# `then / now` of the distance to the guess. At the last step that share is 0, and the guess itself is the draw.
#
# ## Picture
#
# *Predict, and write it down* as `guess` in the cell of parameters: all paths start in one wide hump of noise and end in two. Which share
# will end in the left one? And will the learned denoiser send the same noise to the same end as the exact one? (The share in
# brackets is the correct one, that of the data; ± is two standard errors. The axis is cut at ±5, most paths start outside of it.)

# %%
paths = {"exact": walk(exact, sigmas), "learned": walk(learned, sigmas)}
shares = {name: (path[-1] < -0.25).float().mean().item() for name, path in paths.items()}
chancy = 2 * (shares["exact"] * (1 - shares["exact"]) / len(noise)) ** 0.5  # two standard errors of a share
same = ((paths["exact"][-1] < -0.25) == (paths["learned"][-1] < -0.25)).float().mean().item()
figure, axes = style.picture(1, 2, size=(9.6, 3.2), sharey=True)
for ax, (name, path), shade in zip(axes[0], paths.items(), (style.EXACT, style.MODEL), strict=True):
    ax.plot(path[:, :60], color=shade, lw=style.THIN, alpha=style.DRAW_ALPHA)
    style.dress(ax, x="step", title=f"{name}: {shares[name]:.1%} ± {chancy:.1%} end left (correct: {chance[0]:.0%})")
axes[0, 0].set_ylim(-5, 5)
axes[0, 0].set_ylabel("z", fontsize=style.FONT)
print(f"You said {guess:.0%}. {same:.1%} of the starts end in the same hump with both.")
figure

# %% [markdown]
# Each path is smooth and has no randomness of its own: all of it is in the start. Early steps decide the hump, late ones the details.
#
# ## Idea in symbols
#
# All that is learned is the guess $D(z, \sigma)$. *Predict:* at little noise, which clean number is the best guess for $z = 0$? And at
# much noise?

# %%
line = torch.linspace(-4, 4, 401)[:, None]
figure, axes = style.picture(1, 3, size=(9.6, 2.7), sharey=True)
for ax, sigma in zip(axes[0], (0.2, 0.7, 2.0), strict=True):
    with torch.no_grad():
        best, mine = exact(line, sigma), learned(line, sigma)
    at = line.clone().requires_grad_()
    likely = torch.exp(-((at - middle) ** 2) / (2 * (width**2 + sigma**2))) @ chance  # density of z, but for a factor
    (slope,) = torch.autograd.grad(likely.log().sum(), at)
    assert torch.allclose(slope, (best - line) / sigma**2, atol=1e-3)  # Tweedie's formula, see below
    off = ((mine - best).square()[:, 0] * likely.detach()).sum().div(likely.detach().sum()).sqrt().item()
    ax.plot(line, line, color=style.BASELINE, lw=style.THIN, ls=(0, (4, 3)))
    ax.plot(line, best, color=style.EXACT, lw=style.THICK)
    ax.plot(line, mine, color=style.MODEL, lw=style.THIN)
    style.dress(ax, x="noisy z", title=f"σ = {sigma:g}: learned off by {off:.3f}")
axes[0, 0].set_ylim(-2.2, 2.2)
axes[0, 0].set_ylabel("guess of the clean number", fontsize=style.FONT)
figure

# %% [markdown]
# Blue is the formula, orange the network, which was never given it; grey is the noisy number itself. At little noise the guess is in the
# nearer hump; the more noise there is, the closer it comes to the mean of all data.
#
# Noisy data have a density $p_\sigma(z)$. The slope of its logarithm, $\nabla \log p_\sigma$, is called the *score*. It points to where there
# is more data, and whoever has the denoiser has the score (Tweedie's formula):
#
# $$\nabla_z \log p_\sigma(z) = \frac{D^*(z, \sigma) - z}{\sigma^2} .$$
#
# (The cell above checked it: `torch.autograd` gives the slope of the logarithm of the density, and the formula the same.)
#
# Move every point along $\frac{\mathrm{d}z}{\mathrm{d}\sigma} = -\sigma\,\nabla_z \log p_\sigma(z) = \frac{z - D(z, \sigma)}{\sigma}$ as $\sigma$ falls, and their
# density stays $p_\sigma$ all the way down to the data's own. This is the *probability-flow ODE*, an ordinary differential equation (Song
# et al. 2021). A sampler follows it in steps, each from one noise level $\sigma$ to the next lower one, $\sigma'$.
#
# **First order: hold the guess still.** Suppose that $D$ did not change during a step. Then the equation is about the distance to the
# guess alone: $z - D$ changes at the rate $(z - D)/\sigma$, which means that it is proportional to $\sigma$. At the new level the share
# $\sigma'/\sigma$ of it is left:
#
# $$z' = D + \tfrac{\sigma'}{\sigma}\,(z - D) .$$
#
# $z'$ is the number after the step. This is what `walk` does; it is *Euler's method*, which takes the slope at the start of a step for the
# slope all along it. For a $D$ that stood still it would be exact, however long the step. Only one thing is wrong: $D$ does change on the
# way. *Predict:* by how much less, halfway through a step, if there are twice as many steps?

# %%
fine = karras(441, lowest, highest)  # so many steps that we take what they follow for the true path
path = walk(exact, fine)
true_guess = torch.stack([exact(z[:, None], level)[:, 0] for z, level in zip(path, fine[:-1], strict=False)])
along, wrong = -fine[:-1].log(), {}
two = [int((path[-1] < 0).float().argmax()), int((path[-1] > 0).float().argmax())]  # a start for each hump
figure, axes = style.picture(1, 2, size=(9.6, 2.8), sharey=True)
for ax, every in zip(axes[0], (40, 20), strict=True):  # a step is 40 of the fine ones, or 20
    known = true_guess[::every]  # at the start of each step
    wrong[every] = (known[:-1] - true_guess[every // 2 :: every]).abs().mean().item()
    ax.plot(along, true_guess[:, two], color=style.EXACT, lw=style.THICK)
    ax.step(along[::every], known[:, two], color=style.BASELINE, where="post")
    style.dress(ax, x="−ln σ", title=f"{440 // every} steps: the guess held still is off by {wrong[every]:.3f}")
axes[0, 0].set_ylabel("guess of the clean number", fontsize=style.FONT)
figure


# %% [markdown]
# Blue is the guess of the exact denoiser along two paths, one to each hump; grey is what the steps put in its place. (In the titles: the mean over
# all starts, halfway through a step.) Twice as many steps, about half as far off. If the error of a method falls like that, it is of *first
# order*.
#
# **Second order: follow the guess.** Between two levels the guess moves smoothly, so the last step says where it is going. Lay a straight line
# through the last two guesses, and read it in the middle of the next step. For that we need
#
# - $\lambda = -\ln\sigma$, the axis of the picture. A step that halves the noise level is equally long everywhere on it;
# - $D$, the guess at the level $\sigma$ where we are, and $D_-$, the one before, at the level $\sigma_-$;
# - $\Delta_- = \ln\frac{\sigma_-}{\sigma}$, how long the last step was on that axis, and $\Delta = \ln\frac{\sigma}{\sigma'}$, how long the next one is.
#
# In the last step the guess moved by $D - D_-$, which is $(D - D_-)/\Delta_-$ for each unit of $\lambda$. The middle of the next step is
# $\Delta/2$ further on. So the line has there the value
#
# $$D + \tfrac{\Delta}{2}\cdot\frac{D - D_-}{\Delta_-} ,$$
#
# and this takes the place of $D$ in the step above. It is **DPM-Solver++(2M)**, the kit's usual sampler (Lu et al. 2022; M for *multistep*:
# it uses the step before). One more line of code, no further call of the network, and second order: twice as many steps leave about a
# quarter of the error, not half. (The first step has no guess before it, and the last one ends at the guess. Both stay as they were.)
#
# *Predict:* how many steps does each need for an error of 0.01? On axes that are both logarithmic, first order is a line of slope −1,
# second order one of slope −2.

# %%
@torch.no_grad()
def dpm(denoise, sigmas, start=noise):  # as `walk`, of second order: only the end (n,)
    z, before = start / highest * sigmas[0], None
    for now, then in zip(sigmas[:-1], sigmas[1:], strict=True):
        guess_now = used = denoise(z, now)
        if before is not None and then > 0:
            used = guess_now + (now / then).log() / 2 * (guess_now - before[0]) / (before[1] / now).log()
        z, before = used + then / now * (z - used), (guess_now, now)
    return z[:, 0]


figure, ((left, right),) = style.picture(1, 2, size=(9.6, 3.0))
rise = known.diff(dim=0) / along[::20].diff()[:, None]  # in each of the 22 steps, for each unit of λ
halfway = known[1:-1] + rise[:-1] * (along[30::20] - along[20:-20:20])[:, None]
wrong["line"] = (halfway - true_guess[30::20]).abs().mean().item()
left.plot(along, true_guess[:, two], color=style.EXACT, lw=style.THICK)
for i, step in enumerate(along[20:].unfold(0, 21, 20), start=1):
    left.plot(step, known[i, two] + rise[i - 1, two] * (step - step[0])[:, None], color=style.SECOND)
style.dress(left, x="−ln σ", y="guess", title=f"On a line off by {wrong['line']:.3f}, held still by {wrong[20]:.3f}")
error, counts, true_end = {}, (4, 6, 8, 12, 16, 24, 32, 48, 64), dpm(exact, karras(400, lowest, highest))
ways = ("first order", lambda *how: walk(*how)[-1], style.BASELINE), ("second order", dpm, style.SECOND)
for name, solver, shade in ways:
    error[name] = {n: (solver(exact, karras(n, lowest, highest)) - true_end).abs().median().item() for n in counts}
    right.loglog(counts, list(error[name].values()), marker="o", ms=4, color=shade, label=name)
need = [next((n for n in counts if curve[n] < 0.01), counts[-1]) for curve in error.values()]
slope = [math.log(curve[64] / curve[16], 4) for curve in error.values()]
right.set_xticks(counts, counts), right.minorticks_off(), style.legend(right, loc="lower left")
style.dress(right, x="steps", y="error of an end", title=f"Slopes −{-slope[0]:.1f}, −{-slope[1]:.1f}; "
            f"error 0.01: {need[0]}, {need[1]} steps")
figure

# %% [markdown]
# Left: 22 steps again; on the lines the guess is much less far off than held still. Right: how far the ends of paths are from where 400 steps lead (the
# median of 8192 paths; slopes from 16 to 64 steps). With eight steps or fewer first order is the better: a line through guesses that
# are far apart shoots past where the guess bends.
#
# ## The library's version
#
# The same three pieces, for functions instead of numbers: `Denoiser` (the wrapping and the loss), `karras` (the levels),
# `samplers.sample` (the solvers). The next cell checks that, on the numbers of this lesson, they give the same as the code above.
#
# For a function, the number $z$ becomes a latent, or the function's values on a *lattice*, an even grid; the network becomes a *U-Net*
# (convolutions on the grid and on coarser ones); and the data are draws of a problem. Nothing else changes. The ten lessons differ in
# *what* gets the noise, and in how a field then gives its value at any place.
#
# **Observations** enter in the simplest way: as one more input of the network. The cell after the next trains such a one. *Predict:* somebody
# measures a clean number, with an error of standard deviation 0.8, and reads 0.0. Is the clean number near 0.0?

# %%
bare = nn.Identity()  # the lesson's network, called as the library calls one: F(z scaled, ln(sigma)/4)
bare.forward = lambda z, level: net(torch.cat([z, level[:, None].expand(len(z), 1)], 1))
library = Denoiser(bare, WhitePrior(float(spread)))  # `skip` and `out` for data of this spread
some = 3 * normals(seed, 64, (1,), "some")
with torch.no_grad():
    assert torch.allclose(library(some, torch.tensor(0.7)), learned(some, 0.7), atol=1e-5)
ends = {"euler": walk(learned, sigmas)[-1], "dpmpp": dpm(learned, sigmas)}
for method, mine in ends.items():
    theirs = samplers.sample(library.given(), noise, sigmas, method=method)[:, 0]
    assert torch.allclose(theirs, mine, atol=2e-3), method
    print(f"{method}: the library's draws and ours differ by at most {(theirs - mine).abs().max():.0e}")

# %%
second = nn.Sequential(nn.Linear(3, 64), *copy.deepcopy(net)[1:])  # one input more; the other layers as they are
adam, reading_error = torch.optim.Adam(second.parameters(), 3e-3), 0.8
rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, train_steps)
for _ in range(train_steps):
    clean = data(512, rng)
    reading = clean + reading_error * torch.randn(512, 1, generator=rng)  # what is observed
    sigma = torch.exp(1.5 * torch.randn(512, 1, generator=rng) - 0.5)
    noisy, size = clean + sigma * torch.randn(512, 1, generator=rng), (sigma**2 + spread**2).sqrt()
    goal = (clean - spread**2 / size**2 * noisy) * size / (sigma * spread)  # what the net itself should say
    loss = (second(torch.cat([noisy / size, sigma.log() / 4, reading], 1)) - goal).square().mean()
    adam.zero_grad(), loss.backward(), adam.step(), rate.step()

def given_reading(z, sigma, reading=0.0):  # D(z, sigma), given a reading
    size = (sigma**2 + spread**2).sqrt()
    inputs = torch.cat([z / size, (sigma.log() / 4).expand(len(z), 1), torch.full_like(z, reading)], 1)
    return spread**2 / size**2 * z + sigma * spread / size * second(inputs)

posterior = dpm(given_reading, karras(24, lowest, highest))
weights = chance * torch.exp(-(middle**2) / (2 * (width**2 + reading_error**2)))  # Bayes' rule
left_exact, left_found = (weights / weights.sum())[0].item(), (posterior < -0.25).float().mean().item()
chancy = 2 * (left_found * (1 - left_found) / len(posterior)) ** 0.5
figure, ((ax,),) = style.picture(size=(8.2, 2.6))
ax.hist(posterior, 80, range=(-3, 3), density=True, color=style.MODEL, alpha=0.6)
small = width * reading_error / (width**2 + reading_error**2) ** 0.5  # a hump's width, given the reading
bell = torch.exp(-((line - middle * (small / width) ** 2) ** 2) / (2 * small**2)) / (small * (2 * torch.pi) ** 0.5)
ax.plot(line, bell @ (weights / weights.sum()), color=style.EXACT, lw=style.THICK)
style.dress(ax, x="clean number", y="density",
            title=f"Read as 0.0: {left_found:.3f} ± {chancy:.3f} of the draws left, by Bayes' rule {left_exact:.3f}")
figure

# %% [markdown]
# Two humps, with odds close to Bayes' rule (blue), which weighs each clean number by how well it explains the reading. Regression would
# have answered their mean, without a word about two humps. Lesson 05 does the same as here, with a curve in place of the number.
#
# ## Turn the knobs
#
# Draws of the learned denoiser for several numbers of steps. *Predict:* at how many steps do the humps have the right width?

# %%
knob, off_by = {}, {}
for n in (2, 3, 4, 6, 8, 12, 24):
    found = dpm(learned, karras(n, lowest, highest))
    left = found < -0.25
    wide = torch.stack([found[left].std(), found[~left].std()]).nan_to_num(0).mean().item() / width
    off_by[n] = abs(left.float().mean().item() - 0.3), wide
    page, ((ax,),) = style.picture(size=(8.2, 2.5))
    ax.hist(found, 120, range=(-3, 3), density=True, color=style.MODEL, alpha=0.6)
    density = torch.exp(-((line - middle) ** 2) / (2 * width**2)) / (width * (2 * torch.pi) ** 0.5) @ chance
    ax.plot(line, density, color=style.TRUTH, lw=style.THIN)
    style.dress(ax, x="z", y="density", title=f"{n} steps: {left.float().mean():.0%} left, "
                f"humps {wide:.2f} times as wide as they should be")
    knob[n] = page
panel = Flipbook("steps", knob, start=8)
panel

# %% [markdown]
# At eight steps both humps are there and too wide; at 24 their width is nearly right.
#
# ## Against the others
#
# Three ways to make 1024 new numbers. Two learn from 4096 given ones: one fitted normal hump; and a *kernel density*, an old number plus
# a little noise, whose size follows Silverman's rule. The third, the diffusion, has seen more: fresh data in every training step. We
# measure the *Wasserstein distance*: how far the numbers must be moved, on average, to become fresh data (here: sort both, and pair
# them). Fresh data against fresh data is the floor.

# %%
given, rows = data(4096, rng), []
for i in range(10):
    fresh, start = data(1024, rng), highest * normals(seed + i, 1024, (1,), "start of a sample")
    old = given[torch.randperm(4096, generator=rng)[:1024]]
    kernel = 1.06 * given.std() * 4096**-0.2
    makers = {
        "fresh data": data(1024, rng),
        "one normal hump": given.mean() + given.std() * torch.randn(1024, 1, generator=rng),
        "kernel density": old + kernel * torch.randn(1024, 1, generator=rng),
        "diffusion, learned": dpm(learned, karras(24, lowest, highest), start),
        "diffusion, exact denoiser": dpm(exact, karras(24, lowest, highest), start),
    }
    moved = {name: made.flatten().sort().values - fresh[:, 0].sort().values for name, made in makers.items()}
    rows += [{"made by": name, "distance": move.abs().mean().item()} for name, move in moved.items()]
table = pd.DataFrame(rows).groupby("made by")["distance"].agg(["mean", "sem"]).sort_values("mean")
table.style.format("{:.3f}").set_caption("distance to fresh data, mean and standard error of 10 samples")

# %% [markdown]
# For single numbers the classical ways are simpler. The denoising loss works unchanged for pictures of 784 numbers (lesson 05).
#
# ## Where it breaks
#
# **Too few steps:** you have seen it above. **The wrong range of noise.** *Predict:* start at noise level 0.3 instead of 20. Which humps
# come out, and in which shares? And what if the lowest level is 0.6?

# %%
# the exercises' checks
check = Exercises({
    1: (lambda n: n <= 24, "Compare the medians in `error`; second order needs fewer."),
    2: (lambda share: 0.25 < share < 0.35, "The shares come from the clean numbers that are shown in training."),
    3: (lambda odds: abs(odds - left_exact) < 0.12, "Weigh clean numbers by exp(−(reading − z₀)²/(2·0.8²))."),
})

cases = {"20 … 0.02": (20.0, 0.02), "start at 0.3": (0.3, 0.02), "stop at 0.6": (20.0, 0.6)}
figure, axes = style.picture(1, 3, size=(9.6, 2.6), sharey=True)
outcome = {}
for ax, (name, (top, bottom)) in zip(axes[0], cases.items(), strict=True):
    found = dpm(exact, karras(24, bottom, top))
    outcome[name] = (found < -0.25).float().mean().item(), found[found > -0.25].std().item() / width
    ax.hist(found, 80, range=(-3, 3), density=True, color=style.EXACT, alpha=0.6)
    ax.plot(line, density, color=style.TRUTH, lw=style.THIN)
    style.dress(ax, x="z", title=f"{name}: {outcome[name][0]:.0%} left, width ×{outcome[name][1]:.2f}")
figure

# %% [markdown]
# The exact denoiser itself fails, so it is the sampler's fault. At noise level 0.3 noisy data still have two humps, but the start is one
# hump around 0, so odds, places and widths come out wrong. At a lowest level of 0.6 the last guess is a mean of all clean numbers that
# are still possible, so the humps are too narrow. The kit therefore measures its levels on the data (`NoiseLevels` in
# `nfdlab.diffusion.schedule`) and does not copy them from a paper on pictures.
#
# **When to use diffusion:** where several answers are possible and their mean is none of them. **When not:** where everything is
# Gaussian (normal); there the answer is linear algebra (`00a`). **Cost:** one call of the network a step, in the lessons 8 to 24 steps a draw.
#
# ## Exercises
#
# `check(n, answer)` says whether an answer holds.
#
# **1 · Turn a knob.** How many steps of second order give a median error below 0.01? Read it off the figure.
#
# <details><summary>Solution</summary>
#
# ```python
# check(1, need[1])
# ```
#
# </details>
#
# **2 · Change a line.** Use the exact denoiser, and add fresh noise in each step (the *ancestral* sampler). Do the shares change?
#
# <details><summary>Solution</summary>
#
# ```python
# fresh_noise = samplers.fresh_noise(seed)
# found = samplers.sample(exact, noise, karras(100, lowest, highest), method="ancestral", noise=fresh_noise)
# check(2, (found < -0.25).float().mean().item())          # the same distribution, by other paths
# ```
#
# </details>
#
# **3 · Write a piece.** Answer the reading of 0.0 without the second network: draw many numbers, and weigh each by how well it explains
# the reading. What are the odds of the left hump?
#
# <details><summary>Solution</summary>
#
# ```python
# weigh = torch.exp(-given[:, 0].square() / (2 * 0.8**2))
# check(3, (weigh[given[:, 0] < -0.25].sum() / weigh.sum()).item())
# ```
#
# </details>
#
# **Five questions.** What does a denoiser say, and why is its loss never zero? What does the score have to do with it? Where is the
# randomness of a draw? What does the second order change, and what does it cost? How do observations enter?
#
# ## Further reading
#
# - Sohl-Dickstein et al. 2015, *Deep unsupervised learning using nonequilibrium thermodynamics*
#   ([1503.03585](https://arxiv.org/abs/1503.03585)), and Ho et al. 2020, *Denoising diffusion probabilistic models*
#   ([2006.11239](https://arxiv.org/abs/2006.11239)): where it comes from.
# - Song et al. 2021, *Score-based generative modeling through stochastic differential equations*
#   ([2011.13456](https://arxiv.org/abs/2011.13456)): the score, and the probability-flow ODE.
# - Karras et al. 2022, *Elucidating the design space of diffusion-based generative models*
#   ([2206.00364](https://arxiv.org/abs/2206.00364)): the wrapping, the weights, the levels.
# - Lu et al. 2022, *DPM-Solver++* ([2211.01095](https://arxiv.org/abs/2211.01095)): the second order.
# - Efron 2011, *Tweedie's formula and selection bias*
#   ([10.1198/jasa.2011.tm11181](https://doi.org/10.1198/jasa.2011.tm11181)): what a denoiser knows of the score.
