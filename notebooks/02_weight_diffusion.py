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
# ![two fitted networks and the network half-way between them, from one initialisation and permuted](pictures/02_weight_diffusion.png)
#
# ## Question
#
# **Can you average two networks?**
#
# A neural field *is* its weights: a few hundred numbers that say a whole function. So a set of functions is a set of vectors,
# and a diffusion model for vectors should be a model for functions. Should be: the average of two weight vectors need not be a
# network that does anything at all. When is it? The answer decides whether weights can be data.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 4  # how many observations are seen
tasks: int = 2  # how many tasks each number in the table is averaged over
num_fields: int = 512  # how many small fields the live experiments fit
toy_steps: int = 400  # training steps of the smallest version
guess: float = 0.5  # your prediction, see the first picture

# %%
from math import factorial

import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.approaches.weight_diffusion import WeightDiffusion
from nfdlab.core.rng import child, stream
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
    tasks, num_fields, toy_steps = 1, 64, 30
fits, live = (40, Budget(steps=16)) if smoke else (300, Budget(steps=360))
problem, coords = nfd.problems.get("families1d"), nfd.cell_centres((128,))
truth = problem.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %% [markdown]
# ## Picture
#
# The world is `families1d`: a sine, a square wave, a triangle wave or a bump. Two of its curves get a small field each
# (1 → 16 → 16 → 1). Then the two weight vectors are averaged, number by number, and the average is asked for its curve: once
# with fits begun at the *same* initialisation, once with fits whose hidden neurons are permuted afterwards, which changes no
# value of a curve. *Predict, and write it down* as `guess` in the cell of parameters: how far from the average of the two curves will the
# curve of the permuted average be, as a share of the gap between the two?

# %%
mlp, pair = BatchedMLP(d=1, width=16, omega=6.0), problem.draw(2, seed=seed + 1)
shared = fit(mlp, mlp.initialise(1, seed=seed), pair, steps=fits, seed=seed)
permuted = mlp.permute(shared, seed=seed)
figure, (axes,) = style.picture(1, 2, size=(9.6, 3.1), sharey=True)
off, x = [], coords[:, 0]
for ax, (words, theta) in zip(
    axes, {"one initialisation": shared, "the same fields, permuted": permuted}.items(), strict=True
):
    ends, middle = mlp(theta, coords)[..., 0], mlp(theta.mean(0, keepdim=True), coords)[0, :, 0]
    off.append(
        (
            (middle - ends.mean(0)).square().mean().sqrt()
            / (ends[0] - ends[1]).square().mean().sqrt()
        ).item()
    )
    ax.plot(x, ends.T, color=style.TRUTH, lw=1.2, label=["two fitted networks", None])
    ax.plot(x, ends.mean(0), color=style.BASELINE, lw=1.6, ls="--", label="average of their curves")
    ax.plot(x, middle, color=style.MODEL, lw=2, label="curve of their average")
    style.dress(ax, title=f"{words}: off by {off[-1]:.0%}", x=problem.card.axes[0])
style.legend(axes[1], loc="upper left", bbox_to_anchor=(1.0, 1.0))
assert torch.allclose(mlp(shared, coords), mlp(permuted, coords), atol=1e-4)
same = (factorial(16) * 2**16) ** 2
print(f"networks with the curve of one: at least {same:.0e}")
figure

# %% [markdown]
# You wrote down a share; the titles have the two that were measured. Both panels show the same two networks, as far as anyone who asks them can tell. On the left their average is near the
# average of the curves; on the right it is a third thing. (In the titles: the rms gap between orange and dashed grey, as a
# share of the gap between the two curves.) Neurons of a layer can be written in any order, $16!$ for each of the two hidden
# layers; and since sine and tanh are odd, the signs of all weights into and out of a neuron may change together, $2^{16}$ ways
# a layer. From one initialisation, neuron 7 plays the same part in every fit.

# %%
watch = LossWatch("many fits at once, then diffusion")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("weight_diffusion", problem, budget=budget, seed=seed, device=device,
                          watch=watch)
exact, draws = problem.oracle().draw(seen, 64, seed=seed), model.draw(seen, 64, seed=seed)
std = [f(coords).var(0).mean().sqrt().item() for f in (exact, draws)]
plots.bands(
    problem.card,
    truth=truth,
    seen=seen,
    exact=exact,
    model=draws,
    title=f"{keep} observations: the std of the drawn networks is {std[1] / std[0]:.2f} of the exact one",
)

# %% [markdown]
# ## Idea in symbols
#
# 1. **Fit, all at once.** Each training function $f_i$ gets weights $\theta_i$, from one shared $\theta_0$ and held near it:
#
# $$\theta_i = \arg\min_\theta \; \frac{1}{p} \sum_x \rho\big(f_\theta(x) - f_i(x)\big) + \lambda \|\theta - \theta_0\|^2 ,$$
#
# with $\rho$ a square near zero and an absolute value far away, for the jumps. Thousands of fields are one batched product.
#
# 2. **Diffuse.** Each number is standardised over the training set. A token is a neuron, the weights into it and its bias; a
# transformer over these tokens, told which neuron each is, learns $N$ in $D(z, \sigma) = \frac{z}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 +
# \sigma^2}} N(z, \sigma)$, the mean of the clean weights given the noisy ones.
#
# 3. **Observe.** The sampler is a map from noise to weights, $\theta = G(u)$; observations weight the noise by the likelihood of
# the rendered field, $\exp(-\sum_j (y_j - f_{G(u)}(x_j))^2 / 2 s^2)$. Sequential Monte Carlo raises it step by step: particles are
# resampled by their weights, and moved.
#
# The rival that must stand beside every diffusion of weights is a Gaussian with the same mean and covariance.

# %% [markdown]
# ## Smallest version
#
# From nothing: a few hundred curves, a network of twelve neurons a layer fitted to each, all at once and from one start; then a denoiser of
# the weight vectors. *Predict:* will the diffusion's draws be nearer to fresh curves than those of a Gaussian over the same vectors?

# %%
w, rng = 12, stream(seed, "toy")
cut = [w, w, w * w, w, w, 1]


def render(theta, x):  # weights (n, size), places (p, 1) -> curves (n, p)
    W1, b1, W2, b2, W3, b3 = theta.split(cut, 1)
    h = torch.sin(6 * (x[:, 0, None] * W1[:, None] + b1[:, None]))
    h = torch.tanh(torch.bmm(h, W2.reshape(-1, w, w)) + b2[:, None])
    return torch.bmm(h, W3[..., None])[..., 0] + b3


curves = problem.draw(num_fields, seed=child(seed, "toy"))
bounds = torch.cat([torch.full((m,), v) for m, v in zip(cut, (1, 1, (6 / w) ** 0.5, 0, (6 / w) ** 0.5, 0), strict=True)])
start = bounds * (2 * torch.rand(1, len(bounds), generator=rng) - 1)
theta = start.repeat(num_fields, 1).requires_grad_()
adam = torch.optim.Adam([theta], 1e-2)
for _ in range(toy_steps):  # stage 1: all fits at once
    x = 2 * torch.rand(32, 1, generator=rng) - 1
    loss = ((render(theta, x) - curves(x)[..., 0]).square() + 0.01).sqrt().mean(1).sum()
    loss = loss + 1e-4 * (theta - start).square().sum()
    adam.zero_grad()
    loss.backward()
    adam.step()
print(f"fits are off by {(render(theta, coords) - curves(coords)[..., 0]).abs().mean():.3f} on average")

# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(len(bounds) + 1, 256), torch.nn.SiLU(), torch.nn.Linear(256, 256),
                              torch.nn.SiLU(), torch.nn.Linear(256, len(bounds)))
theta = theta.detach()
centre, unit = theta.mean(0), theta.std(0).clamp_min(1e-3)


def denoise(z, s):  # D(z, s) for z (b, size), s (b, 1)
    total = (1 + s**2).sqrt()
    return z / total**2 + s / total * net(torch.cat([z / total, s.log() / 4], 1))


adam = torch.optim.Adam(net.parameters(), 1e-3)
for _ in range(3 * toy_steps):  # stage 2: the denoiser
    clean = ((theta - centre) / unit)[torch.randint(num_fields, (128,), generator=rng)]
    s = torch.exp(1.4 * torch.randn(128, 1, generator=rng))
    noisy = clean + s * torch.randn(clean.shape, generator=rng)
    loss = ((1 + s**2) / s**2 * (denoise(noisy, s) - clean).square()).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()

# %%
levels = torch.cat([torch.linspace(20 ** (1 / 7), 0.02 ** (1 / 7), 24) ** 7, torch.zeros(1)])
with torch.no_grad():
    z = 20 * white(256, centre.shape, seed=seed)
    for s, t in zip(levels[:-1], levels[1:], strict=True):  # Euler: from level s to level t
        z = torch.lerp(denoise(z, s.expand(256, 1)), z, float(t / s))
    bell = torch.distributions.MultivariateNormal(centre, theta.T.cov() + 1e-5 * torch.eye(len(centre)))
    standard = torch.linalg.cholesky(bell.covariance_matrix)
    drawn = {"toy diffusion": centre + unit * z,
             "Gaussian": centre + white(256, centre.shape, seed=seed) @ standard.T}
    drawn = {name: render(one, coords)[..., None] for name, one in drawn.items()}
drawn["fresh curves"] = problem.draw(256, seed=child(seed, "others"))(coords)
toy = {name: energy_distance(one, problem.draw(256, seed=seed)(coords)).item() for name, one in drawn.items()}
print("energy distance to curves:", {name: round(value, 4) for name, value in toy.items()})

# %% [markdown]
# The diffusion is nearer, and not by much: with so few networks it learns little more than their covariance. That is why the Gaussian has to be
# shown beside it.
#
# > **How this differs from the papers.** HyperDiffusion (Erkoç et al. 2023) fits a network of 37,000 weights to each shape and makes one token
# > of each weight matrix; G.pt (Peebles et al. 2022) diffuses checkpoints and permutes neurons as augmentation. Here a network has a few
# > hundred weights and a token is a neuron. Neither paper takes observations; here they enter through the rendered field, by sequential Monte
# > Carlo. The Gaussian rival and the search for copies follow Zeng et al. 2025.
#
# And the library's own draw in plain PyTorch: noise levels, solver (DPM-Solver++, second order), the transformer's entrance and exit; then
# the field, layer by layer.

# %%
n, steps, parts, w = 4, 8, model.net, model.net.field.width
cut, T = [w, w, w * w, w, w, 1], model.net.denoiser.net
with torch.no_grad():
    sigmas, before = model.sigmas(steps), None
    z = sigmas[0] * white(n, parts.shape, seed=seed).to(model.device)
    for s, t in zip(sigmas[:-1], sigmas[1:], strict=True):
        total = (1 + s**2).sqrt()
        W1, b1, W2, b2, W3, b3 = (z / total).split(cut, 1)
        layers = [(W1[:, None], b1[:, None]), (W2.reshape(n, w, w), b2[:, None]), (W3[..., None], b3[:, None])]
        h = [read(torch.cat(layer, 1).mT) for read, layer in zip(T.inputs, layers, strict=True)]
        h, given = torch.cat(h, 1) + T.neuron, T.level((s.log() / 4).expand(1))
        for block in T.blocks:
            h = block(h, given)
        out = [write(one).mT for write, one in zip(T.outputs, T.norm(h).split([w, w, 1], 1), strict=True)]
        F = torch.cat([rows.flatten(1) for one in out for rows in (one[:, :-1], one[:, -1:])], 1)
        clean = best = z / total**2 + s / total * F
        if t == 0:
            z = clean
            break
        step = (s / t).log()
        if before is not None:
            best = clean + (clean - before[0]) * step / (2 * before[1])
        z, before = t / s * z + (1 - t / s) * best, (clean, step)
    W1, b1, W2, b2, W3, b3 = (z * parts.unit.std + parts.unit.mean).split(cut, 1)
    hidden = torch.sin(parts.field.omega * (coords.to(z) * W1[:, None] + b1[:, None]))  # (n, p, w)
    values = torch.bmm(torch.tanh(torch.bmm(hidden, W2.reshape(n, w, w)) + b2[:, None]), W3[..., None]) + b3[:, None]

# %% [markdown]
# ## The library's version
#
# One line, and the same numbers.

# %%
library = model.draw(None, n, seed=seed, steps=steps)(coords)
apart = (values.cpu() - library).abs().max().item()
assert apart < 1e-3 * library.std()
print(
    f"largest difference {apart:.1e}, over fields of std {library.std():.2f}; each field is {parts.field.size} numbers"
)

# %% [markdown]
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how many draws, how close. A draw *is* a small network, so the scale slider only asks it
# elsewhere. With nothing kept you see the prior: all four kinds of curve. The sliders move with the arrow keys.

# %%
# few particles that move seldom: rough, and quick enough for a slider
panel = nfd.explore(
    model.using(num_particles=64, rounds=12), problem, count=keep, seed=seed, device=device, steps=8
)
panel

# %% [markdown]
# ## Against the others
#
# Three things can go wrong, so they are measured apart: what a small field loses of its function (*floor*), what the prior's
# draws look like (*energy distance* to fresh functions: nought for the right distribution; in black one fresh function), and the
# answers to observations (*CRPS*, as a ratio to the exact posterior's). *Predict:* where will the Gaussian lose most?

# %%
fresh = problem.draw(500, seed=seed + 1)
real, other = fresh(coords), problem.draw(500, seed=seed + 2)(coords)
kept = model.decode(model.encode(fresh[:100], seed=seed))(coords)
shapes = {
    "diffusion": model.draw(None, 500, seed=seed),
    "Gaussian": model.gaussian.draw(None, 500, seed=seed),
}
prior = {name: energy_distance(f(coords), real).item() for name, f in shapes.items()}
noise = energy_distance(other, real).item()
print(
    f"floor: a fit is off by {(kept - real[:100]).abs().mean():.3f} on average, over functions of std {real.std():.2f}"
)
print(
    f"prior: energy distance {prior['diffusion']:.4f}, of the Gaussian {prior['Gaussian']:.4f}; "
    f"fresh functions {noise:.4f}"
)
plots.fans(
    {
        f"{name}: {prior[name]:.4f}": (
            problem.draw(1, seed=seed),
            Observations(coords[:0], coords[:0]),
            f,
        )
        for name, f in shapes.items()
    },
    colour=style.MODEL,
    curves=8,
    title="Eight draws of each prior",
)

# %%
fewer = {"num_particles": 128, "rounds": 24}  # half the usual number, moved half as often
rivals = {
    "model": model.using(**fewer),
    "gaussian": model.gaussian.using(**fewer),
    "kriging": nfd.baselines.get("kriging"),
}
table = compare(rivals, problem, counts=(2, 8), tasks=tasks, seed=seed)
display(table)
curves = {
    role: table.ratio("crps", name).T.to_dict("list")
    for role, name in (("model", "model"), ("baseline", "gaussian"))
}
mine, theirs = (table.ratio("crps", name).loc["mean"] for name in ("model", "gaussian"))
plots.ratios(
    curves,
    title=f"CRPS over exact, {tasks} tasks each: diffusion {mine['crps']:.1f} "
    f"[{mine['low']:.1f}, {mine['high']:.1f}],\nGaussian {theirs['crps']:.1f} "
    f"[{theirs['low']:.1f}, {theirs['high']:.1f}]",
)

# %% [markdown]
# So few tasks, with half the particles, can only say that both are far from exact. With all particles and over many tasks the
# shipped weights scored this when they were made (random places, noise 0.05):

# %%
kept_scores({"weight_diffusion": model})

# %% [markdown]
# **Has it memorised?** Models of weights are known to return their training set. So look for the nearest training function of
# each draw. A model that copies has draws nearer to the training set than fresh functions are. *Predict:* which are nearer here?

# %%
learned = model.training_functions(problem)(coords)
near = {name: nearest(f[:200], learned)[0].median().item()
        for name, f in (("draws", shapes["diffusion"](coords)), ("fresh functions", real))}
print(f"median distance to the nearest of {len(learned)} training functions: "
      + ", ".join(f"{name} {distance:.3f}" for name, distance in near.items()))

# %% [markdown]
# Fresh functions are the nearer ones, so it has not memorised. But a curve of these four kinds has two numbers at most, and
# thousands of training curves leave little room between them: the distance of the draws says that many of them are not quite
# of any kind.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the network silenced, so that its Gaussian prior answers
# alone; and its draws replaced by a Gaussian of their mean and covariance, which the exact posterior feels too. *Predict:*
# which costs most? `nfdlab ablate weight_diffusion families1d` measured it; the table is kept with the weights.

# %%
worth = ablation.worth(ablation.kept("weight_diffusion", "families1d"))["to full"]
plots.worth("weight_diffusion", "families1d")

# %% [markdown]
# Less than half of the way from the best linear answer to the exact posterior. The network takes something off: without it, and with a
# linear reading of the weights, the error is larger by 1.2 to 1.7. But a Gaussian in place of the draws costs nothing, where it costs the
# exact posterior a third: these draws say no more than their mean and covariance.
#
# ## Where it breaks
#
# **Permute neurons.** Train twice, live, on the same few hundred functions: once as before, once with the neurons of every fitted
# field permuted, each in an order of its own. No field changes. *Predict:* what will be drawn? (Titles: energy distances to
# fresh functions.)

# %%
tiny = {"num_fields": num_fields, "width": 32, "depth": 2}
twins = {
    start: nfd.train(
        WeightDiffusion(**tiny, initialisation=start),
        problem,
        budget=live,
        seed=seed,
        device=device,
    )
    for start in ("shared", "permuted")
}
assert abs(twins["shared"].about["floor"] - twins["permuted"].about["floor"]) < 1e-4  # the same fields
drawn = {start: twin.draw(None, 500, seed=seed) for start, twin in twins.items()}
away = {start: energy_distance(f(coords), real).item() for start, f in drawn.items()}
plots.fans(
    {
        f"{start}: {away[start]:.3f}": (
            problem.draw(1, seed=seed),
            Observations(coords[:0], coords[:0]),
            f,
        )
        for start, f in drawn.items()
    },
    colour=style.MODEL,
    curves=8,
    title=f"Energy distance when permuted: {away['permuted'] / away['shared']:.1f} × that of one start",
)

# %% [markdown]
# **Few functions.** The same again with 32 functions, and time enough to learn them. *Predict:* how far will the draws be from the
# nearest of the 32?

# %%
few = WeightDiffusion(
    num_fields=32, field_width=8, width=48, depth=2, fit_share=0.1, batch=32, lr=3e-3
)
few = nfd.train(few, problem, seed=seed, device=device, budget=Budget(steps=16 if smoke else 1200))
known = few.training_functions(problem)(coords)
copies = few.draw(None, 200, seed=seed, steps=20)(coords)
(copied, which), (fresh_distance, _) = nearest(copies, known), nearest(real[:200], known)
figure, (axes,) = style.picture(1, 4, size=(10.6, 2.6), sharey=True)
for k, ax in enumerate(axes):
    ax.plot(
        coords[:, 0], known[which[k], :, 0], color=style.TRUTH, lw=1.2, label="nearest of the 32"
    )
    ax.plot(coords[:, 0], copies[k, :, 0], color=style.MODEL, lw=1.6, label="drawn")
    style.dress(ax, title=f"{copied[k]:.2f} apart", x=problem.card.axes[0])
style.legend(axes[-1], loc="upper left", bbox_to_anchor=(1.0, 1.0))
copied_, fresh_ = copied.median().item(), fresh_distance.median().item()
style.headline(
    figure,
    f"Median distance to the nearest of 32: draws {copied_:.2f}, fresh functions {fresh_:.2f}",
)
figure

# %% [markdown]
# Draws lie nearer to the 32 than fresh functions do: they are the 32 over again, blurred, and not new waves. Copies pass every
# test of looks; only a search among the training functions gives them away.
#
# **In two dimensions** nothing changes but the first layer. Discs of unknown place and size (`discs2d`), trained here and now:

# %%
discs = nfd.problems.get("discs2d")
watch = LossWatch("discs: fits, then diffusion")
display(watch)
flat = WeightDiffusion(num_fields=num_fields, width=32, depth=2, omega=3.0, queries=64, fit_lr=2e-2)
plane = nfd.train(flat, discs, budget=live, seed=seed, device=device, watch=watch)
prior = energy_distance(
    plane.draw(None, 200, seed=seed)(nfd.cell_centres((16, 16))),
    discs.draw(200, seed=seed)(nfd.cell_centres((16, 16))),
).item()
disc = discs.draw(1, seed=seed)
spots = nfd.observe(disc, nfd.patterns.Random(count=12), noise_std=0.05, seed=seed)
guesses, best = plane.draw(spots, 24, seed=seed), discs.oracle().draw(spots, 24, seed=seed)
plots.row(
    discs.card,
    truth=disc,
    seen=spots,
    exact=best,
    model=guesses,
    names=("exact", "model"),
    title=f"A network of {plane.net.field.size} weights for each of {num_fields} discs; "
    f"prior's energy distance {prior:.3f}",
)
check = Exercises({
    1: (lambda bend: bend["permuted"] > 1.5 * bend["one initialisation"] or smoke, "Compare the largest of each row."),
    2: (lambda away: away["random"] > away["shared"] or smoke, "What plays the part of neuron 7 in another start?"),
    3: (lambda near: near[0.0] < near[1.0], "No noise gives the training functions themselves."),
})

# %% [markdown]
# **When to use it:** when functions come as networks anyway (radiance fields, implicit shapes, one network each), of several
# kinds, and a thing that can be asked anywhere is wanted. **When not:** when one field with a small latent a function will do
# (lesson 09): there the latent has as many numbers as the function needs, not as many as a network has. **Cost:** every training
# function has to be fitted first; the minutes of the whole are in the table above. And permuting the neurons breaks it.
#
# ## Exercises
#
# Each solution ends in `check(number, answer)`, which says whether the answer holds.
#
# **1 · Turn a knob.** Walk from one fit to the other, θ = (1 − t)·θ₁ + t·θ₂. How far does the walk leave the straight line
# between the two curves, from one initialisation and permuted?
#
# <details><summary>Solution</summary>
#
# ```python
# ends, bend = mlp(shared, coords), {}
# for name, (a, b) in {"one initialisation": shared, "permuted": permuted}.items():
#     walk = [(mlp(((1 - t) * a + t * b)[None], coords)[0] - (1 - t) * ends[0] - t * ends[1]).square().mean().sqrt().item()
#             for t in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)]
#     print(name, [round(v, 2) for v in walk])             # nought at the ends, where they are the same two curves
#     bend[name] = max(walk)
# assert check(1, bend)
# ```
#
# </details>
#
# **2 · Change a line.** Begin every fit at an initialisation of its own (`initialisation="random"`). Is that as bad as permuting?
#
# <details><summary>Solution</summary>
#
# ```python
# own = nfd.train(WeightDiffusion(**tiny, initialisation="random"), problem, budget=live, seed=seed, device=device)
# away["random"] = energy_distance(own.draw(None, 500, seed=seed)(coords), real).item()
# print({start: round(v, 3) for start, v in away.items()})
# assert check(2, away)
# ```
#
# </details>
#
# **3 · Write a piece.** The cheapest rival of all: take a training network and add noise to its weights. Which noise makes
# draws that are as far from the training set as fresh functions are, and how good are they?
#
# <details><summary>Solution</summary>
#
# ```python
# learned, rng = twins["shared"].training_functions(problem), torch.Generator().manual_seed(seed)
# latents, near = twins["shared"].encode(learned[:100], seed=seed), {}
# for level in (0.0, 0.1, 0.3, 1.0):
#     jumbled = twins["shared"].decode(latents + level * torch.randn(latents.shape, generator=rng).to(latents))(coords)
#     near[level] = nearest(jumbled, learned(coords))[0].median().item()
#     print(f"noise {level}: nearest {near[level]:.3f}, energy distance {energy_distance(jumbled, real).item():.4f}")
# assert check(3, near)
# ```
#
# </details>
#
# **Five questions.** In how many ways can one network be written? Why does one start make weights comparable? What does a Gaussian over
# the weights know, and what not? How would you find out that a model copies? When are weights the right data, and when is a latent?
#
# ## Further reading
#
# - Erkoç et al. 2023, *HyperDiffusion*: an MLP fitted to each shape, all from one initialisation; diffusion over the flat weights.
# - Peebles et al. 2022, *Learning to learn with generative models of neural network checkpoints*: one token a layer.
# - Zeng et al. 2025, *Generative modeling of weights: generalization or memorization?*: nearest neighbours, and noise as a rival.
# - Ainsworth et al. 2023, *Git Re-Basin*: undo the permutation, and networks can be averaged again.
# - Sitzmann et al. 2020, *Implicit neural representations with periodic activation functions*: the layer of sines.
# - Del Moral, Doucet & Jasra 2006, *Sequential Monte Carlo samplers*: particles under a likelihood that is raised step by step.
