# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Weights as data: fit a network to each function, diffuse the networks
#
# *before: [`09_modulated_field`](09_modulated_field.ipynb) · next: [`03_score_field`](03_score_field.ipynb)*
#
# ![two fitted networks and the network half-way between them, from one initialisation and permuted](pictures/02_weight_diffusion.png)
#
# ## Question
#
# **Can you average two networks?**
#
# A neural field *is* its weights: a few hundred numbers that say a whole function. So a set of functions is a set of vectors, and
# a diffusion model for vectors should be a model for functions. But the average of two weight vectors need not be a network of
# any use. When is it one? The answer decides whether weights can be data.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 4  # how many observations are seen
tasks: int = 6  # how many tasks each number in the tables is averaged over, at each number of observations
num_fields: int = 512  # how many small fields the live experiments fit
toy_steps: int = 1600  # training steps of the smallest version's denoiser
guess: float = 0.5  # your prediction, see the first picture
guess_toy: float = 0.5  # your prediction, see the smallest version

# %%
from math import factorial

import pandas as pd
import torch
from IPython.display import display
from torch import nn

import nfdlab as nfd
from nfdlab.approaches.weight_diffusion import WeightDiffusion
from nfdlab.core.rng import child, seeded, stream
from nfdlab.core.types import Budget, Observations
from nfdlab.diffusion.noise import white
from nfdlab.evaluate import ablation
from nfdlab.evaluate.scores import energy_distance
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.fields.batched_mlp import BatchedMLP, fit, nearest
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style

smoke = budget == "smoke"
if smoke:
    tasks, num_fields, toy_steps = 1, 64, 16
fits, live = (40, Budget(steps=16)) if smoke else (300, Budget(steps=360))
problem, coords = nfd.problems.get("families1d"), nfd.cell_centres((128,))
truth = problem.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %% [markdown]
# ## Picture
#
# The world is `families1d`: a sine, a square wave, a triangle wave or a bump. 64 of its curves get a small field each (1 → 16 →
# 16 → 1: two hidden layers of 16 neurons). Then the curves are taken in 32 pairs. The two weight vectors of a pair are averaged,
# number by number, and the average is asked for its curve: once with fits begun at the *same* initialisation, once with the same
# fits after their hidden neurons are *permuted*: written in another order, which changes no value of a curve. *Predict, and write
# it down* as `guess` in the cell of parameters: how far off is the average of two permuted fits, as a share of the gap between
# the two curves? 0 is the average of the curves.

# %%
mlp, several = BatchedMLP(d=1, width=16, omega=6.0), problem.draw(64, seed=seed + 1)
shared = fit(mlp, mlp.initialise(1, seed=seed), several, steps=fits, seed=seed)
permuted = mlp.permute(shared, seed=seed)  # each fit in an order of its own
figure, (axes,) = style.picture(1, 2, size=(9.6, 3.1), sharey=True)
off, x, rms = {}, coords[:, 0], lambda v: v.square().mean(-1).sqrt()
for ax, words, theta in zip(axes, ("one initialisation", "the same, permuted"), (shared, permuted), strict=True):
    ends = mlp(theta, coords)[..., 0].unflatten(0, (32, 2))  # the two curves of each pair
    middle = mlp(theta.unflatten(0, (32, 2)).mean(1), coords)[..., 0]  # the curve of the averaged weights
    off[words] = rms(middle - ends.mean(1)) / rms(ends[:, 0] - ends[:, 1])
    ax.plot(x, ends[0].T, color=style.TRUTH, lw=1.2, label=["two fitted networks", None])
    ax.plot(x, ends[0].mean(0), color=style.BASELINE, lw=1.6, ls="--", label="average of their curves")
    ax.plot(x, middle[0], color=style.MODEL, lw=2, label="curve of their average")
    said = f" (you said {guess:.0%})" if len(off) == 2 else ""
    style.dress(ax, title=f"{words}: off by {off[words].quantile(0.5):.0%}{said}", x=problem.card.axes[0])
style.legend(axes[1], loc="upper left", bbox_to_anchor=(1.0, 1.0))
assert torch.allclose(mlp(shared, coords), mlp(permuted, coords), atol=1e-4)
quarters = {words: torch.quantile(v, torch.tensor([0.25, 0.5, 0.75])).tolist() for words, v in off.items()}
farther = int((off["the same, permuted"] > off["one initialisation"]).sum())
print("off by, quartiles of 32 pairs: " + "; ".join(
    f"{words} {a:.0%} [{b:.0%}, {c:.0%}]" for words, (b, a, c) in quarters.items())
    + f"\nthe permuted average is the farther one in {farther} of 32 pairs; "
    f"networks with the curve of one: at least {(factorial(16) * 2**16) ** 2:.0e}")
figure

# %% [markdown]
# The first pair is shown; the titles give the median of all pairs. ("Off" is the rms gap between orange and dashed grey, as a
# share of the gap between the two curves.) Both panels show networks with the same two curves. On the left the curve of their
# average is nearer to the average of the curves; on the right it is a third thing.
#
# Why? Neurons of a layer can be written in any order, $16!$ for each of the two hidden layers. And since sine and tanh are odd,
# the signs of all weights into and out of a neuron may change together, $2^{16}$ ways a layer. So a curve has a great many weight
# vectors, and an average of two only makes sense where they agree on which neuron does what. From one initialisation, neuron 7
# can play the same part in every fit.
#
# **And what comes of it.** The trained model below was made from thousands of fits from one initialisation, and a diffusion model
# of their weights. It is given four observations; each draw is a network. *Predict:* will its band be wider or narrower than the
# exact one?

# %%
watch = LossWatch("many fits at once, then diffusion")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("weight_diffusion", problem, budget=budget, seed=seed, device=device, watch=watch)

# %%
exact, draws = problem.oracle().draw(seen, 64, seed=seed), model.draw(seen, 64, seed=seed)
std = [f(coords).var(0).mean().sqrt().item() for f in (exact, draws)]
plots.bands(problem.card, truth=truth, seen=seen, exact=exact, model=draws,
            title=f"{keep} observations of this curve: the networks have {std[1] / std[0]:.2f} of the exact spread")

# %% [markdown]
# The title gives the answer for this curve: 1 is right, above 1 is too wide. (Over many curves: under *Against the others*.) Far
# from the observations four kinds of curve are possible, and the thin draws show how well each of them is one of the four.
#
# ## Idea in symbols
#
# 1. **Fit, all at once.** Each training function $f_i$ gets weights $\theta_i$, from one shared $\theta_0$ and held near it:
#
# $$\theta_i = \arg\min_\theta \; \frac{1}{m} \sum_x \psi\big(f_\theta(x) - f_i(x)\big) + \beta \|\theta - \theta_0\|^2 ,$$
#
# with $\psi$ a square near zero and an absolute value far away, for the jumps. Thousands of fields are fitted at once, in
# batches.
#
# 2. **Diffuse.** Each number is standardised over the training set; a residual MLP learns the denoiser $D(z, \sigma)$ of the flat
#    vectors. It starts from what a Gaussian of the same covariance $C$ would answer, $\mu + C (C + \sigma^2)^{-1} (z - \mu)$, and
#    learns the rest.
#
# 3. **Observe.** The sampler is a map from noise to weights, $\theta = G(\omega)$. So each noise $\omega$ has a field, and the
#    field a likelihood of the observations, $\exp(-\sum_j (y_j - f_{G(\omega)}(x_j))^2 / 2 s^2)$. *Sequential Monte Carlo* starts
#    with many noises, the particles, and raises this likelihood to a power that grows from 0 to 1 in steps. At each step the
#    particles are weighted by what is new in the likelihood, resampled by their weights (good ones are copied, bad ones dropped),
#    and each is moved a little at random, so that copies part.
#
# Take the MLP of step 2 away and the Gaussian is left. It is the rival that must stand beside every diffusion of weights: what
# the network is worth shows only there.
#
# ## Smallest version
#
# The whole method from nothing, in three steps. **(a) Fit:** a few hundred curves of the same world get a small field each (1 → 8
# → 8 → 1, 97 weights), all from *one* initialisation $\theta_0$, with the loss above. **(b) Train a denoiser** of the
# standardised weights $z$, as in `00c`: add noise of a random level $\sigma$, say what the clean weights were. **(c) Draw:** go
# from noise along the probability-flow ODE, in 40 steps of Euler, and back to weights. Each draw is a field.
#
# The rival is a Gaussian with mean and covariance of the same weight vectors. There are two measures: the energy distance to
# fresh curves (`01`; zero, on average, for the right distribution), and the rms distance of a draw to the *nearest* of 4096
# curves of the world. *Predict, and write it down* as
# `guess_toy`: how far from the nearest curve are the diffusion's draws, as a share of the Gaussian's distance?

# %%
sizes, rng = (8, 8, 64, 8, 8, 1), stream(seed, "toy")  # of W1, b1, W2, b2, W3, b3
limits = torch.tensor([1, 1, 0.75**0.5, 0, 0.75**0.5, 0]).repeat_interleave(torch.tensor(sizes))  # sqrt(6 / fan in)
initial = limits * (2 * torch.rand(1, 97, generator=rng) - 1)  # one for all fits


def field(theta, x):
    """The fields with weights theta (n, 97), asked at places x (m, 1): values (n, m, 1)."""
    W1, b1, W2, b2, W3, b3 = theta.split(sizes, 1)
    h = torch.sin(6 * (x * W1[:, None] + b1[:, None]))  # (n, m, 8)
    h = torch.tanh(h @ W2.reshape(-1, 8, 8) + b2[:, None])
    return h @ W3[..., None] + b3[:, None]


curves = problem.draw(num_fields, seed=child(seed, "toy"))
theta = initial.repeat(num_fields, 1).requires_grad_()
adam = torch.optim.Adam([theta], 1e-2)
rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, fits)
for _ in range(fits):
    x = 2 * torch.rand(32, 1, generator=rng) - 1
    miss = ((field(theta, x) - curves(x)).square() + 0.1**2).sqrt().mean()  # a square near zero
    loss = miss + 1e-4 * (theta - initial).square().sum(1).mean()  # and held near the start
    adam.zero_grad(), loss.backward(), adam.step(), rate.step()
fitted = theta.detach()

# %%
mean, std = fitted.mean(0), fitted.std(0)
data = (fitted - mean) / std  # what is diffused: (num_fields, 97)
with seeded(seed):
    F = nn.Sequential(nn.Linear(98, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 97))


def denoise(z, sigma):
    """The denoiser D(z, sigma) of noisy weights z (n, 97) at levels sigma (n, 1)."""
    size = (1 + sigma**2).sqrt()
    return z / size**2 + sigma / size * F(torch.cat([z / size, sigma.log() / 4], 1))


adam, losses = torch.optim.Adam(F.parameters(), 5e-3), []
rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, toy_steps)
for _ in range(toy_steps):
    clean = data[torch.randint(len(data), (128,), generator=rng)]
    sigma = torch.exp(1.2 * torch.randn(128, 1, generator=rng) - 0.5)
    said = denoise(clean + sigma * torch.randn(clean.shape, generator=rng), sigma)
    loss = ((1 + sigma**2) / sigma**2 * (said - clean).square()).mean()  # so that every level counts alike
    adam.zero_grad(), loss.backward(), adam.step(), rate.step()
    losses.append(loss.item())
levels = torch.cat([torch.linspace(20 ** (1 / 7), 0.02 ** (1 / 7), 40) ** 7, torch.zeros(1)])
z = 20 * torch.randn(1000, 97, generator=rng)
with torch.no_grad():
    for now, then in zip(levels[:-1], levels[1:], strict=True):  # the share then / now of the noise is kept
        z = torch.lerp(denoise(z, now.expand(1000, 1)), z, (then / now).item())

# %%
root = torch.linalg.cholesky(data.T.cov() + 1e-4 * torch.eye(97))
makers = {"toy": field(mean + std * z, coords),
          "Gaussian": field(mean + std * (torch.randn(1000, 97, generator=rng) @ root.T), coords),
          "library": model.draw(None, 1000, seed=seed)(coords).cpu(), "fits": field(fitted, coords),
          "fresh curves": problem.draw(1000, seed=child(seed, "fresh"))(coords)}
world, others = (problem.draw(k, seed=child(seed, "world", k))(coords) for k in (4096, 1000))
toy = {}
for name, values in makers.items():
    away = nearest(values[:500], world)[0]
    parts = torch.stack([energy_distance(part, others) for part in values.chunk(4)]) * 1e3
    toy[name] = {"to the nearest curve": away.mean().item(),
                 "± 2 standard errors": 2 * away.std().item() / len(away) ** 0.5,
                 "energy distance × 1000": parts.mean().item(), "± 2 standard errors ": parts.std().item()}
far = {name: row["to the nearest curve"] for name, row in toy.items()}
print(f"denoiser's loss {sum(losses[:20]) / 20:.2f} -> {sum(losses[-50:]) / 50:.2f}; the answer of a standard normal "
      "leaves it at 1.\n"
      f"The toy's draws are {far['toy'] / far['fits']:.1f} × as far from the nearest as its own fits.")
pd.DataFrame(toy).T.round(2)

# %%
share = far["toy"] / far["Gaussian"]
figure, (axes,) = style.picture(1, 4, size=(10.6, 2.7), sharey=True)
for ax, name, colour in zip(axes, ("fresh curves", "toy", "Gaussian", "library"),
                            (style.TRUTH, style.MODEL, style.BASELINE, style.SECOND), strict=True):
    ax.plot(coords[:, 0], makers[name][:6, :, 0].T, color=colour, lw=1.0)
    style.dress(ax, title=f"{name}: {far[name]:.2f} ± {toy[name]['± 2 standard errors']:.2f}", x=problem.card.axes[0])
style.headline(figure, f"To the nearest curve: the toy's draws have {share:.2f} of the Gaussian's distance "
               f"(you said {guess_toy:.2f})")
figure

# %% [markdown]
# By both measures the toy's draws are nearer to the world than the Gaussian's: the denoiser has learned more than mean and
# covariance. But they are still much further from a curve than its own fits are, and the fits are about as near as fresh curves.
# So the small fields are good enough, and the diffusion is what loses. (Errors are over draws, of one training. Fresh curves are
# not at zero, as the world has more than 4096 curves.)
#
# > **How this differs from the papers.** HyperDiffusion (Erkoç et al. 2023) fits 36,737 weights to each of some thousand shapes,
# > and a transformer after G.pt (Peebles et al. 2022), which reads a layer at a time, denoises them; here a network has a few
# > hundred weights, all fits are one batch, and an MLP denoises the flat vector, in the library beginning at a Gaussian. Theirs
# > diffuses raw weights; here each number is standardised, and the penalty $\beta$ is an addition. They draw shapes; here draws
# > also answer observations.
#
# ## The library's version
#
# A prior draw of the trained model in plain PyTorch, given its parts. First the denoiser: the Gaussian's answer, and the MLP's
# correction. Then the solver of `00c` (DPM-Solver++, second order), which makes weights of noise. Last the field, layer by layer.
# The cell checks that the library's one line gives the same numbers.

# %%
n, steps, net, r = 4, 8, model.net, model.net.denoiser.noise_levels
mean, Q, lam = net.covariance.mean, net.covariance.Q, net.covariance.lam  # C = Q diag(lam) Qᵀ
with torch.no_grad():
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (r.high ** (1 / 7) + ramp * (r.low ** (1 / 7) - r.high ** (1 / 7))) ** 7
    sigmas = torch.cat([sigmas, torch.zeros(1)]).float().to(model.device)
    z, before = sigmas[0] * white(n, net.shape, seed=seed).to(model.device), None
    for now, then in zip(sigmas[:-1], sigmas[1:], strict=True):
        size, gaussian = (1 + now**2).sqrt(), mean + ((z - mean) @ Q * lam / (lam + now**2)) @ Q.T
        D = used = gaussian + now / size * net.denoiser.net(z / size, (now.log() / 4).expand(n))
        if then > 0 and before is not None:
            used = D + (now / then).log() / (2 * (before[1] / now).log()) * (D - before[0])
        z, before = then / now * z + (1 - then / now) * used, (D, now)
    theta, w = z * net.unit.std + net.unit.mean, net.field.width
    W1, b1, W2, b2, W3, b3 = theta.split([w, w, w * w, w, w, 1], 1)
    x = coords.to(model.device).expand(n, -1, -1)  # (n, m, 1)
    hidden = torch.sin(net.field.omega * (x * W1[:, None] + b1[:, None]))  # (n, m, w)
    hidden = torch.tanh(torch.bmm(hidden, W2.reshape(n, w, w)) + b2[:, None])
    values = torch.bmm(hidden, W3[..., None]) + b3[:, None]
library = model.draw(None, n, seed=seed, steps=steps)(coords)
apart = (values.cpu() - library).abs().max().item()
assert apart < 1e-3 * library.std()
print(f"largest difference {apart:.1e}, over fields of std {library.std():.2f}; each field is {net.field.size} numbers")

# %% [markdown]
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how many draws, how close. A draw *is* a small network, so the scale slider only asks it
# at closer places. With no observations you see the prior: all four kinds of curve. The sliders move with the arrow keys.

# %%
# few particles that move seldom: rough, and quick enough for a slider
panel = nfd.explore(model.using(num_particles=64, rounds=12), problem, count=keep, seed=seed, device=device, steps=8)
panel

# %% [markdown]
# ## Against the others
#
# Three things can go wrong, so they are measured apart:
#
# - the *floor*: how far a fit is from its function;
# - the *prior*: how far draws without observations are from fresh functions, by their energy distance, which is about zero for
#   the right distribution (in black, one fresh function);
# - the *answers* to observations: their CRPS, as a ratio to the exact posterior's.
#
# The rival is the Gaussian with the mean and covariance of the same weights. *Predict:* where will the Gaussian lose most, in the
# prior or in the answers?

# %%
fresh = problem.draw(500, seed=seed + 1)
real, other = fresh(coords), problem.draw(500, seed=seed + 2)(coords)
kept = model.decode(model.encode(fresh[:100], seed=seed))(coords)
shapes = {"diffusion": model.draw(None, 500, seed=seed), "Gaussian": model.gaussian.draw(None, 500, seed=seed)}
parts = {**{name: f(coords).cpu() for name, f in shapes.items()}, "fresh functions": other}
parts = {name: 1e3 * torch.stack([energy_distance(part, real) for part in v.chunk(4)]) for name, v in parts.items()}
prior = {name: v.mean().item() for name, v in parts.items()}
print(f"floor: a fit is off by {(kept - real[:100]).abs().mean():.3f} on average over 100 fresh functions, of std "
      f"{real.std():.2f}\nprior, energy distance × 1000 ± 2 standard errors: "
      + ", ".join(f"{name} {v.mean():.1f} ± {v.std():.1f}" for name, v in parts.items()))
nothing = Observations(coords[:0], coords[:0])
plots.fans({f"{name}: {prior[name]:.1f}": (truth, nothing, f) for name, f in shapes.items()},
           colour=style.MODEL, curves=8,
           title="Eight draws of each prior.\nEnergy distance × 1000 to fresh functions")

# %%
fewer = {"num_particles": 64, "rounds": 12}  # fewer than usual, and moved less often
rivals = {"model": model.using(**fewer), "gaussian": model.gaussian.using(**fewer),
          "kriging": nfd.baselines.get("kriging")}
table = compare(rivals, problem, counts=(2, 4), tasks=tasks, draws=32, seed=seed)
names = {"model": "model", "baseline": "gaussian"}
curves = {role: table.ratio("crps", name).T.to_dict("list") for role, name in names.items()}
answers = pd.DataFrame({
    name: {f"{metric} / exact": "{:.2f} [{:.2f}, {:.2f}]".format(*table.ratio(metric, name).loc["mean"])
           for metric in ("crps", "spread")} for name in rivals}).T
paired = pd.Series(table.resampled("crps", "gaussian")[1] / table.resampled("crps", "model")[1])  # on the same tasks
low, high = paired.quantile(0.025), paired.quantile(0.975)
display(answers.style.set_caption(
    f"mean of 2 and 4 observations, {tasks} tasks each, with 95 % intervals"))
plots.ratios(curves, title=f"CRPS over exact, {tasks} tasks each (baseline: the Gaussian).\nGaussian over diffusion: "
             f"{paired.mean():.2f}, 95 % interval [{low:.2f}, {high:.2f}]")

# %% [markdown]
# The Gaussian loses most where nothing is seen: its prior has several times the energy distance of the diffusion's. Once values
# are seen, both are far from exact, and **the diffusion is still ahead of the Gaussian**: the whole interval in the title lies
# above 1. That is with few particles, of which the Gaussian may need more. With all particles and over 60 tasks at each number of
# observations the shipped weights scored this when they were made (random places, noise 0.05):

# %%
kept_scores({"weight_diffusion": model})

# %% [markdown]
# **Has it memorised?** Models of weights are known to return their training set. So we look for the nearest training function of
# each draw, and of each fresh function. A model that copies has draws nearer to the training set than fresh functions are.
# *Predict:* which are nearer here?

# %%
learned = model.training_functions(problem)(coords)
found = {name: nearest(f[:400], learned)[0]
         for name, f in (("draws", shapes["diffusion"](coords)), ("fresh functions", real))}
near = {name: distance.median().item() for name, distance in found.items()}
nearer = (found["draws"][:, None] > found["fresh functions"]).float().mean().item()
print(f"median distance to the nearest of {len(learned)} training functions, 400 each: "
      + ", ".join(f"{name} {distance:.3f}" for name, distance in near.items())
      + f"\na fresh function is nearer than a draw in {nearer:.0%} of all pairs (50 %: alike)")

# %% [markdown]
# Fresh functions are the nearer ones, so it has not memorised. But that is no praise. A curve of these four kinds is told by two
# numbers at most, so thousands of training curves lie close together, and a fresh one always has a near neighbour. Draws that are
# further from all of them are not quite of any kind. The energy distance above hardly sees that.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole. *Network silenced:* its Gaussian prior answers alone,
# and the field is replaced by the best linear reading of the weights. *Gaussian draws:* a Gaussian with the mean and covariance
# of our draws in their place. One bar does the same to exact draws. *Predict:* which costs most? `nfdlab ablate weight_diffusion
# families1d` measured it; the table is kept with the weights.

# %%
parts = ablation.worth(ablation.kept("weight_diffusion", "families1d"))
worth, linear = parts["to full"], parts["to exact"]["optimal_interpolation"]
way = (linear - parts["to exact"]["full"]) / (linear - 1)
shape = parts.loc[["Gaussian draws"], ["to full", "to full low", "to full high"]].iloc[0].tolist()
shape_exact = parts.loc[["exact, Gaussian draws"], ["to exact", "to exact low", "to exact high"]].iloc[0].tolist()
print(f"{ablation.TASKS} tasks at each of 2, 4 and 8 observations; 95 % intervals in brackets\n"
      f"the model goes {way:.0%} of the way from the best linear answer to the exact posterior\n"
      "a Gaussian in place of the draws costs ours × {:.2f} [{:.2f}, {:.2f}], ".format(*shape)
      + "exact ones × {:.2f} [{:.2f}, {:.2f}]".format(*shape_exact))
plots.worth("weight_diffusion", "families1d")

# %% [markdown]
# The model goes less than half of the way from the best linear answer to the exact posterior. The network helps: without it, and
# with a linear reading of the weights, the error is 1.2 to 1.7 times as large. But a Gaussian in place of the draws costs nothing
# that these tasks can show, while it costs exact draws nearly a third. So by this score our draws say no more than their mean and
# covariance: that these curves are of four kinds is in the exact draws, and not in ours.
#
# ## Where it breaks
#
# **Permute neurons.** Train twice, live, on the same few hundred functions: once as before, once with the neurons of every fitted
# field permuted, each in an order of its own. No field changes. *Predict:* what will be drawn? (Titles: energy distances to fresh
# functions.)

# %%
tiny = {"num_fields": num_fields, "denoiser_layers": (128, 2)}
twins = {start: nfd.train(WeightDiffusion(**tiny, initialisation=start), problem, budget=live, seed=seed, device=device)
         for start in ("shared", "permuted")}
assert twins["shared"].about["floor"] == twins["permuted"].about["floor"]
drawn = {start: twin.draw(None, 500, seed=seed) for start, twin in twins.items()}
pieces = {start: torch.stack([energy_distance(part, real) for part in f(coords).cpu().chunk(4)])
          for start, f in drawn.items()}
away = {start: v.mean().item() for start, v in pieces.items()}
print("energy distance to fresh functions ± 2 standard errors (over draws, of one training each): "
      + ", ".join(f"{start} {v.mean():.3f} ± {v.std():.3f}" for start, v in pieces.items()))
plots.fans({f"{start}: {away[start]:.3f}": (truth, nothing, f) for start, f in drawn.items()},
           colour=style.MODEL, curves=8,
           title=f"Energy distance when permuted:\n{away['permuted'] / away['shared']:.1f} × that of one start")

# %% [markdown]
# No field changed, but the vectors did: the same neuron now stands at another place in each of them. They have little left in
# common that a diffusion could learn, so its draws are further from the world.
#
# **Few functions.** The same again with 32 functions, and steps enough to learn them by heart. *Predict:* how far will the draws
# be from the nearest of the 32, and how far will fresh functions be?

# %%
few = WeightDiffusion(num_fields=32, field_width=8, denoiser_layers=(128, 2), fit_share=0.1, batch=64, lr=3e-3)
few = nfd.train(few, problem, seed=seed, device=device, budget=Budget(steps=16 if smoke else 1200))
known = few.training_functions(problem)(coords)
copies = few.draw(None, 200, seed=seed, steps=20)(coords)
(copied, which), (fresh_distance, _) = nearest(copies, known), nearest(real[:200], known)
figure, (axes,) = style.picture(1, 4, size=(10.6, 2.6), sharey=True)
for k, ax in enumerate(axes):
    ax.plot(coords[:, 0], known[which[k], :, 0], color=style.TRUTH, lw=1.2, label="nearest of the 32")
    ax.plot(coords[:, 0], copies[k, :, 0], color=style.MODEL, lw=1.6, label="drawn")
    style.dress(ax, title=f"{copied[k]:.2f} apart", x=problem.card.axes[0])
style.legend(axes[-1], loc="upper left", bbox_to_anchor=(1.0, 1.0))
copied_, fresh_ = copied.median().item(), fresh_distance.median().item()
closer = (copied[:, None] < fresh_distance).float().mean().item()
style.headline(figure, f"Median distance to the nearest of 32, 200 each: draws {copied_:.2f}, "
               f"fresh functions {fresh_:.2f}\n(a draw is the nearer one in {closer:.0%} of all pairs)")
figure

# %% [markdown]
# Draws lie nearer to the 32 than fresh functions do: they repeat the 32, a little blurred, and are no new waves. Copies look like
# good draws; a search among the training functions shows what they are.
#
# **In two dimensions** only the first layer changes: a place is now two numbers. Discs of unknown place and size (`discs2d`),
# trained here, in a few steps. *Predict:* twelve readings are given; what does the mean of the drawn networks show, beside the
# exact mean?

# %%
discs = nfd.problems.get("discs2d")
watch = LossWatch("discs: fits, then diffusion")
display(watch)
flat = WeightDiffusion(num_fields=num_fields // 2, denoiser_layers=(128, 2), omega=3.0, queries=64, fit_lr=2e-2)
plane = nfd.train(flat, discs, budget=live, seed=seed, device=device, watch=watch).using(num_particles=64, rounds=12)
squares, some = nfd.cell_centres((16, 16)), discs.draw(200, seed=seed)
between = energy_distance(plane.draw(None, 200, seed=seed)(squares).cpu(), some(squares)).item()
disc = discs.draw(1, seed=seed)
spots = nfd.observe(disc, nfd.patterns.Random(count=12), noise_std=0.05, seed=seed)
guesses, best = plane.draw(spots, 24, seed=seed), discs.oracle().draw(spots, 24, seed=seed)
worse = nfd.score(plane, discs, counts=(12,), tasks=2 * tasks, draws=24, seed=seed, points=squares).ratio().loc["mean"]
plots.row(discs.card, truth=disc, seen=spots, exact=best, model=guesses, names=("exact", "model"),
          title=f"A network of {plane.net.field.size} weights for each of {num_fields // 2} discs; prior's energy "
          f"distance {between:.3f}.\n{2 * tasks} discs: CRPS {worse['crps']:.1f} "
          f"[{worse['low']:.1f}, {worse['high']:.1f}] × that of the exact posterior")

# %%
check = Exercises({
    1: (lambda leaves: leaves["permuted"][3] > leaves["one initialisation"][3] or smoke, "Seven places each."),
    2: (lambda away: away["random"] > away["shared"] or smoke, 'Add the distance of "random".'),
    3: (lambda far: far[1.0] > far[0.3] > far[0.0] or smoke, "The median distance at each level of noise."),
})

# %% [markdown]
# So few fits and steps make a blurred disc at about the right place; the exact posterior is nearer and surer. (This shows that
# the method runs in the plane, not how good it can be there after a long training.)
#
# **When to use it:** when functions come as networks anyway: radiance fields, or shapes, with one network each. **When not:**
# when one field and a small latent for each function will do. Lesson 09 has the same waves: its latents have 16 numbers, and its
# table shows lower errors. **Cost:** every training function has to be fitted first; the minutes of the whole are in the table
# above. And permuting the neurons breaks it.
#
# ## Exercises
#
# **1 · Turn a knob.** Walk from one fit's weights to the other's on a straight line. How far do the fields on the way leave the
# straight line between the two curves, from one initialisation and permuted? `check(1, leaves)` takes seven distances for each
# name.
#
# <details><summary>Solution</summary>
#
# ```python
# ends, leaves = mlp(shared[:2], coords), {}
# for name, (a, b) in {"one initialisation": shared[:2], "permuted": permuted[:2]}.items():
#     leaves[name] = [(mlp(((1 - t) * a + t * b)[None], coords)[0] - (1 - t) * ends[0] - t * ends[1]).square().mean().sqrt().item()
#             for t in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)]
#     print(name, [round(v, 2) for v in leaves[name]])     # zero at the ends, where they are the same two curves
# check(1, leaves)
# ```
#
# </details>
#
# **2 · Change a line.** Begin every fit at an initialisation of its own (`initialisation="random"`). Is that as bad as permuting?
# `check(2, away)` takes the energy distances, with one for "random".
#
# <details><summary>Solution</summary>
#
# ```python
# own = nfd.train(WeightDiffusion(**tiny, initialisation="random"), problem, budget=live, seed=seed, device=device)
# away["random"] = energy_distance(own.draw(None, 500, seed=seed)(coords), real).item()
# print({start: round(v, 3) for start, v in away.items()})
# check(2, away)
# ```
#
# </details>
#
# **3 · Write a piece.** The cheapest rival of all: take a training network and add noise to its weights. Which noise makes draws
# that are as far from the training set as fresh functions are, and how good are they? `check(3, far)` takes the median distance
# to the nearest training function, by noise.
#
# <details><summary>Solution</summary>
#
# ```python
# learned, rng = twins["shared"].training_functions(problem), torch.Generator().manual_seed(seed)
# latents = twins["shared"].encode(learned[:100], seed=seed)
# far = {}
# for level in (0.0, 0.1, 0.3, 1.0):
#     jumbled = twins["shared"].decode(latents + level * torch.randn(latents.shape, generator=rng).to(latents))(coords)
#     far[level] = nearest(jumbled, learned(coords))[0].median().item()
#     print(f"noise {level}: nearest {far[level]:.3f}, energy distance {energy_distance(jumbled, real).item():.4f}")
# check(3, far)
# ```
#
# </details>
#
# **Five questions.** Why must all fits start from one initialisation? What does permuting the neurons of a network change, and
# what does it not? How would you see that draws are copies of the training functions? What does it cost here to put a Gaussian in
# place of the draws, and what does that say? When is a network for each function worth its hundreds of numbers?
#
# ## Further reading
#
# - Erkoç et al. 2023, *HyperDiffusion* ([2303.17015](https://arxiv.org/abs/2303.17015)): an MLP fitted to each shape, all from
#   one initialisation; diffusion over the flat weights.
# - Peebles et al. 2022, *Learning to learn with generative models of neural network checkpoints*
#   ([2209.12892](https://arxiv.org/abs/2209.12892)): one token a layer.
# - Zeng et al. 2025, *Generative modeling of weights: generalization or memorization?*
#   ([2506.07998](https://arxiv.org/abs/2506.07998)): nearest neighbours, and noise as a rival.
# - Ainsworth et al. 2023, *Git Re-Basin* ([2209.04836](https://arxiv.org/abs/2209.04836)): undo the permutation, and networks can
#   be averaged again.
# - Sitzmann et al. 2020, *Implicit neural representations with periodic activation functions*
#   ([2006.09661](https://arxiv.org/abs/2006.09661)): the layer of sines.
# - Del Moral, Doucet & Jasra 2006, *Sequential Monte Carlo samplers*
#   ([10.1111/j.1467-9868.2006.00553.x](https://doi.org/10.1111/j.1467-9868.2006.00553.x)): particles under a likelihood that is
#   raised step by step.
