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
# *before: [`02_weight_diffusion`](02_weight_diffusion.ipynb) · next: [`08_stochastic_field`](08_stochastic_field.ipynb)*
#
# ![white noise loses its meaning as one looks closer, smooth noise does not](pictures/03_score_field.png)
#
# ## Question
#
# **Which noise is a function? And what can a denoiser that knows only digits say about a blurred one?**
#
# Diffusion adds noise and learns to take it away. Pictures have pixels, and noise on pixels is an array. A *field* has no pixels:
# it can be asked at 64 places or at four thousand. Its noise must allow that too. This lesson adds noise to functions, looks at
# the score (the slope of the log density of the noisy functions, `00c`), and then asks one denoiser about data that it was never
# trained for: blurs, averages, a small tomography (integrals along lines, as a scanner takes them).
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.
#
# With `budget = "reference"` the weights that ship with the package are opened below. `"lesson"` trains the first of the three
# there, in two minutes of one core, with a live loss curve and a button to stop (the others get a few steps).

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 4  # how many observations of a sawtooth are seen
tasks: int = 16  # how many tasks each number in the tables is averaged over
toy_steps: int = 300  # training steps of the smallest version
guided: int = 8  # draws of each task and rung of the ladder
guess: float = 1.0  # your prediction, see the first picture

# %%
import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import child, stream
from nfdlab.core.types import ObservationBatch
from nfdlab.diffusion import guidance, samplers, schedule
from nfdlab.diffusion.noise import LatticeNoise, white
from nfdlab.evaluate import ablation
from nfdlab.evaluate.calibration import coverage
from nfdlab.evaluate.results import Table
from nfdlab.evaluate.scores import crps
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    guided, toy_steps, tasks = 4, 30, 2
problem, saws, smooth = (nfd.problems.get(name) for name in ("digits2d", "sawtooth1d", "gp1d"))
digits, linear = nfd.problems.held_out(problem), nfd.baselines.get("optimal_interpolation", problem)
coords, pixels = nfd.cell_centres((256,)), nfd.cell_centres((28, 28))
oracle, truth = smooth.oracle(), saws.draw(1, seed=seed)
watch = LossWatch("denoising digits")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("score_field", problem, budget=budget, seed=seed, device=device, watch=watch)
sawyer, smoother = (nfd.load_or_train("score_field", one, budget=budget if budget == "reference" else "smoke",
                                      seed=seed, device=device) for one in (saws, smooth))


# %% [markdown]
# ## Picture
#
# Noise of size 1 is added to a smooth function, and the *exact* denoiser takes it away as well as can be; what it leaves is the
# error. We ask at 16, 64, 256 and 1024 places. White noise is drawn afresh at each place. Smooth noise is itself a function, with
# half the data's length scale: its values at near places are alike. *Predict, and write it down* as `guess` in the cell of
# parameters: under white noise, what share of the error at 16 places is left at 1024 places?

# %%
def left(p: int, noise: torch.Tensor | None = None) -> float:
    """Mean variance left at p places, sigma = 1: K − K(K + C)⁻¹K, C the noise's covariance."""
    K = oracle.at(None, nfd.cell_centres((p,)).double()).cov
    C = torch.eye(p).double() if noise is None else noise
    return (K - K @ torch.linalg.solve(K + C + 1e-6 * torch.eye(p), K)).diagonal().mean().item()


places, error = [16, 64, 256, 1024], {"white noise": [], "smooth noise": []}
for p in places:
    away = nfd.cell_centres((p,)).double() - nfd.cell_centres((p,)).double().T  # x − x', of all pairs
    error["white noise"].append(left(p)), error["smooth noise"].append(left(p, torch.exp(-0.5 * (away / 0.1) ** 2)))
figure, ((ax,),) = style.picture(size=(8.0, 3.2))
for (name, values), colour in zip(error.items(), (style.BASELINE, style.MODEL), strict=True):
    ax.plot(places, values, "o-", color=colour, label=name)
ax.set_xscale("log"), ax.set_ylim(0), style.legend(ax)
fall = [values[-1] / values[0] for values in error.values()]
style.dress(ax, x="places asked", y="variance left", title=f"×64 places: white noise keeps {fall[0]:.0%} of the error "
            f"(you said {guess:.0%}), smooth {fall[1]:.0%}")
figure

# %% [markdown]
# White noise averages out: the more places, the more they tell of one another, and `sigma = 1` means something else at every
# resolution. Smooth noise is one function, and looking closer reveals nothing new. The cheapest noise that does not change as one
# looks closer is white on a fixed **lattice**, read linearly between its points: that too is one function. The shipped weights
# use it.
#
# **The score as arrows.** A sawtooth gets noise at the lattice points. Each arrow goes from a noisy value to the denoiser's
# answer there, the mean of what the function may have been; by Tweedie's formula (`00c`) that is $\sigma^2$ times the score.
# *Predict:* where will the model's arrows differ most from the exact ones?

# %%
sigma, lattice = 0.3, sawyer.lattice
x = truth(lattice) + sigma * white(1, (len(lattice), 1), seed=seed)
law, unit = saws.oracle().at(None, lattice), float(sawyer.net.unit.std)
arrows = {"exact": law.denoiser()(x[..., 0], sigma) - x[..., 0],
          "model": sawyer.denoise(x, sigma / unit)(lattice)[..., 0].cpu() - x[..., 0]}
apart = (arrows["model"] - arrows["exact"]).norm() / arrows["exact"].norm()
figure, (panes,) = style.picture(1, 2, size=(10.4, 3.4), sharey=True)
for ax, (name, arrow) in zip(panes, arrows.items(), strict=True):
    ax.plot(coords, truth(coords)[0], color=style.TRUTH, lw=1, label="truth")
    ax.quiver(lattice[:, 0], x[0, :, 0], 0 * arrow[0], arrow[0], angles="xy", scale_units="xy", scale=1, width=0.003,
              color=style.EXACT if name == "exact" else style.MODEL)
    ax.plot(lattice[:, 0], x[0, :, 0], ".", color=style.BASELINE, ms=4, label="with noise")
    style.dress(ax, x=saws.card.axes[0],
                title=f"{name}, σ = {sigma}" if name == "exact" else f"model: {apart:.1%} of their length away")
style.dress(panes[0], y=f"value ({saws.card.units})"), style.legend(panes[1])
figure

# %% [markdown]
# To the eye they are the same. So measure the difference, on 64 sawtooths and at several noise levels: its length over the length
# of the exact arrows, and how much of it lies near a jump (within two lattice points). *Predict:* is it larger at little noise or
# at much?

# %%
some = saws.draw(64, seed=child(seed, "arrows"))(lattice)[..., 0]
step = torch.nn.functional.pad((some.diff(dim=1) < -0.3).float(), (2, 2))  # 1 between the two points beside a jump
near = torch.nn.functional.max_pool1d(step[:, None], 4, 1)[:, 0] > 0
levels, differ, jumpy = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), {}, {}
for level in levels:
    x = some + level * white(*some.shape[:1], some.shape[1:], seed=seed)
    right = law.denoiser()(x, level) - x
    wrong = sawyer.denoise(x[..., None], level / unit)(lattice)[..., 0].cpu() - x - right
    differ[level] = wrong.norm(dim=1) / right.norm(dim=1)
    jumpy[level] = ((wrong.square() * near).sum() / wrong.square().sum()).item()
mean_apart = {level: value.mean().item() for level, value in differ.items()}
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
bars = [1.96 * value.std().item() / 8 for value in differ.values()]  # of 64 sawtooths
ax.errorbar(levels, mean_apart.values(), bars, color=style.MODEL, marker="o")
ax.set_xscale("log"), ax.set_ylim(0)
style.dress(ax, x="noise level σ", y="difference / length of the exact arrows", title=f"The model's arrows are "
            f"{mean_apart[3.0]:.1%} off at σ = 3, {mean_apart[0.3]:.0%} at 0.3, {mean_apart[0.01]:.0%} at 0.01;\n"
            f"at 0.3, {jumpy[0.3]:.0%} of the squared difference lies near jumps, "
            f"{near.float().mean():.0%} of the points")
figure

# %% [markdown]
# At middle noise the difference is where a noisy value may belong to either side of a jump. At little noise the arrows themselves
# are short, so a small error is a large share of them. (The bars are 95 % intervals over 64 sawtooths.)
#
# And what comes out, given a few observations? One sawtooth is shown; the title is about as many as `tasks` says. *Predict:* will
# the model's draws differ from each other more than exact ones do, or less?

# %%
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)
exact, draws = saws.oracle().draw(seen, 128, seed=seed), sawyer.draw(seen, 128, seed=seed)
wide = nfd.score(sawyer, saws, counts=(keep,), tasks=tasks, draws=32, seed=seed).ratio("spread").loc["mean"]
plots.bands(saws.card, truth=truth, seen=seen, exact=exact, model=draws,
            title=f"{keep} observations, {tasks} sawtooths: the model has {wide['spread']:.2f} of the exact spread,"
            f"\n95 % interval [{wide['low']:.2f}, {wide['high']:.2f}]")

# %% [markdown]
# An interval around 1: neither too wide nor too narrow. Where the exact band (blue) is wide, the jump may lie at several places,
# and each draw puts it at one of them.
#
# ## Idea in symbols
#
# A function $f$ gets noise at the points $X$ of the lattice, $z = f(X) + \sigma L\varepsilon$. Here $\varepsilon$ is white and
# $L$ makes neighbours alike; with $L = 1$ the noise stays white. One network answers for any place $x$, given the noisy lattice
# and the observations $S$:
#
# $$D(x \mid z, \sigma, S) = \frac{z(x)}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\, F(x) + w(x)\, \mathrm{net}(x), \qquad
# \nabla_z \log p_\sigma(z) = (L L^\top)^{-1} \big(D(X) - z\big) / \sigma^2 .$$
#
# - $F$ is a **U-Net** on the lattice: a convolutional network that works on ever coarser copies of its input and then on finer
#   ones again, so that each answer knows what is near and what is far. It also sees the observations, as channels. Between
#   lattice points it is read linearly.
# - $\mathrm{net}$ is a **neural field** that reads features of the U-Net at $x$; $w(x)$ is 0 at the lattice and most halfway
#   between.
#
# A sampler walks the lattice down the noise levels, $\mathrm{d}z/\mathrm{d}\sigma = (z - D)/\sigma$; then any query asks the last
# lattice once.
#
# **Guidance** (`01`). Linear observations $y = A f(X) + s\,\varepsilon$, a blur say, are not given to the network. They pull its
# answer instead. At each step $D$ becomes
#
# $$D + \sigma^2 \Big(\frac{\partial D}{\partial z}\Big)^{\!\top} A^\top (A C A^\top + s^2)^{-1} (y - A D) .$$
#
# Read it from the right. $y - A D$ is the misfit: what was observed, less what $D$ would have given. The inverse says how much of
# the misfit to believe: $C$ is the covariance that is still open at this $\sigma$, that of a Gaussian measured once on the data,
# and $s^2$ the noise of the observations. $A^\top$ carries the misfit to the lattice points it came from, and the network's own
# slope $\partial D/\partial z$ to what goes with them: to the rest of a stroke, say.
#
# ## Smallest version
#
# From nothing: sawtooths at 32 places, noise, a small convolutional network that takes it away. Once with white noise on the
# lattice, once with rough but continuous noise, similar at neighbours (an Ornstein-Uhlenbeck process). The measure: how far a
# draw is from the nearest of 8,192 sawtooths. *Predict:* after equally many steps, which noise gives the better sawtooths?

# %%
X, rng, D = nfd.cell_centres((32,)), stream(seed, "toy"), {}
noises = {"white": LatticeNoise(32), "continuous": LatticeNoise(32, 0.3)}
for name, noise in noises.items():
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = []
        for a, b, spread in ((2, 48, 1), (48, 48, 2), (48, 48, 4), (48, 48, 2), (48, 1, 1)):
            layers += [torch.nn.Conv1d(a, b, 5, padding=2 * spread, dilation=spread), torch.nn.SiLU()]
        net = torch.nn.Sequential(*layers[:-1])
    D[name] = lambda x, s, net=net: (x / (1 + s**2) + s / (1 + s**2).sqrt() * net(torch.cat(
        [x / (1 + s**2).sqrt(), (s.log() / 4).expand_as(x)], 1)))  # x (b, 1, 32), s (b, 1, 1)
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    for i in range(toy_steps):
        clean = saws.draw(64, seed=child(seed, "toy", i))(X).mT / unit
        s = torch.exp(1.3 * torch.randn(64, 1, 1, generator=rng))
        x = clean + s * noise.colour(torch.randn(clean.shape, generator=rng))
        loss = ((1 + s**2) / s**2 * (D[name](x, s) - clean).square()).mean()
        adam.zero_grad(), loss.backward(), adam.step()

# %%
levels, shown = schedule.karras(30, 0.02, 30.0), {}
with torch.no_grad():
    for name, denoise in D.items():
        x = levels[0] * noises[name].colour(white(128, (1, 32), seed=seed))
        for s, t in zip(levels[:-1], levels[1:], strict=True):  # Euler: from level s to level t
            x = torch.lerp(denoise(x, s.expand(128, 1, 1)), x, float(t / s))
        shown[name] = unit * x.mT
shown |= {"library": sawyer.draw(None, 128, seed=seed)(X), "fresh sawtooths": saws.draw(128, seed=1)(X)}
bank = saws.draw(8192, seed=2)(X)[..., 0]
far = {name: torch.cdist(values[..., 0], bank).amin(1) / 32**0.5 for name, values in shown.items()}
toy = {name: value.mean().item() for name, value in far.items()}
better, worse = sorted(noises, key=toy.get)
figure, (panes,) = style.picture(1, 4, size=(12, 2.6), sharey=True)
for ax, (name, values) in zip(panes, shown.items(), strict=True):
    ax.plot(X[:, 0], values[:3, :, 0].T, color=style.TRUTH if name.startswith("fresh") else style.MODEL, lw=1)
    style.dress(ax, x=saws.card.axes[0], title=f"{name}: {toy[name]:.3f} ± {1.96 * far[name].std() / 128**0.5:.3f}")
style.headline(figure, f"After {toy_steps} steps {better} noise is ahead: "
               f"{worse} noise is {toy[worse] / toy[better]:.2f} times as far from sawtooths\n"
               "(root mean square to the nearest of 8,192; mean of 128 draws, three are shown)")
figure

# %% [markdown]
# **The continuous noise is learned more slowly.** A likely reason: it looks more like data, so it is harder to tell from them.
# (The intervals are over draws, of one training each; another `seed` trains again.) On a fixed lattice it is not needed: white
# noise, read linearly, is a function already. The library has both (`noise_lengthscale`). What it adds to the toy is size and
# training: its draws lie nearer to sawtooths than the toy's.
#
# > **How this differs from the papers.** Neural diffusion processes (Dutordoir et al. 2023) and diffusion probabilistic fields
# > (Zhuang et al. 2023) use attention over any set of points, with white noise at each; here a U-Net works on a noisy lattice.
# > Lim et al. 2023 show why noise must be a function. The first condition by RePaint (see below); here points are given to the
# > network, all else guides.
#
# ## The library's version
#
# One line, `sawyer.draw`; but what does it do? **First it walks the lattice.** An encoder makes features of the observations; the
# sampler (`dpm` of `00c`, second order) starts from noise and asks the network at each level.
#
# **Then it asks the last lattice at any place.** The network is called once more, at the lowest level; $F$ is read linearly
# between two lattice points, and the field adds its part, weighted by $w$: 0 at both points, most halfway. The same draws may be
# asked anywhere, as often as one likes. *Predict:* how large is the field's part?

# %%
n, steps, parts = 4, 12, sawyer.net
with torch.no_grad():
    batch = ObservationBatch.of([seen]).to(sawyer.device)
    features = parts.encoder(parts.setconv(batch)), torch.ones(1, 1, parts.side, device=sawyer.device)
    sigmas = sawyer.sigmas(steps)
    z = sigmas[0] * white(n, parts.shape, seed=seed).to(sawyer.device)
    z = samplers.sample(lambda z, s: z / (1 + s**2) + s / (1 + s**2).sqrt() * parts.denoiser.net(
        z / (1 + s**2).sqrt(), (s.log() / 4).expand(1), *features), z, sigmas, method="dpmpp")
print(f"the walk ends with {len(z)} draws of {z.shape[-1]} numbers each, in units of the values' standard deviation")

# %%
with torch.no_grad():
    s = torch.tensor(parts.denoiser.noise_levels.low, device=z.device, dtype=z.dtype)
    total, q = (1 + s**2).sqrt(), coords.to(sawyer.device)
    F, at = parts.denoiser.net.both(z / total, (s.log() / 4).expand(1), *features)
    share = ((q + 1) * parts.side / 2 - 0.5) % 1  # how far q is from the lattice point to its left, in steps
    w = parts.open * (1 - (1 - 4 * share * (1 - share)))
    line, added = interpolate(z / total**2 + s / total * F, q), w * parts.field(q, at)
    values = parts.unit.mean + parts.unit.std * (line + added)
library = sawyer.draw(seen, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values.cpu(), library, atol=1e-3)
one, many = nfd.cell_centres((64,)), nfd.cell_centres((4096,))
assert torch.allclose(draws(many)[:, 77:78], draws(many[77:78]), atol=1e-5)
zoom = (draws(many).std(0).mean() / draws(one).std(0).mean()).item()
print(f"by hand and by library: {(values.cpu() - library).abs().max():.0e} apart; the field adds "
      f"{added.std() / line.std():.1%} of the line's spread;\n"
      f"the same draws at 64 and 4096 places: spread ratio {zoom:.3f}")

# %% [markdown]
# ## Turn the knobs
#
# The cell above says: the field's part is small beside the line, and looking closer changes no draw. Now with digits: how sparse,
# which pattern, how noisy, how close. The query-scale slider only asks: the draw stays.

# %%
panel = nfd.explore(model, problem, count=32, draws=8, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# One set of weights, three kinds of data about a digit: few or many pixels, blurs at 64 places, integrals along 144 lines in
# twelve directions (a small tomography). The network is given pixels; blurs and integrals guide it, in eight steps. The rival
# is the best linear answer with the training digits' mean and covariance; for it all three are linear observations, and need no
# guidance. The rows of pixels are read from the table that is kept with the weights; the others are measured here. *Predict:*
# where is it hardest to beat?

# %%
kinds = {"64 blurs": nfd.patterns.Blur(count=64, width=0.1), "12 projections": nfd.patterns.Projections(angles=12)}
rows, answers = [], {}
for name, pattern in kinds.items():
    for i in range(tasks):
        digit = digits.draw(1, seed=child(seed, "kinds", i))
        data = nfd.observe(digit, pattern, noise_std=0.05, seed=i)
        answers[name] = {"full": model.draw(data, 4, seed=i, steps=8),
                         "optimal_interpolation": linear.draw(data, 8, seed=i)}
        rows += [{"contestant": who, "m": name, "task": i, "crps": crps(f(pixels), digit(pixels)[0]).item()}
                 for who, f in answers[name].items()]
measured_once, parts = ablation.kept("score_field", "digits2d").rows, []
for found in (measured_once.assign(m=measured_once["m"] + " pixels"), pd.DataFrame(rows)):
    scored = Table(found, problem.card.name, "optimal_interpolation", 4, seed).ratio("crps", "full").iloc[:-2]
    parts.append(scored.assign(digits=found["task"].nunique()))
kept = pd.concat(parts).set_axis(["ratio", "95 % from", "to", "digits"], axis=1)
display(kept.style.format("{:.2f}", subset=["ratio", "95 % from", "to"]).set_caption(
    "a row: one kind of data; our CRPS over the best linear answer's, its 95 % interval, the number of digits"))
ours, theirs = answers["12 projections"].values()
plots.pages(problem.card, {"truth": digit, "ours": ours, "ours, another": ours[1:2], "linear": theirs,
                           "linear, another": theirs[1:2]},
            title=f"12 projections: CRPS {kept['ratio'].iloc[-1]:.2f} of the best linear answer's; "
            f"from 8 pixels {kept['ratio'].iloc[0]:.2f}")

# %% [markdown]
# From few pixels the linear answer is hardest to beat: they leave much open, whatever one knows about digits. All ratios are
# below 1, each with its whole interval. So the denoiser, which knows how digits look, is the better one even where it is only
# guided.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: its field; the shape of its distribution (a Gaussian
# in place of the draws); all that was learned (the best linear answer). *Predict:* which costs most on sawtooths, which on
# digits? `nfdlab ablate score_field sawtooth1d` measured it; the tables are kept with the weights. The cell after the table looks
# between the lattice points: draws from the same noise, once with the field and once read linearly.

# %%
tables = {name: ablation.kept("score_field", name) for name in ("sawtooth1d", "digits2d", "gp1d")}
found = {name: ablation.worth(table) for name, table in tables.items()}
worth = {name: one["to full"] for name, one in found.items()}
cells = {f"{name}, {tables[name].rows['task'].nunique()} tasks": {
    arm: f"{row['to full']:.2f} [{row['to full low']:.2f}, {row['to full high']:.2f}]" for arm, row in one.iterrows()}
    for name, one in found.items()}
display(pd.DataFrame(cells).fillna("").style.set_caption(
    "CRPS over that of the full approach and its 95 % interval; a column: one problem, with its tasks at each m"))
plots.worth("score_field", "sawtooth1d")

# %%
rows, silent = [], ablation.silenced(sawyer, "field", saws)
for i in range(tasks):
    case = saws.draw(1, seed=child(seed, "between", i))
    some = nfd.observe(case, nfd.patterns.Random(count=16), noise_std=0.05, seed=i)
    both = {who: f.draw(some, 24, seed=i) for who, f in (("field silenced", silent), ("full", sawyer))}
    rows += [{"contestant": who, "m": 16, "task": i, "crps": crps(f(many), case(many)[0]).item(),
              "at": crps(f(lattice), case(lattice)[0]).item()} for who, f in both.items()]
between = Table(pd.DataFrame(rows), saws.card.name, "full", 24, seed)
costs, alike = between.ratio("crps", "field silenced").loc["mean"], between.rows.groupby("contestant")["at"].mean()
print(f"CRPS, field silenced over full, {tasks} sawtooths: at 4096 places {costs['crps']:.2f} [{costs['low']:.2f}, "
      f"{costs['high']:.2f}]; at the lattice {alike['field silenced'] / alike['full']:.2f}")

# %% [markdown]
# On curves that jump the best linear answer has several times the error. On digits, too, it costs most, a third and more, and a
# Gaussian in place of the draws costs about a sixth: strokes are there or not. The table's row for the field says nothing about
# sawtooths: its CRPS is taken at 128 places, which are the lattice points, where $w$ is 0 (what differs from 1 there is the
# chance of other draws). **Between the points the field is worth about a tenth of the CRPS**, with 16 observations. Digits are
# defined by linear reading between pixels, so there it adds next to nothing. On `gp1d`, a Gaussian field, the weights that ship
# start from the measured Gaussian, and without their network they lose next to nothing: **there the linear part is everything.**
#
# ## Where it breaks
#
# **The guidance ladder.** There are many ways to guide, all approximate; each is a rung. Some write into the noisy lattice $z$:
#
# - *replacement*: at each step the observed values, with noise, take the place of those in $z$;
# - *RePaint*: the same, but each step is undone and repeated several times.
#
# Others pull the answer $D$ towards the observations, by the formula above; they differ in how much of the misfit they believe:
#
# - *naive*: as if $D$ were the truth, so that only $s^2$ is left in the inverse;
# - *DPS*: by a step of fixed length;
# - *ΠGDM*: as if what is still open were white; or, *measured*, with the covariance $C$;
# - *Tweedie*: with the covariance that the denoiser itself implies, $\sigma^2\, \partial D/\partial z$.
#
# *Amortised* is not guided: a denoiser that was given the observations. A task is a smooth function with six observations of
# noise 0.05, at the same places in each task. The sampler takes twenty *ancestral* steps: each removes more noise than it must,
# and adds fresh noise for the difference.
#
# The next cell makes the tasks and the rungs. A row of $z$ is one draw of one task. Inside the function, values are counted from
# `base`, the observed ones: then every task was observed as 0 at the six places, and one guide serves all rows at once.

# %%
curves, line, sigmas = smooth.draw(tasks, seed=seed), smoother.lattice, schedule.karras(20, 0.01, 28.0)
index = torch.randperm(64, generator=torch.Generator().manual_seed(seed))[:6]  # of the lattice, seen in each task
y = curves(line[index])[..., 0] + 0.05 * white(tasks, (6,), seed=seed)  # (tasks, 6)
base, zeros = torch.zeros(tasks * guided, 64), guidance.Measurement.points(index, torch.zeros(6), 0.05)
base[:, index] = y.repeat_interleave(guided, 0)


def ladder(D, conditional):
    """Draws (tasks, draws, places) by each way to guide D, and by a denoiser that knows the observations."""
    D, conditional = (lambda x, s, of=of: of(x + base, s) - base for of in (D, conditional))
    ways = {"unconditional": D, "replacement": guidance.replacement(D, zeros, seed=1),
            "naive": guidance.naive(D, zeros), "DPS": guidance.dps(D, zeros, sigmas=sigmas),
            "ΠGDM": guidance.pigdm(D, zeros),
            "ΠGDM, measured": guidance.pigdm(D, zeros, covariance=smoother.net.covariance.to("cpu")),
            "Tweedie": guidance.tweedie(D, zeros), "amortised": conditional}
    x, fresh = 28.0 * white(len(base), (64,), seed=seed), samplers.fresh_noise(seed)
    ends = {name: samplers.sample(way, x, sigmas, method="ancestral", noise=fresh) for name, way in ways.items()}
    *_, last = guidance.repaint(D, zeros, x, sigmas, noise=fresh, times=5)
    ends["RePaint ×5"] = last.x
    return {name: (end + base).unflatten(0, (tasks, guided)) for name, end in ends.items()}


# %% [markdown]
# The ladder is climbed twice. First with the *exact* denoiser, so that all error is the method's; then with the network, which
# counts in units of the data's standard deviation (`size`).
#
# Three numbers say how good a rung is: how far the mean of its draws is from the exact mean (small is good), their spread over
# the exact one (1 is right), and how far they are from the observations (their noise, 0.05, is right). The last row, in blue,
# says what can be reached: draws of the exact posterior itself. *Predict:* which rung fits the observations *too well*?

# %%
sixes = [nfd.Observations(line[index], values[:, None], 0.05) for values in y]
prior, laws = oracle.at(None, line.double()), [oracle.at(six, line.double()) for six in sixes]
shift, size = float(smoother.net.unit.mean), float(smoother.net.unit.std)
given = smoother.net.condition(ObservationBatch.of([six for six in sixes for _ in range(guided)]).to(smoother.device))
denoisers = {"exact": [lambda x, s: prior.denoiser()(x.double(), s).float(), lambda x, s: torch.cat([
    law.denoiser()(part.double(), s).float() for law, part in zip(laws, x.split(guided), strict=True)])]}
denoisers["network"] = [
    lambda x, s, D=D: shift + size * D(((x - shift) / size)[:, None].to(smoother.device), s / size)[:, 0].cpu()
    for D in (smoother.denoiser(), smoother.denoiser(given))]
ends = {who: ladder(*two) for who, two in denoisers.items()}
best = torch.stack([oracle.draw(six, guided, seed=i)(line)[..., 0] for i, six in enumerate(sixes)])  # exact draws

# %%
mean, std = torch.stack([law.mean for law in laws]).float(), laws[0].std.float()  # one std: the places are the same
unseen, rows = torch.ones(64, dtype=torch.bool).index_fill(0, index, False), []
for who, found in {**ends, "posterior": {"exact draws": best}}.items():
    for rung, x in found.items():
        rows.append(pd.DataFrame({
            "off the exact mean": (x.mean(1) - mean).square().mean(-1).sqrt(),
            "spread / exact": (x.var(1)[:, unseen].mean(-1) / std[unseen].square().mean()).sqrt(),
            "off what was seen": (x[..., index] - y[:, None]).square().mean((1, 2)).sqrt()
        }).assign(denoiser=who, rung=rung))
names, grouped = [*ends["exact"], "exact draws"], pd.concat(rows).groupby(["denoiser", "rung"], sort=False)
rungs, half = grouped.mean(), 1.96 * grouped.sem()  # over the tasks
stayed = rungs.max(axis=1) < 10  # the others ran away
figure, (panes,) = style.picture(1, 3, size=(10.8, 3.4), sharey=True)
inks = {"exact": (style.BASELINE, 0.15), "network": (style.MODEL, -0.15), "posterior": (style.EXACT, 0.0)}
for ax, column, right in zip(panes, rungs, (0.0, 1.0, 0.05), strict=True):
    ax.axvline(right, color=style.FAINT, lw=3)
    for who, (colour, up) in inks.items():
        middle, bar = rungs[stayed].loc[who, column], half[stayed].loc[who, column]
        ax.errorbar(middle, [up - names.index(rung) for rung in middle.index], xerr=bar, color=colour, fmt="o", ms=4,
                    label=f"{who} denoiser" if up else "exact draws")
    style.dress(ax, x=column)
panes[0].set_yticks(range(0, -len(names), -1), names), style.legend(panes[2])
off, gone = rungs["off the exact mean"], ", ".join(stayed["exact"].index[~stayed["exact"]])
style.headline(figure, f"Off the exact mean: Tweedie {off['exact', 'Tweedie']:.2f}, ΠGDM {off['exact', 'ΠGDM']:.2f}, "
               f"DPS {off['exact', 'DPS']:.2f}; ran away: {gone}\n({tasks} tasks, {guided} draws each, 95 % intervals)")
figure

# %% [markdown]
# The error of a rung is nearly the same for both denoisers, grey and orange: it belongs to the *method*. (A rung without dots ran
# away to infinity.)
#
# - Replacement informs the rest of $z$ too late. RePaint repairs a part of that, but fits the noise of the
#   observations: it fits them too well.
# - **Naive guidance explodes**: it takes $D(z)$ for the truth, so its pull is $1/0.05^2$ even where nothing is known.
# - DPS pulls by a fixed length, and ΠGDM takes what is still open to be white; both are off.
# - Tweedie takes the covariance that the denoiser itself implies, and is right; so is ΠGDM with the measured covariance, by which
#   the digits above were guided.
# - The conditional denoiser (amortised) is right without guidance. The spread that the exact one lacks was lost to the twenty
#   steps.
#
# **White noise under the query-scale slider.** Sample the prior with the exact denoiser and white noise at $m$ places, from
# $\sigma = 10$ down: at 64 places nearly all is drowned in that. *Predict:* the spread at 1024 places?

# %%
few, lattices = schedule.karras(20, 0.01, 10.0), smoother.draw(None, 256, seed=seed)
powers = {"white noise at m places": {}, "noise on the lattice": {}}  # mean square of each draw
for p in (64, 256, 1024) if budget != "smoke" else (64, 128):
    Dp = oracle.at(None, nfd.cell_centres((p,)).double()).denoiser()
    ends = samplers.sample(Dp, 10.0 * white(256, (p,), seed=seed).double(), few, method="dpmpp")
    for kind, values in zip(powers.values(), (ends, lattices(nfd.cell_centres((p,)))[..., 0]), strict=True):
        kind[p] = values.square().mean(1).cpu().double()
again, last = torch.randint(256, (2000, 256), generator=stream(seed, "again")), {}  # draws drawn again: a bootstrap
figure, ((ax,),) = style.picture(size=(6.4, 3.2))
for (name, kind), colour in zip(powers.items(), (style.BASELINE, style.MODEL), strict=True):
    boot = torch.stack([v[again].mean(1) / kind[64][again].mean(1) for v in kind.values()]).sqrt()
    middle = torch.stack([v.mean() / kind[64].mean() for v in kind.values()]).sqrt()
    low, high = boot.quantile(torch.tensor([0.025, 0.975]).double(), 1)
    bars = torch.stack([middle - low, high - middle]).clamp(0)
    ax.errorbar(list(kind), middle, bars, fmt="o-", color=colour, label=name)
    last[name] = [v[-1].item() for v in (middle, low, high)]
ax.set_xscale("log", base=2), ax.set_ylim(0, 1.1), style.legend(ax)
style.dress(ax, x="places asked", y="spread, 1 at 64 places", title=f"Spread at {max(kind)} places: " + ",\n".join(
    f"{name} keeps {v:.0%} [{low:.0%}, {high:.0%}]" for name, (v, low, high) in last.items()))
figure

# %% [markdown]
# At more places the same $\sigma$ drowns less of the function, so a start from pure noise is wrong there, and draws come out too
# narrow. Noise on the lattice is the same function at any number of places, so nothing changes. (256 draws of each, and 95 %
# intervals over draws.)
#
# **And functions of another kind.** A network knows its training functions. These curves have finer wiggles than any in training.
# *Predict:* how much of the truth lies in the model's 90 % band, and how much in the band that is right? The *misfit* (`05`) is
# the distance of the mean of the draws from the observations, in units of their noise; about 1 or less is right.

# %%
wiggly, rows = nfd.problems.get("gp1d", lengthscale=0.05), []
for i in range(tasks):
    other = wiggly.draw(1, seed=child(seed, "wiggly", i))
    strange = nfd.observe(other, nfd.patterns.Random(count=20), noise_std=0.05, seed=i)
    found = {"exact": wiggly.oracle().draw(strange, 64, seed=i), "model": smoother.draw(strange, 64, seed=i)}
    rows += [{"contestant": who, "m": 20, "task": i, "coverage90": coverage(f(coords), other(coords)[0]).item(),
              "misfit": ((f(strange.coords).mean(0) - strange.values) / 0.05).square().mean().sqrt().item()}
             for who, f in found.items()]
shares = Table(pd.DataFrame(rows), "gp1d", "exact", 64, seed)
held = {who: shares.ratio("coverage90", who).loc["mean"] for who in found}
inside = {who: row["coverage90"] for who, row in held.items()}
misfit = shares.rows.groupby("contestant")["misfit"].mean()
check = Exercises({
    1: (lambda rows: rows["dpmpp"][1] > 0.9 * rows["dpmpp"][2] or budget == "smoke",
        "Eight steps nearly do as twenty."),
    2: (lambda ratio: ratio < 1 or budget == "smoke", "Are the averages taken of 4 × 4 blocks?"),
    3: (lambda away: away < 0.2 or budget == "smoke", "In units of the values' standard deviation."),
})
plots.bands(smooth.card, truth=other, seen=strange, **found, title="Four times as wiggly: the 90 % band holds "
            f"({tasks} curves, 95 % interval)\n" + ", ".join(f"{who} {row['coverage90']:.0%} [{row['low']:.0%}, "
            f"{row['high']:.0%}], misfit {misfit[who]:.1f}" for who, row in held.items()))

# %% [markdown]
# The model smooths the wiggles away, and is sure of it. **Its band does not say that the world has changed; the misfit does**:
# compare draws with what was observed.
#
# **When to use it:** one set of weights for many kinds of linear measurement, or where you want the score itself. **When not:**
# near-Gaussian fields, where the best linear answer is as good; fields too large for a lattice, whose diffusion belongs in a
# latent (`01_latent_field`). **Cost:** a draw asks the network once a step; guided, it is also differentiated once a step.
#
# ## Exercises
#
# **1 · Turn a knob.** How few sampler steps can you afford? Compare the spread of draws at 4, 8 and 20 steps, for two samplers;
# `check(1, rows)` takes them as a dictionary of lists.
#
# <details><summary>Solution</summary>
#
# ```python
# rows = {sampler: [sawyer.draw(seen, 32, seed=1, steps=k, sampler=sampler)(coords).std(0).mean().item() for k in (4, 8, 20)]
#         for sampler in ("euler", "dpmpp")}
# print(rows, "exact", exact(coords).std(0).mean().item())
# check(1, rows)
# ```
#
# </details>
#
# **2 · Change a line.** The same weights as super-resolution: observe 7 × 7 block averages of a digit, and divide the CRPS by
# that of the best linear answer. `check(2, ratio)`.
#
# <details><summary>Solution</summary>
#
# ```python
# coarse = nfd.observe(digit, nfd.patterns.BlockAverage(cells=7, parts=4), noise_std=0.05, seed=seed)
# ours, theirs = (crps(one.draw(coarse, 16, seed=1)(pixels), digit(pixels)[0]) for one in (model, linear))
# ratio = ours / theirs
# print(f"{ratio:.2f}")
# check(2, ratio)
# ```
#
# </details>
#
# **3 · Write a piece.** Check the score of the smooth field by hand: for a Gaussian it is $-(C + \sigma^2)^{-1} z$. How far is
# the network's, relatively? `check(3, away)`.
#
# <details><summary>Solution</summary>
#
# ```python
# z, size = white(1, (1, 64), seed=1), float(smoother.net.unit.std)
# by_hand = -torch.linalg.solve(prior.cov / size**2 + torch.eye(64), z[0, 0].double())
# away = (smoother.score(z, 1.0).cpu()[0, 0] - by_hand).norm() / by_hand.norm()
# print(f"relative distance {away:.1e}")
# check(3, away)
# ```
#
# </details>
#
# **Five questions.** Why does white noise average out when one looks at more places, and which noise does not? What does a
# denoiser know of the score? How does one see that a rung's error is not the network's? How was it measured what the field adds?
# Which questions can one prior answer without training anew?
#
# ## Further reading
#
# - Dutordoir et al. 2023, *Neural diffusion processes* ([2206.03992](https://arxiv.org/abs/2206.03992)): a set transformer that
#   denoises functions at any points; conditions by RePaint.
# - Lim et al. 2023, *Score-based diffusion models in function space* ([2302.07400](https://arxiv.org/abs/2302.07400)): why the
#   noise must be a function.
# - Chung et al. 2023, *Diffusion posterior sampling* ([2209.14687](https://arxiv.org/abs/2209.14687)), and Song et al. 2023,
#   *Pseudoinverse-guided diffusion* ([openreview.net/forum?id=9_gsMA8MRKQ](https://openreview.net/forum?id=9_gsMA8MRKQ)): two
#   rungs of the ladder.
# - Lugmayr et al. 2022, *RePaint* ([2201.09865](https://arxiv.org/abs/2201.09865)): going back to repeat it.
# - Boys et al. 2023, *Tweedie moment projected diffusions* ([2310.06721](https://arxiv.org/abs/2310.06721)): the covariance that
#   a denoiser implies.
# - Zhuang et al. 2023, *Diffusion probabilistic fields* ([2303.00165](https://arxiv.org/abs/2303.00165)): functions that are
#   noised and denoised at any points.
