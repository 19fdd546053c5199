# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · The field predicts the score: diffusion in function space
#
# ![white noise loses its meaning as one looks closer, smooth noise does not](pictures/03_score_field.png)
#
# ## Question
#
# **Which noise is a function?**
#
# Diffusion adds noise and learns to take it away. Pictures have pixels, and noise on pixels is an array. A *field* has no
# pixels: it can be asked at 64 places or at four thousand, and so must its noise. This lesson adds noise to functions, looks
# at the score, and then asks what a denoiser that knows nothing of a task can still do for it.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute. With
# `budget = "reference"` it opens the weights that ship with the package; `"lesson"` trains some here, in two minutes.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 8  # how many observations are seen
tasks: int = 6  # how many tasks each number in the table is averaged over
live: int = 240  # steps of the training on sawtooths; the network alone gets a fifth of them
guided: int = 32  # draws of each rung of the ladder

# %%
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab import store
from nfdlab.approaches.score_field import ScoreField
from nfdlab.core.types import ObservationBatch
from nfdlab.diffusion import guidance, samplers, schedule
from nfdlab.diffusion.noise import white
from nfdlab.evaluate.calibration import interval
from nfdlab.evaluate.regret import regret
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    guided, live, tasks = 8, 40, 2
problem, coords = nfd.problems.get("gp1d"), nfd.cell_centres((256,))
truth, oracle = problem.draw(1, seed=seed), problem.oracle()
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)

# %%
watch = LossWatch("denoising functions")
if budget != "reference":
    display(watch)
model = nfd.load_or_train(
    "score_field", problem, budget=budget, seed=seed, device=device, watch=watch
)
lattice = model.lattice


# %% [markdown]
# ## Picture
#
# *Predict:* noise of size 1 is added to a function, and the **exact** denoiser takes it away. We ask at 16, 64, 256 and 1024
# places. White noise is drawn afresh at each place; smooth noise is a function, with half the data's length scale. Which error stays
# the same?

# %%
def left(p: int, noise: torch.Tensor | None = None) -> float:
    """Mean variance left at p places, sigma = 1: K − K(K + C)⁻¹K, C the noise's covariance."""
    K = oracle.at(None, nfd.cell_centres((p,)).double()).cov
    C = torch.eye(p).double() if noise is None else noise
    return (K - K @ torch.linalg.solve(K + C + 1e-6 * torch.eye(p), K)).diagonal().mean().item()


places = [16, 64, 256, 1024]
steps = [
    nfd.cell_centres((p,)).double() - nfd.cell_centres((p,)).double().T for p in places
]  # x − x', of all pairs
error = {
    "white noise": [left(p) for p in places],
    "smooth noise": [
        left(p, torch.exp(-0.5 * (h / 0.1) ** 2)) for p, h in zip(places, steps, strict=True)
    ],
}
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
for (name, values), colour in zip(error.items(), (style.BASELINE, style.MODEL), strict=True):
    ax.plot(places, values, "o-", color=colour, label=name)
ax.set_xscale("log"), ax.set_ylim(0), style.legend(ax)
fall = [values[-1] / values[0] for values in error.values()]
style.dress(
    ax,
    x="places asked",
    y="variance left",
    title=f"×64 places: white noise keeps {fall[0]:.0%} of the error, smooth {fall[1]:.0%}",
)
figure

# %% [markdown]
# White noise averages out: the more places, the more they tell of one another, and `sigma = 1` means something else at every
# resolution. Smooth noise is one function, and looking closer reveals nothing. The cheapest noise that does not change as one looks
# closer is white on a fixed **lattice**, here of 64 places, and never anywhere else: a network sees the lattice only, and says what the
# clean function is there or at any other place.
#
# **The score as arrows.** Observations are a noisy function; each arrow is $\sigma^2$ times the score, and it points at what the
# function probably was. *Predict:* does a point that sits on the curve by luck have no arrow?

# %%
sigma = 0.6
x = truth(lattice) + sigma * white(1, (len(lattice), 1), seed=seed)
law = oracle.at(None, lattice.double())
scores = {
    "exact": (law.denoiser()(x[..., 0].double(), sigma) - x[..., 0]) / sigma**2,
    "model": model.score(x, sigma).cpu()[..., 0],
}
apart = (scores["model"] - scores["exact"]).norm() / scores["exact"].norm()
figure, (panes,) = style.picture(1, 2, size=(10.4, 3.4), sharey=True)
for ax, (name, score) in zip(panes, scores.items(), strict=True):
    ax.plot(coords, truth(coords)[0], color=style.TRUTH, lw=1, label="truth")
    ax.quiver(
        lattice[:, 0],
        x[0, :, 0],
        0 * score[0],
        sigma**2 * score[0],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.003,
        color=style.EXACT if name == "exact" else style.MODEL,
    )
    ax.plot(lattice[:, 0], x[0, :, 0], ".", color=style.BASELINE, ms=4, label="with noise")
    style.dress(
        ax,
        x=problem.card.axes[0],
        title=f"{name}" if name == "exact" else f"model: {apart:.1%} of its length away",
    )
style.dress(panes[0], y=f"value ({problem.card.units})"), style.legend(panes[1])
figure

# %%
exact, draws = oracle.draw(seen, 128, seed=seed), model.draw(seen, 128, seed=seed)
spread = [f(coords).var(0).mean().sqrt().item() for f in (exact, draws)]
plots.bands(
    problem.card,
    truth=truth,
    seen=seen,
    exact=exact,
    model=draws,
    title=f"{keep} observations: the model's spread is {spread[1] / spread[0]:.2f} of the exact one",
)

# %% [markdown]
# ## Idea in symbols
#
# A function $f$ gets noise at the lattice, $x = f(X) + \sigma \varepsilon$. One network answers for any place $q$, given the
# noisy lattice and the observations $S$:
#
# $$D(q \mid x, \sigma, S) = m(q) + s(q)\, F(q), \qquad \nabla_x \log p_\sigma(x) = \big(D(X) - x\big) / \sigma^2 .$$
#
# - $m$ and $s$ are the **best linear answer** and its standard deviation: Bayes' rule with the mean and covariance measured from
#   draws of the problem, nothing else. For a Gaussian field that is already the exact denoiser.
# - $F$ is a **set transformer**: lattice points and observations attend to each other, each head with its own law of distance
#   $-\gamma_h |x - x'|^2$; a query attends to all of them. It starts at zero and learns the residual, that is, whatever is not Gaussian.
#
# A sampler walks the lattice down the noise levels, $\mathrm{d}x/\mathrm{d}\sigma = (x - D)/\sigma$; then any query asks the last
# lattice once. So the cost of sampling does not know how close one looks.

# %% [markdown]
# ## Smallest version
#
# The linear answer written out, the network's residual, the solver (DPM-Solver++, second order), and the query at the end.

# %%
net, n, steps, batch = model.net, 4, 20, ObservationBatch.of([seen]).to(model.device)
KL, X, r = net.denoiser.prior.expansion, net.lattice, net.denoiser.noise_levels
noise = white(n, net.shape, seed=seed).to(model.device)
with torch.no_grad(), torch.device(model.device):
    def D(q, x, s):
        P, h = torch.eye(KL.rank), torch.zeros(len(x), KL.rank)                 # precision, information of the weights
        for at, values, std in ((batch.coords[0], batch.values, seen.noise_std), (X, x, s)):
            rows, w = KL.rows(at), 1 / (std**2 + KL.residual_variance(at)[0])   # f = mean + rows a + rest, a ~ N(0, I)
            P, h = P + rows.T @ (w * rows), h + ((values - KL.mean(at)) * w)[..., 0] @ rows
        rows, a = KL.rows(q), torch.linalg.solve(P, h.T).T
        mean = KL.mean(q) + (a @ rows.T)[..., None]
        variance = (rows * torch.linalg.solve(P, rows.T).T).sum(1, keepdim=True) + KL.residual_variance(q)[0]
        encoded, std = net.prepare(x, s, net.condition(batch)), variance.sqrt()[None]
        return mean + std * net.denoiser.residual(x, s, mean, std, net.at(encoded, q))
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (r.high ** (1 / 7) + ramp * (r.low ** (1 / 7) - r.high ** (1 / 7))) ** 7
    levels = torch.cat([levels, torch.zeros(1)]).float()
    u, before = D(X, torch.zeros(1, *net.shape), levels[0]) + levels[0] * noise, None
    for s, t in zip(levels[:-1], levels[1:], strict=True):
        clean = guess = D(X, u, s)
        if t == 0:
            u = clean
            break
        step = (s / t).log()
        if before is not None:
            guess = clean + (clean - before[0]) * step / (2 * before[1])
        u, before = t / s * u + (1 - t / s) * guess, (clean, step)
    values = D(coords.to(model.device), u, r.low).cpu()

# %% [markdown]
# ## The library's version
#
# One line, and the same numbers. And the same draws may be asked anywhere, as often as one likes: more places, no new draw.

# %%
library = model.draw(seen, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values, library, atol=2e-3)
one, many = nfd.cell_centres((64,)), nfd.cell_centres((4096,))
zoom = (draws(many).std(0).mean() / draws(one).std(0).mean()).item()
assert torch.allclose(draws(many)[:, 77:78], draws(many[77:78]), atol=1e-5) and abs(zoom - 1) < 0.05
print(
    f"largest difference {(values - library).abs().max():.1e}, over a field of spread {library.std():.2f}"
)
print(f"the same draws at 64 and 4096 places: spread ratio {zoom:.3f}")

# %% [markdown]
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how close. The query-scale slider only asks: the draw stays.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# First where on the way the denoiser is wrong. **Regret** is the excess of its squared error over the exact denoiser's:
# 0 is exact. Beside the shipped one: the linear answer with a silent network, and the *same network alone*, with nothing to
# start from, trained here for a few steps. *Predict:* where is a network alone worst, at much noise or at little?

# %%
small = {"width": 32, "depth": 2, "batch": 16, "queries": 16, "calibration_functions": 1024}
without = nfd.train(ScoreField(**small, prior="white", lr=2e-3), problem, seed=seed, device=device,
                    budget=nfd.Budget(steps=live // 5))
silent = store.restored(ScoreField, model.about, model.tensors(), device)
for tensor in silent.net.denoiser.net.output[-1].parameters():
    torch.nn.init.zeros_(tensor)
levels, clean = torch.logspace(-1.7, 1.4, 9).tolist(), problem.draw(64, seed=seed + 1)(lattice)[..., 0].double()
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
worst = {}
for (name, who), colour in zip({"shipped": model, "linear answer": silent, "network alone": without}.items(),
                               (style.MODEL, style.BASELINE, style.SECOND), strict=True):
    prior = who.denoiser()
    found = regret(lambda x, s, prior=prior, who=who: prior(x.float().to(who.device), s).cpu().double(),
                   law.denoiser(), clean, levels, seed=0)
    ax.loglog(found["sigma"], found["regret"], "o-", color=colour, label=name)
    worst[name] = found["regret"].max()
style.dress(ax, x="noise level σ", y="regret",
            title=f"Worst regret: shipped {worst['shipped']:.1%}, linear {worst['linear answer']:.1%}, "
            f"network alone\nafter {live // 5} steps {worst['network alone']:.0%}")
style.legend(ax)
figure

# %% [markdown]
# Said plainly: **on a Gaussian field the linear part is everything**, and all that training can do is not to spoil it. The
# shipped weights, with random places and noise of 0.05, are therefore near 1.00 in the first table, measured when they were made. The
# second is measured now, on few tasks: kriging has to fit its kernel to the observations, and what that
# costs varies from task to task, as its wide interval says.

# %%
display(kept_scores({"score_field": model}))
compare({"model": model, "kriging": nfd.baselines.get("kriging")}, problem, counts=(10,),
        tasks=tasks, seed=seed, draws=32)

# %% [markdown]
# What is the network *for*, then? The sawtooth has two parameters and jumps, and the best *linear* answer knows neither. Same
# start, a few hundred steps. *Predict:* at which noise level is there most to learn?

# %%
saw = nfd.problems.get("sawtooth1d")
learned = nfd.train(ScoreField(**small, lattice=32, lr=3e-3), saw, budget=nfd.Budget(steps=live),
                    seed=seed, device=device)
plain = store.restored(ScoreField, learned.about, learned.tensors(), device)
for tensor in plain.net.denoiser.net.output[-1].parameters():
    torch.nn.init.zeros_(tensor)
levels, teeth = torch.logspace(-1.3, 0.7, 7).tolist(), saw.draw(128, seed=seed + 1)(learned.lattice)
noise, best = white(128, (32, 1), seed=seed), saw.oracle().at(None, learned.lattice).denoiser()
ways = {"linear answer": plain.denoiser(), "model": learned.denoiser(),
        "exact": lambda x, s: best(x[..., 0], s)[..., None]}
with torch.no_grad():
    left_over = {name: [(D((teeth + s * noise).to(plain.device), s).cpu() - teeth).square().mean().item()
                        for s in levels]
                 for name, D in ways.items() if name != "exact"}
    left_over["exact"] = [(ways["exact"](teeth + s * noise, s) - teeth).square().mean().item() for s in levels]
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
for (name, values), colour in zip(left_over.items(), (style.BASELINE, style.MODEL, style.EXACT), strict=True):
    ax.loglog(levels, values, "o-", color=colour, label=name)
share_, at = min((m / k, level) for m, k, level in zip(left_over["model"], left_over["linear answer"],
                                                      levels, strict=True))
style.dress(ax, x="noise level σ", y="squared error", title=f"Sawtooth: after {live} steps the network\n"
            f"leaves {share_:.0%} of the linear error at σ = {at:.2f}")
style.legend(ax)
figure

# %% [markdown]
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the network silenced, so that its Gaussian prior answers
# alone; and its draws replaced by a Gaussian of their mean and covariance, which the exact posterior feels too. *Predict:*
# which costs most? `nfdlab ablate score_field gp1d` measured it; the table is kept with the weights.

# %%
from nfdlab.evaluate import ablation

worth = ablation.worth(ablation.kept("score_field", "gp1d"))["to full"]
plots.worth("score_field", "gp1d")


# %% [markdown]
# Silenced, the network leaves next to nothing undone: on a Gaussian curve the best linear answer is all there is. A network
# of this approach has to earn its place on curves that jump, and no weights for those ship yet.
#
# ## Where it breaks
#
# **The guidance ladder.** Suppose the denoiser was trained without observations: it knows the prior only. Guidance wraps it. Six
# observations on the lattice, noise 0.05, twenty ancestral steps. First with the *exact* denoiser, so that all error is the method's;
# then with the network; as many draws of each. A good rung is near the exact mean, has its spread (1.00), and misses the
# observations by about 0.05.
# *Predict:* which rung fits the observations *too well*?

# %%
def ladder(D, n, conditional):
    """Distance from the exact mean, spread over the exact one, misfit at the observations, of each way to guide D."""
    ways = {"unconditional": D, "replacement": guidance.replacement(D, measured, seed=1),
            "naive": guidance.naive(D, measured), "DPS": guidance.dps(D, measured, sigmas=sigmas),
            "ΠGDM": guidance.pigdm(D, measured), "Tweedie": guidance.tweedie(D, measured), "amortised": conditional}
    x, rows = 28.0 * white(n, (64,), seed=seed), {}
    for name, way in ways.items():
        rows[name] = samplers.sample(way, x, sigmas, method="ancestral", noise=samplers.fresh_noise(seed))
    *_, last = guidance.repaint(D, measured, x, sigmas, noise=samplers.fresh_noise(seed), times=5)
    rows["RePaint ×5"] = last.x
    return {name: [round(float(v), 3) if v < 1e3 else float("inf") for v in (              # inf, or nan: it ran away
        (end.mean(0) - mean).square().mean().sqrt(), (end.var(0)[hidden].mean() / std[hidden].square().mean()).sqrt(),
        (end[:, index] - measured.y).square().mean().sqrt())] for name, end in rows.items()}


index, hidden = torch.randperm(64, generator=torch.Generator().manual_seed(seed))[:6], torch.ones(64, dtype=torch.bool)
hidden[index], sigmas = False, schedule.karras(20, 0.01, 28.0)
y = truth(lattice[index])[0, :, 0] + 0.05 * white(1, (6,), seed=seed)[0]
measured, six = guidance.Measurement.points(index, y, 0.05), nfd.Observations(lattice[index], y[:, None], 0.05)
posterior = oracle.at(six, lattice.double())
mean, std = posterior.mean.float(), posterior.std.float()

# %%
prior, given = model.denoiser(), model.denoiser(six)
rungs = {
    "exact": ladder(
        lambda x, s: law.denoiser()(x.double(), s).float(),
        guided,
        lambda x, s: posterior.denoiser()(x.double(), s).float(),
    ),
    "network": ladder(
        lambda x, s: prior(x.to(model.device), s).cpu(),
        guided,
        lambda x, s: given(x.to(model.device), s).cpu(),
    ),
}
print(
    f"{guided} draws each\n{'':14}{'exact denoiser':^27}{'network':^27}\n{'':14}"
    + 2 * f"{'off mean':>9}{'spread':>9}{'misfit':>9}"
)
for name, row in rungs["exact"].items():
    print(f"{name:14}" + "".join(f"{v:9.3f}" for v in (*row, *rungs["network"][name])))
assert (
    rungs["exact"]["Tweedie"][0]
    < rungs["exact"]["RePaint ×5"][0]
    < rungs["exact"]["unconditional"][0]
)
assert not rungs["exact"]["naive"][0] < 1e3

# %% [markdown]
# The error of a rung is nearly the same for both denoisers: it belongs to the *method*. Replacement informs the rest of $x$ too
# late; RePaint goes back and repeats it, and fits the noise of the observations; DPS pushes by a fixed length; ΠGDM takes what is left to
# be white. **Naive guidance explodes**: it takes $D(x)$ for the truth, so its pull is $1/0.05^2$ even where nothing is
# known. Tweedie takes the covariance that the denoiser itself implies, $\sigma^2\, \partial D/\partial x$, and is right; so is a conditional denoiser
# (amortised), at a fraction of the cost. What spread they lack, twenty ancestral steps took.
#
# **Any linear measurement.** The same wrapper and weights, and data that no observed points can give: a blur, an integral, block averages.
# `observe` makes them `LinearObservations`, $y = W f(\text{points}) + \text{noise}$, and the exact posterior takes them as well.

# %%
line = lattice[:, 0]
maps = {
    "a blur at 6 places": nfd.patterns.Blur(count=6, width=0.15),
    "its average": nfd.patterns.BlockAverage(cells=1, parts=64),
    "4 block averages": nfd.patterns.BlockAverage(cells=4, parts=16),
}
figure, (panes,) = style.picture(1, 3, size=(11.5, 3.2), sharey=True)
for ax, (name, pattern) in zip(panes, maps.items(), strict=True):
    data = nfd.observe(truth, pattern, noise_std=0.05, seed=seed)
    centre, wide = (part[:, 0] for part in oracle.moments(data, lattice))
    draws = model.draw(data, min(guided, 24), seed=seed)
    ax.fill_between(
        line,
        *(centre + k * 1.645 * wide for k in (-1, 1)),
        color=style.EXACT,
        alpha=0.2,
        lw=0,
        label="exact 90 % band",
    )
    for k, end in enumerate(draws(lattice)[:12]):
        ax.plot(line, end, color=style.MODEL, lw=0.7, label=None if k else "draws")
    ax.plot(line, truth(lattice)[0], color=style.TRUTH)
    misfit = (data.measure(draws(data.points)) - data.values).square().mean().sqrt()
    spread = (draws(lattice).var(0).mean() / wide.square().mean()).sqrt()
    style.dress(ax, x=problem.card.axes[0], title=f"{name}:\nmisfit {misfit:.2f}, spread {spread:.2f} of the exact one")
style.dress(panes[0], y=f"value ({problem.card.units})"), style.legend(panes[2])
figure

# %% [markdown]
# **White noise under the query-scale slider.** Sample the prior with the exact denoiser and white noise at $p$ places, from
# $\sigma = 10$ down: at 64 places nearly all is drowned in that. *Predict:* the spread at 1024 places?

# %%
few, share, lattices = schedule.karras(20, 0.01, 10.0), {}, model.draw(None, 32, seed=seed)
for p in (64, 256, 1024) if budget != "smoke" else (64, 128):
    Dp = oracle.at(None, nfd.cell_centres((p,)).double()).denoiser()
    ends = samplers.sample(Dp, 10.0 * white(100, (p,), seed=seed).double(), few, method="dpmpp")
    share[p] = (ends.std().item(), lattices(nfd.cell_centres((p,))).std().item())
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
for i, (name, colour) in enumerate(
    (("white noise at p places", style.BASELINE), ("noise on the lattice", style.MODEL))
):
    ax.plot(
        list(share), [v[i] / share[64][i] for v in share.values()], "o-", color=colour, label=name
    )
last = [v / w for v, w in zip(list(share.values())[-1], share[64], strict=True)]
ax.set_xscale("log", base=2), ax.set_ylim(0, 1.1), style.legend(ax)
style.dress(
    ax,
    x="places asked",
    y="spread, 1 at 64 places",
    title=f"At {max(share)} places: white noise keeps {last[0]:.0%} of the spread, the lattice {last[1]:.0%}",
)
figure

# %% [markdown]
# **And functions of another kind.** The linear answer assumes the covariance measured on training draws. *Predict:* wiggles finer than
# anything in training: how much of such a function lies in the model's band, and how much in the band that is right?

# %%
wiggly = nfd.problems.get("gp1d", lengthscale=0.05)
other = wiggly.draw(1, seed=seed)
strange = nfd.observe(other, nfd.patterns.Random(count=20), noise_std=0.05, seed=seed)
found, inside = (
    {"exact": wiggly.oracle().draw(strange, 64, seed=1), "model": model.draw(strange, 64, seed=1)},
    {},
)
for name, draws_ in found.items():
    low, high = interval(draws_(coords))
    inside[name] = ((low <= other(coords)[0]) & (other(coords)[0] <= high)).float().mean().item()
plots.bands(
    problem.card,
    truth=other,
    seen=strange,
    **found,
    title=f"Four times as wiggly: the model's 90 % band holds {inside['model']:.0%} of it,\n"
    f"the right one {inside['exact']:.0%}",
)

# %% [markdown]
# The wiggles are smoothed away, with confidence. Nothing in the draws says that the world has changed.
#
# **When to use it:** you want the score or a denoised field itself, at any points; or one set of weights for many kinds of
# measurement. **When not:** near-Gaussian fields, where kriging is as good and needs no training; large lattices, since
# attention costs their square. **Cost:** the minutes of training are in the table above; a draw asks the network once a step.
#
# ## Exercises
#
# **1 · Turn a knob.** How few sampler steps can you afford? Compare the spread of draws at 4, 8 and 20 steps.
#
# <details><summary>Solution</summary>
#
# ```python
# for sampler in ("euler", "dpmpp"):
#     row = [model.draw(seen, 32, seed=1, steps=k, sampler=sampler)(coords).std(0).mean().item() for k in (4, 8, 20)]
#     print(sampler, [round(s, 3) for s in row], "exact", round(draws(coords).std(0).mean().item(), 3))
# ```
#
# </details>
#
# **2 · Change a line.** The best length of a step of DPS depends on the number of steps. Measure it with the exact denoiser.
#
# <details><summary>Solution</summary>
#
# ```python
# for steps in (20, 60):
#     sigmas, row = schedule.karras(steps, 0.01, 28.0), []
#     for zeta in (0.3, 1.0, 3.0):
#         way = guidance.dps(lambda x, s: law.denoiser()(x.double(), s).float(), measured, zeta=zeta, sigmas=sigmas)
#         ends = samplers.sample(way, 28.0 * white(60, (64,), seed=1), sigmas, method="ancestral", noise=samplers.fresh_noise(1))
#         row.append(round((ends.mean(0) - mean).square().mean().sqrt().item(), 2))
#     print(steps, "steps: distance from the exact mean at zeta 0.3, 1, 3:", row)
# ```
#
# </details>
#
# **3 · Write a piece.** Check the score by hand: for a Gaussian it is $-(K + \sigma^2)^{-1} x$. How far is the model's?
#
# <details><summary>Solution</summary>
#
# ```python
# K = law.cov + sigma**2 * torch.eye(64).double()
# by_hand = -torch.linalg.solve(K, x[0].double())
# away = (model.score(x, sigma).cpu()[0] - by_hand).norm() / by_hand.norm()
# print(f"relative distance {away:.1e}")
# assert away < 0.2
# ```
#
# </details>
#
# ## Further reading
#
# - Dutordoir et al. 2023, *Neural diffusion processes*: a set transformer that denoises functions at any points; conditions by RePaint.
# - Lim et al. 2023, *Score-based diffusion models in function space*: why the noise must be a function.
# - Chung et al. 2023, *Diffusion posterior sampling*, and Song et al. 2023, *Pseudoinverse-guided diffusion*: two rungs of the ladder.
# - Lugmayr et al. 2022, *RePaint*: going back to repeat it.
# - Boys et al. 2023, *Tweedie moment projected diffusions*: the covariance that a denoiser implies.
# - Mardani et al. 2023, *Residual corrective diffusion modeling*: start from a regression, learn the rest.
