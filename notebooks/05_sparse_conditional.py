# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · From sparse observations to a field: encoder, conditional diffusion, neural field
#
# *before: [`00a_problems_and_rulers`](00a_problems_and_rulers.ipynb) · next: [`01_latent_field`](01_latent_field.ipynb)*
#
# ![exact band and model band on top of each other](pictures/05_sparse_conditional.png)
#
# ## Question
#
# **How good can a guess from sparse data be, and how close are we?**
#
# A few noisy numbers do not determine a curve. They leave a *distribution* over curves, the posterior. The curves here are
# sawtooths: straight rises and sudden jumps. Two numbers fix such a curve (how long its teeth are, and where they begin). So one
# can try all pairs, and the posterior is known exactly. That gives "good" a meaning. Two ways to guess are measured against it:
#
# - the *best linear answer* (optimal interpolation of `00a`). It is a Gaussian, and knows only the curves' mean and covariance:
#   how the values at two places vary together;
# - a *conditional diffusion*: the diffusion of `00c`, for curves, with a network that is given the observations too.
#
# Then the same is asked about handwritten digits.
#
# You need the two primers, `00b` (neural fields) and `00c` (diffusion), and the exact posterior and the CRPS of `00a`. ▶ *Run ▸
# Run All Cells*, then play; it takes about a minute.
#
# ## Picture
#
# First the trained model, then how it is made. The black curve is the truth; the model sees only the observations (white dots).
# *Predict:* where will its band be wide? And how large is the spread of its draws (their standard deviation, all places
# together), as a share of the exact posterior's? 1 is right; less than 1 means that the model is too sure. *Write your number
# down* as `guess` in the next cell.
#
# With `budget = "reference"` the cell after the imports loads the trained weights that come with the package. `"lesson"` trains a
# smaller model here, in two minutes of one core, with a live loss curve and a button to stop.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 5  # how many observations are seen
tasks: int = 16  # how many tasks each number is averaged over
toy_steps: int = 400  # training steps of the smallest version
scale: int = 32  # how close the zoom goes, a power of two
guess: float = 0.5  # your prediction, see the first picture

# %%
import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import child, stream
from nfdlab.core.types import ObservationBatch, Observations
from nfdlab.diffusion import samplers, schedule
from nfdlab.diffusion.noise import white
from nfdlab.evaluate import ablation
from nfdlab.evaluate.calibration import coverage
from nfdlab.evaluate.results import Table
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style
from nfdlab.recipes import views_for

if budget == "smoke":
    tasks, toy_steps = 4, 30
problem, coords, Random = nfd.problems.get("sawtooth1d"), nfd.cell_centres((256,)), nfd.patterns.Random
# the exact posterior, and the best linear answer
oracle, linear = problem.oracle(), nfd.baselines.get("optimal_interpolation", problem)
truth = problem.draw(1, seed=seed)
seen = nfd.observe(truth, Random(count=keep), noise_std=0.05, seed=seed)

# %%
watch = LossWatch("field, then diffusion")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("sparse_conditional", problem, budget=budget, seed=seed, device=device, watch=watch)
exact, draws = oracle.draw(seen, 64, seed=seed), model.draw(seen, 64, seed=seed)
spread = [f(coords).var(0).mean().sqrt().item() for f in (exact, draws)]
plots.bands(
    problem.card,
    truth=truth,
    seen=seen,
    exact=exact,
    model=draws,
    title=f"{keep} observations: the model's spread is {spread[1] / spread[0]:.2f} of the exact one "
    f"(you said {guess:g})",
)

# %% [markdown]
# The band is widest where a jump may lie: there some draws have jumped already and others not yet. Elsewhere it is narrow. The
# title compares the spreads on this one task; *Against the others* does so on 150.
#
# Every orange line is a *function*: asked at 256 places or at one, it gives the same value. To zoom is not to draw again. The
# diffusion chooses the curve's values at 128 points only, and a neural field fills in what lies between. *Predict:* real
# sawtooths stay between −0.5 and 0.5. Do all draws? The next picture zooms in on the draw that goes furthest, where it does so.

# %%
zoomed = torch.linspace(-0.02, 0.02, 5)[:, None]
assert torch.allclose(draws(torch.cat([coords, zoomed]))[:, -5:], draws(zoomed), atol=1e-5)
latent_points, between = nfd.cell_centres((128,)), nfd.cell_centres((4096,))
beyond = [(draws(places).abs() > 0.6).any(1).float().mean().item() for places in (latent_points, between)]
worst, at = divmod(int(draws(between).abs().argmax()), len(between))  # which draw goes furthest, and where
plots.ladder(
    problem.card,
    {"truth": truth, "model": draws[worst : worst + 1]},
    centre=tuple(between[at].tolist()),
    scales=[2**k for k in range(scale.bit_length())],
    title=f"The draw that goes furthest, closer and closer. Beyond ±0.6 somewhere: {beyond[1]:.0%} of 64 draws\n"
    f"at 4096 places, {beyond[0]:.0%} at the 128 points that the diffusion chooses",
)

# %% [markdown]
# Not all. A few draws go too far, in a thin spike beside a jump (upper row: truth; lower row: the draw). They do so only
# *between* the 128 points that the diffusion works on, so the field does it. What the field is good for is measured under *Who
# does the work?*
#
# ## Idea in symbols
#
# Let $S = \{(x_i, y_i)\}$ be the observations. A network that is trained to give the curve itself, by squared error, gives the
# mean of all curves that are possible, and that is no sawtooth (`00a`). So draw the curve by diffusion instead. Three parts, each
# small:
#
# 1. **A local latent.** The box is cut into 32 cells. $z$ holds the values of the function at 128 points, four in each cell, in
#    units of their standard deviation. A *field* turns $z$ into a function: $f(x) = \mathrm{lin}(z, x) + w(x)\,\mathrm{net}(z
#    \text{ near } x,\, x)$, linear interpolation plus what a local network adds between the points; $w$ is 0 at the points.
# 2. **An encoder.** It turns the observations into $e(S)$, features on the same cells. *SetConv* (a convolution of a set) says
#    how many observations are near each point of a grid, and what their mean is; ordinary convolutions follow. Any number of
#    observations, even none, gives features of the same shape.
# 3. **A conditional diffusion.** Add noise at a level $\sigma$, $z_\sigma = z + \sigma \varepsilon$, and let a network learn the
#    mean of the clean latent, given the noisy one *and the observations*; then walk from much noise to none, as in `00c` (there
#    $z$ was the noisy one):
#
# $$D(z_\sigma, \sigma, e) \approx \mathbb{E}[z \mid z_\sigma,\; S], \qquad
#   \frac{\mathrm{d}z_\sigma}{\mathrm{d}\sigma} = \frac{z_\sigma - D(z_\sigma, \sigma, e)}{\sigma}, \qquad
#   D = \frac{z_\sigma}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\, F(z_\sigma, \sigma, e).$$
#
# The last formula is the wrapping of `00c` (`skip` and `out`) for numbers of spread 1; $F$ is the network. If $D$ is the mean
# given $z_\sigma$ alone, the walk ends in a draw of the prior; if it is the mean given $z_\sigma$ *and* $S$, in a draw of the
# posterior. Nothing else changes. There is no kriging inside, and no formula of a sawtooth: all that the network learns comes
# from examples.
#
# ## Smallest version
#
# From nothing, in four steps. **First, the observations.** There may be two of them or twenty, in any order, but a convolution
# wants a grid. SetConv makes one. At each of 64 points it adds up weights: at the point $x$, an observation at $x_i$ weighs
# $e^{-(x - x_i)^2/(2 \cdot 0.03^2)}$, so 1 at the point itself and almost nothing further than 0.1 away. The sum is the
# *density*; dividing it by 1 + itself brings it between 0 and 1, a good size for a network. The weighted mean of the values is
# the second row (0.1 is added below so that nobody divides by 0). *Predict:* what do the two rows look like where nothing was
# seen?

# %%
grid, unit = nfd.cell_centres((64,))[:, 0], 12**0.5  # a sawtooth's std is 1/√12


def channels(seen):  # a batch of observations, coords (b, m, 1) -> density and mean at the grid's points (b, 2, 64)
    near = torch.exp(-(seen.coords - grid).square() / (2 * 0.03**2)) * seen.mask[..., None]  # mask: 0 for padding
    density, total = near.sum(1), (near * seen.values).sum(1)
    return torch.stack([density / (1 + density), unit * total / (density + 0.1)], 1)


rows = channels(ObservationBatch.of([seen]))[0]
figure, axes = style.picture(2, 1, size=(7.2, 3.6), sharex=True)
for (ax,), row, words in zip(axes, rows, ("density / (1 + density)", "mean, in std"), strict=True):
    ax.plot(grid, row, color=style.BASELINE, marker=".", ms=4, lw=1.2)
    style.dress(ax, y=words)
axes[1, 0].scatter(seen.coords[:, 0], unit * seen.values[:, 0], s=26, color=style.DOT, edgecolors=style.RING, zorder=5)
axes[1, 0].set_xlabel(problem.card.axes[0])
style.headline(figure, f"{keep} observations become {rows.numel()} numbers;\n"
               f"the density says 'nothing near' at {(rows[0] < 0.1).float().mean():.0%} of the points")
figure

# %% [markdown]
# Both are 0 where nothing is near. The density is needed: without it, "nothing seen" and "a value of 0 seen" would be the same.
#
# **Second, the network and its training.** Its input has four rows of 64 points: the noisy curve, the noise level, and the two
# rows above. Convolutions with gaps (*dilated* ones) let each point see 32 points to either side, half of the box. The loss is
# that of `00c`, with weights that make every noise level count alike: a network that always says 0 has a loss of 1 at each of
# them. Observations are random in number (mostly 0 to 32) and place, anew at each step, so the network learns all these questions
# at once. *Predict:* can the loss reach 0?

# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    layers = [torch.nn.Conv1d(4, 48, 9, padding=4), torch.nn.SiLU()]
    for gap in (2, 4, 1):  # how far apart the inputs of a convolution are
        layers += [torch.nn.Conv1d(48, 48, 9, padding=4 * gap, dilation=gap), torch.nn.SiLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Conv1d(48, 1, 1))


def denoise(z, sigma, e):  # D(z, sigma, e) for z (b, 64), sigma (b, 1), e (b, 2, 64)
    total = (1 + sigma**2).sqrt()
    stack = torch.stack([z / total, (sigma.log() / 4).expand_as(z)], 1)
    return z / total**2 + sigma / total * net(torch.cat([stack, e], 1))[:, 0]


adam, rng, losses = torch.optim.Adam(net.parameters(), 2e-3), stream(seed, "toy"), []
views = views_for(problem)  # observes a batch of functions at random places, each another number of them
for i in range(toy_steps):
    fields = problem.draw(64, seed=child(seed, "toy", i))  # 64 fresh sawtooths; child(…): another seed each step
    clean, e = unit * fields(grid[:, None])[..., 0], channels(views(fields, seed=child(seed, "toy views", i)))
    sigma = torch.exp(1.4 * torch.randn(64, 1, generator=rng))
    noisy = clean + sigma * torch.randn(clean.shape, generator=rng)
    loss = ((1 + sigma**2) / sigma**2 * (denoise(noisy, sigma, e) - clean).square()).mean()
    adam.zero_grad(), loss.backward(), adam.step()
    losses.append(loss.item())
print(f"{toy_steps} steps: loss {sum(losses[:20]) / 20:.2f} -> {sum(losses[-20:]) / 20:.2f}")

# %% [markdown]
# It cannot: many curves fit the same observations and the same noisy curve, and the loss says how much they differ (`00c`).
#
# **Third, draws.** From pure noise down to none, as in `00c`; the only change is that the network is given $e$ at every step. All
# tasks are drawn at once: each row of $z$ is a draw, each task has 32 of them. The first task is shown.
#
# **Fourth, the score**, in the cell after it, because one picture proves little: the CRPS (lower is better) of four contestants
# on the same tasks. *Predict:* the best linear answer has several times the exact posterior's CRPS. How many times will the toy
# have, after less than a minute of training?

# %%
n, m = 32, 4
cases = [problem.draw(1, seed=child(seed, "toy task", i)) for i in range(tasks)]
given = [nfd.observe(case, Random(count=m), noise_std=0.05, seed=i) for i, case in enumerate(cases)]
e, levels = channels(ObservationBatch.of(given)).repeat_interleave(n, 0), schedule.karras(24, 0.02, 20.0)
z = levels[0] * white(len(e), (64,), seed=seed)
with torch.no_grad():
    for now, then in zip(levels[:-1], levels[1:], strict=True):  # first order, as `walk` of 00c
        guess_now = denoise(z, now.expand(len(z), 1), e)
        z = guess_now + then / now * (z - guess_now)
drawn = (z / unit).unflatten(0, (tasks, n))  # (tasks, draws, points)
first = EvaluatedFields(lambda x, part: interpolate(drawn[0, part][:, None], x), n, 1)  # straight between the points
best = oracle.draw(given[0], n, seed=seed)
wide = [f(grid[:, None]).var(0).mean().sqrt().item() for f in (best, first)]
plots.bands(problem.card, truth=cases[0], seen=given[0], exact=best, toy=first,
            title=f"The toy after {toy_steps} steps: its spread is {wide[1] / wide[0]:.2f} of the exact one, one task")

# %%
rows = []
for i, (case, some) in enumerate(zip(cases, given, strict=True)):
    others = {"library": model, "best linear answer": linear, "exact": oracle}
    values = {"toy": drawn[i, ..., None], **{k: f.draw(some, n, seed=i)(grid[:, None]) for k, f in others.items()}}
    rows += [{"contestant": name, "m": m, "task": i, "crps": crps(v, case(grid[:, None])[0]).item(),
              "variance": v.var(0).mean().item()} for name, v in values.items()]
scored = Table(pd.DataFrame(rows), problem.card.name, "exact", n, seed)
ratio = pd.DataFrame({name: scored.ratio("crps", name).loc["mean"] for name in scored.contestants}).T
ratio = ratio.sort_values("crps")
toy = ratio["crps"]
ratio.columns = ["CRPS / exact", "95 % from", "to"]
spreads = [scored.ratio("spread", name).loc["mean"] for name in ratio.index]
ratio["spread / exact"], ratio["from"], ratio["to "] = ([row[k] for row in spreads] for k in ("spread", "low", "high"))
toy_gain = Table(scored.rows, problem.card.name, "best linear answer", n, seed).ratio("crps", "toy").loc["mean"]
ratio.style.format("{:.2f}").set_caption(
    f"{tasks} tasks of {m} observations, {n} draws each, 95 % intervals; 1.00 is the exact posterior. The toy's CRPS "
    f"is {toy_gain['crps']:.2f} [{toy_gain['low']:.2f}, {toy_gain['high']:.2f}] of the best linear answer's on the "
    "same tasks.")

# %% [markdown]
# The toy is a conditional diffusion in forty lines: it already beats every linear answer. (The intervals of two rows may overlap,
# because some tasks are hard for both. The caption compares the two task by task, and its whole interval lies below 1.) The toy's
# band is too wide: it is less sure than it could be. What the library adds: a U-Net in place of four convolutions, SetConv
# channels on a finer grid, a field between the points, weights averaged over training, and more steps.
#
# > **How this differs from the papers.** Observations enter by SetConv, as in Gordon et al. 2020, whose network answers with one
# > Gaussian for each place; here a diffusion draws whole curves. That a diffusion's network is given what was observed, and the
# > sampler stays as it is, is the way of Saharia et al. 2023, who sharpen pictures (a small picture is given there, and
# > scattered points here). The loss, the noise levels and the wrapping (*preconditioning*) are those of Karras et al. 2022. The
# > field is that of LIIF (Chen et al. 2021), made to pass through the latent's values. Latent diffusions (Rombach et al. 2022)
# > learn their latent, as lesson 01 does; here it is read off the function, which costs nothing to train.
#
# ## The library's version
#
# One line, `model.draw`; but what does that line do? The same three parts, by hand, and at the end a check that the numbers are
# the same. **First the latent:** the encoder makes $e$ of the observations, then the sampler walks. The `lambda` is $D$ as
# written under *Idea in symbols*; `samplers.sample(…, "dpmpp")` is `dpm` of `00c`, which was checked there.

# %%
n, steps, parts = 4, 12, model.net
with torch.no_grad():
    e = parts.encoder(parts.setconv(ObservationBatch.of([seen]).to(model.device)))  # of the observations
    sigmas = model.sigmas(steps)
    z = sigmas[0] * white(n, parts.shape, seed=seed).to(model.device)
    z = samplers.sample(
        lambda z, s: z / (1 + s**2) + s / (1 + s**2).sqrt() * parts.denoiser.net(
            z / (1 + s**2).sqrt(), (s.log() / 4).expand(1), e), z, sigmas, method="dpmpp")
print(f"e: {e.shape[1]} features on {e.shape[2]} cells; "
      f"z: {n} draws, {z.shape[1]} numbers in each of {z.shape[2]} cells")

# %% [markdown]
# **Then the function.** A place lies between the middles of two cells. The network of each answers, given what that cell holds
# (`memory`) and how far the place is from its middle; the two answers are blended by distance. $w$ (`away`) takes the sum to zero
# at the latent's points. *Predict:* how large is what the network adds, beside linear interpolation?

# %%
auto, x = parts.autoencoder, coords.to(model.device)
field, place = auto.decoder.field, (x + 1) / 2 * z.shape[-1] - 0.5  # in cells: 0 is the middle of the first
left = place.floor().clamp(0, z.shape[-1] - 2)
share, added = (place - left).clamp(0, 1), 0
with torch.no_grad():
    memory = field.project(auto.decoder(z))  # (n, cells, width)
    for cell, weight in ((left, 1 - share), (left + 1, share)):  # the two cells beside each place
        near = field.place(field.encode((place - cell) / 1.5))
        added = added + weight * field.answer(memory[:, cell[:, 0].long()] + near)
    line, added = interpolate(auto.points(z), x), auto.away(x) * added
    values = line + added  # lin + w net
library = model.draw(seen, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values.cpu(), library, atol=1e-4)
power = added.square().flatten().sort(descending=True).values.cumsum(0)
few = (power < 0.9 * power[-1]).float().mean().item()  # share of places that hold nine tenths of what it adds
print(f"by hand and by library: {(values.cpu() - library).abs().max():.0e} apart; the network adds "
      f"{added.std() / line.std():.0%} of the line's spread, at most {added.abs().max():.2f}; "
      f"nine tenths of it (of its squares) at {few:.1%} of the places")

# %% [markdown]
# ## Turn the knobs
#
# (By hand and by library agree. The network adds nearly all that it adds at very few places: inside a jump, where a straight line
# between two points of the latent would be a ramp.)
#
# The sliders say how much is seen, which pattern, how noisy, how many draws, which sampler, how close. Below the picture stands
# the CRPS of model and exact posterior on this task, and the ratio over many tasks, because one task's ratio is mostly chance.
# *Predict* each of these, then try it:
#
# - no observations at all: the draws are sawtooths of all kinds, so the band is nearly the whole height;
# - click the picture to add an observation beside a jump: the band narrows in the other teeth too, because all teeth are equally
#   long;
# - drag an observation to a value that contradicts the others (a double click removes it); *Where it breaks* measures what happens;
# - `scale` at 32: the same draws, asked at other places. Nothing is drawn again.
#
# Choose `score_field` under `against` for a second contestant, or the problem `digits2d` for handwriting.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# The CRPS, as a ratio to that of draws of the exact posterior: same observations, same number of draws. 1.00 is the best
# possible; $m$ is the number of observations. *Predict:* where will the best linear answer be worst: with few observations or
# with many?

# %%
display(kept_scores({"sawtooth1d": model}))  # measured when the weights were made
rivals = {"model": model, "optimal_interpolation": linear}  # measured now
table = compare(rivals, problem, counts=(2, 4, 8, 16), tasks=tasks // 2, draws=32, seed=seed)
found = {name: table.ratio("crps", name).loc["mean"] for name in rivals}
plots.ratios(
    {name: table.ratio("crps", name).T.to_dict("list") for name in rivals},
    title=f"CRPS over exact, {tasks // 2} tasks at each m; mean over m, 95 % interval:\n" + "\n".join(
        f"{name} {row['crps']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for name, row in found.items()
    ),
)

# %% [markdown]
# With more observations the exact posterior gets sharp; the best linear answer does not, because it rounds every jump. So its
# ratio grows. **How close are we?** The model's interval reaches from a little below 1 to a little above: these few tasks cannot
# tell it from the exact posterior. The table above the picture has 150 tasks at each number of observations, and finds a few
# percent more than the exact error, a spread of 1.00 to 1.02 of the exact one, and about 0.90 of the truth inside the 90 % band.
#
# ### Handwriting
#
# Real data: a digit from 48 of its 784 pixels. Nobody knows the exact posterior here, so we compare with the best linear answer,
# made from the same training digits, and ratios below 1 are possible. *Predict:* what will one draw of the diffusion look like,
# and what the mean of many?

# %%
digits = nfd.problems.held_out(nfd.problems.get("digits2d"))  # digits that no training saw
digit = digits.draw(1, seed=seed + 1)
pixels = nfd.observe(digit, Random(count=48), noise_std=0.05, seed=seed)
writer = nfd.load_or_train("sparse_conditional", "digits2d", seed=seed, device=device,
                           budget=budget if budget == "reference" else "smoke")
written, kept, rows = writer.draw(pixels, 48, seed=seed), writer.about["scores"], []
linear_, places = nfd.baselines.get("optimal_interpolation", nfd.problems.get("digits2d")), nfd.cell_centres((28, 28))
for i in range(tasks):
    case = digits.draw(1, seed=child(seed, "digit", i))
    some = nfd.observe(case, Random(count=48), noise_std=0.05, seed=i)
    rows += [{"contestant": who, "m": 48, "task": i, "crps": crps(
        f.draw(some, 16, seed=i)(places), case(places)[0]).item()}
        for who, f in (("linear", linear_), ("model", writer))]
gain = Table(pd.DataFrame(rows), digits.card.name, "linear", 16, seed).ratio("crps", "model").loc["mean"]
one = {"truth": digit, "mean of 48": EvaluatedFields(lambda x, part: written(x).mean(0, keepdim=True), 1, 2),
       "one draw": written[:1], "another": written[1:2]}
figure, (axes,) = style.picture(1, 4, size=(9.2, 3.0))
low, high = digit(places).aminmax()
for ax, (name, f) in zip(axes, one.items(), strict=True):
    ax.imshow(f(nfd.cell_centres((112, 112)))[0].reshape(112, 112).cpu(), cmap=style.FIELD_MAP, vmin=low, vmax=high)
    ax.set_xticks([]), ax.set_yticks([]), style.dress(ax, title=name)
axes[0].scatter(*((pixels.coords.flip(1) + 1) * 56 - 0.5).T, s=9, color=style.DOT, edgecolors=style.RING, lw=0.6)
style.headline(figure, f"CRPS over the best linear answer's, {tasks} digits, 48 pixels: {gain['crps']:.2f} "
               f"[{gain['low']:.2f}, {gain['high']:.2f}]")
display(kept_scores({"digits2d": writer}))
figure

# %% [markdown]
# The draws are sharp strokes; the mean is blurred where they disagree. The interval in the title lies below 1: the diffusion
# gains. The table was measured when the shipped weights were made, on 40 other digits at each number of pixels: the gain is
# larger with many pixels than with few. (Its 90 % band holds more than 90 % of the pixels, because most of them are paper and
# never in doubt.)
#
# ## Who does the work?
#
# Take a part away and measure again, on the same tasks:
#
# - *field silenced*: the local network is taken away, and straight lines join the 128 points;
# - *Gaussian draws*: the model's draws are replaced by draws of a Gaussian with the same mean and covariance. The shape of the
#   distribution is lost. (The same is done to the exact posterior, to see what that alone costs.)
# - `optimal_interpolation`: all networks are taken away, and the best linear answer remains.
#
# *Predict:* which costs most, and which nothing? `nfdlab ablate sparse_conditional sawtooth1d` measured it, on 30 tasks at each
# number of observations; the table is kept with the weights. Thin lines are 95 % intervals.

# %%
worth = ablation.worth(ablation.kept("sparse_conditional", "sawtooth1d"))["to full"]  # the numbers of the picture
plots.worth("sparse_conditional", "sawtooth1d")

# %% [markdown]
# On curves that jump the best linear answer has several times the error: encoder and diffusion do the work. A Gaussian of the
# same mean and covariance costs about a tenth of the CRPS; a Gaussian in place of the exact posterior costs at least as much, so
# this is the price of the shape and no fault of the model. (Kriging is there for comparison.)
#
# *Field silenced* costs nothing that this table can show, because the CRPS is taken at the latent's own points, where the field
# adds nothing. So measure *between* them. *Predict:* with 16 observations, by what factor does the error grow there without the
# field?

# %%
rows, silent = [], ablation.silenced(model, "field", problem)
for i in range(tasks):
    case = problem.draw(1, seed=child(seed, "between", i))
    some = nfd.observe(case, Random(count=16), noise_std=0.05, seed=i)
    rows += [{"contestant": who, "m": 16, "task": i, "crps": crps(
        f.draw(some, 24, seed=i)(between).cpu(), case(between)[0]).item()}
        for who, f in (("field silenced", silent), ("full", model))]
costs = Table(pd.DataFrame(rows), problem.card.name, "full", 24, seed).ratio("crps", "field silenced").loc["mean"]
print(f"CRPS at 4096 places, field silenced over full, {tasks} tasks of 16 observations: "
      f"{costs['crps']:.2f} [{costs['low']:.2f}, {costs['high']:.2f}]")

# %% [markdown]
# The whole interval lies above 1: the field is worth about a tenth of the CRPS. A straight line from point to point makes a ramp of
# every jump. The field knows better, and pays with the rare spikes of the second picture.
#
# ## Where it breaks
#
# Three attempts to break it. **(a) All observations in the left third.** The right side is far from all of them. *Predict:* will
# the model's 90 % band still hold 90 % of the truth there? (Measured: the share of places on the right where the band holds the
# truth.)

# %%
rows, inside = [], {}
right = coords[coords[:, 0] > -1 / 3]  # where nothing is seen
for i in range(tasks):
    case = problem.draw(1, seed=2000 + i)
    third = nfd.observe(case, Random(count=keep), seed=i).coords / 3 - 2 / 3  # places moved into the left third
    some = Observations(third, case(third)[0] + 0.05 * white(1, third.shape, seed=i)[0], 0.05)
    answers = {who: f.draw(some, 32, seed=i) for who, f in (("exact", oracle), ("model", model))}
    rows += [{"contestant": who, "m": keep, "task": i, "coverage90": coverage(f(right), case(right)[0]).item()}
             for who, f in answers.items()]
shares = Table(pd.DataFrame(rows), problem.card.name, "exact", 32, seed)
inside["one side"] = pd.DataFrame({who: shares.ratio("coverage90", who).loc["mean"] for who in answers})
plots.bands(
    problem.card,
    truth=case,
    seen=some,
    exact=answers["exact"],
    model=answers["model"],
    title=f"On the right, where nothing is seen, the 90 % band holds ({tasks} tasks, 95 % interval):\n" + ", ".join(
        f"{who} {share:.0%} [{low:.0%}, {high:.0%}]" for who, (share, low, high) in inside["one side"].items()),
)

# %% [markdown]
# (a) does not break it: the model's band holds about what the exact one holds. Few observations on one side occur in training now
# and then. (The intervals are wide because the places of one curve are right or wrong together.)
#
# **(b) Two observations that contradict each other**: at one place, 0.8 apart, although the noise is 0.05. They cannot both be
# right. For comparison: two at one place that agree. *Predict:* will the answer at that place be less sure when they contradict
# each other? The *misfit* says how far the mean of the draws is from the observations, as a root mean square in units of the
# noise: about 1 or less is right.

# %%
rows = []
for i in range(tasks):
    case = problem.draw(1, seed=3000 + i)
    some = nfd.observe(case, Random(count=keep - 1), noise_std=0.05, seed=i)
    x, y = some.coords[:1], case(some.coords[:1])[0]
    for apart in (0.0, 0.8):
        pair = [some.coords[1:], x, x], [some.values[1:], y + apart / 2, y - apart / 2]
        twice = Observations(*map(torch.cat, pair), 0.05)
        at = {who: f.draw(twice, 32, seed=i)(twice.coords) for who, f in (("exact", oracle), ("model", model))}
        (std, mean), (std_, mean_) = (torch.std_mean(v[:, -1, 0]) for v in at.values())
        misfit = ((at["model"].mean(0) - twice.values) / 0.05).square().mean().sqrt()
        rows.append([apart, *map(float, (std, std_, (mean_ - mean).abs() / std, misfit))])
names = ["apart", "exact: std there", "model: std there", "model off by, in exact std", "model: misfit"]
clash = pd.DataFrame(rows, columns=names).groupby("apart").agg(["mean", "sem"])
text = {name: [f"{mean:.3f} ± {1.96 * sem:.3f}" for mean, sem in clash[name].to_numpy()] for name in names[1:]}
display(pd.DataFrame(text, index=["they agree", "0.8 apart"]).style.set_caption(
    f"two observations at one place, {keep - 2} elsewhere; mean over {tasks} tasks, ± 1.96 standard errors"))
agree, clashing = (clash.xs("mean", axis=1, level=1).loc[apart] for apart in (0.0, 0.8))
plots.bands(problem.card, truth=case, seen=twice, exact=oracle.draw(twice, 64, seed=1),
            model=model.draw(twice, 64, seed=1),
            title="Two observations 0.8 apart. Compared with two that agree, the model's\n"
            f"std there is {clashing.iloc[1] / agree.iloc[1]:.2f} times as large, "
            f"its misfit {clashing.iloc[3]:.1f} instead of {agree.iloc[3]:.1f}")

# %% [markdown]
# No. The contradiction leaves no trace in the draws, neither of the model nor of the exact posterior. For Bayes' rule with normal
# noise of a known size only the mean of the two values matters, and it is as sure as if they agreed; SetConv takes a mean too.
# (The model's answer there is less than one standard deviation of the exact posterior away from the exact one.) The misfit shows
# the contradiction.
#
# **(c) Curves of another kind**: smooth ones, which this model never saw. Kriging is asked too; it fits its kernel to each task.
# *Predict:* how much of the truth will the model's 90 % band hold? And what will its misfit be?

# %%
smooth, rows = nfd.problems.get("gp1d"), []
for i in range(tasks):
    case = smooth.draw(1, seed=2000 + i)
    some = nfd.observe(case, Random(count=12), noise_std=0.05, seed=i)
    fits = {"exact": smooth.oracle(), "model": model, "kriging": nfd.baselines.get("kriging")}
    answers = {who: f.draw(some, 32, seed=i) for who, f in fits.items()}
    rows += [{"contestant": who, "m": 12, "task": i, "coverage90": coverage(f(coords), case(coords)[0]).item(),
              "misfit": ((f(some.coords).mean(0) - some.values) / 0.05).square().mean().sqrt().item()}
             for who, f in answers.items()]
shares = Table(pd.DataFrame(rows), smooth.card.name, "exact", 32, seed)
inside["another kind"] = pd.DataFrame({who: shares.ratio("coverage90", who).loc["mean"] for who in answers})
misfit = shares.rows.groupby("contestant")["misfit"].median()
check = Exercises({  # for the exercises at the end
    1: (lambda few: few <= 12 or budget == "smoke", "Compare the spreads at 4, 8 and 20 steps."),
    2: (lambda answer: answer[1] > answer[0] or budget == "smoke", "Told of more noise, it should be less sure."),
    3: (lambda answer: answer[1] < answer[0] or budget == "smoke",
        "Is the new observation where the draws disagree most?"),
})
plots.bands(smooth.card, truth=case, seen=some, exact=answers["exact"], model=answers["model"],
            title=f"Smooth curves: the 90 % band holds ({tasks} tasks of 12 observations, 95 % interval)\n" + ", ".join(
                f"{who} {share:.0%} [{low:.0%}, {high:.0%}]" for who, (share, low, high) in
                inside["another kind"].items()) + "\nmisfit, median: " + ", ".join(
                f"{who} {misfit[who]:.1f}" for who in answers))

# %% [markdown]
# (c) breaks it: the model draws sawtooths all the same, and its band holds a small part of the truth. The model is *amortised*:
# trained once, then asked about any observations without a new fit. **An amortised model answers with the confidence of the world
# it was trained in.** It has no way to notice that the world changed; kriging, which fits its kernel to the observations, has.
# But *you* can notice: its draws miss the very observations that they were given. **Before you trust a band, compare the draws
# with what was observed.**
#
# **When to use it:** many tasks of one kind, any number and layout of observations, and functions that are not Gaussian, such as
# curves that jump. **When not:** one task only (training costs more than kriging), or data unlike any you can train on. **Cost:**
# the minutes of training are in the two tables of scores; no fitting when it is asked.
#
# ## Exercises
#
# Each solution ends in `check(number, answer)`, which says whether the answer holds.
#
# **1 · Turn a knob.** How few sampler steps can you afford? Compare the spread of the draws at 4, 8 and 20 steps of Euler
# and of DPM-Solver++.
#
# <details><summary>Solution</summary>
#
# ```python
# for sampler in ("euler", "dpmpp"):
#     row = {k: model.draw(seen, 64, seed=1, steps=k, sampler=sampler)(coords).std(0).mean().item() for k in (4, 8, 20)}
#     print(sampler, {k: round(s, 3) for k, s in row.items()}, "exact", round(exact(coords).std(0).mean().item(), 3))
# assert check(1, min(k for k in row if abs(row[k] / row[20] - 1) < 0.1))
# ```
#
# </details>
#
# **2 · Change a line.** The observations say how noisy they are (`noise_std`). What if that number is wrong? Give the model 0.5
# where the truth is 0.05.
#
# <details><summary>Solution</summary>
#
# ```python
# modest = Observations(seen.coords, seen.values, noise_std=0.5)
# honest, shy = (model.draw(s, 64, seed=1)(coords).std(0).mean().item() for s in (seen, modest))
# print(f"spread {honest:.3f} given 0.05, {shy:.3f} given 0.5")       # it trusts the observations less, as it should
# assert check(2, [honest, shy])
# ```
#
# </details>
#
# **3 · Write a piece.** Where would one more observation help most? Score each place by the spread of the draws there, measure at
# the winner, and see how much the spread falls.
#
# <details><summary>Solution</summary>
#
# ```python
# where = coords[draws(coords).std(0)[:, 0].argmax()][None]
# value = truth(where)[0] + 0.05 * torch.randn(1, 1, generator=torch.Generator().manual_seed(seed))
# more = Observations(torch.cat([seen.coords, where]), torch.cat([seen.values, value]), 0.05)
# after = model.draw(more, 64, seed=seed)(coords).std(0).mean()
# print(f"measured at x = {where.item():.2f}: mean spread {draws(coords).std(0).mean():.3f} -> {after:.3f}")
# assert check(3, [draws(coords).std(0).mean(), after])
# ```
#
# </details>
#
# **Five questions.** What do the observations leave open, and where is it widest here? Why can the best linear answer not follow
# a jump? What does the encoder make of no observations at all? Which two failures above does the model not notice, and what shows
# them? When is kriging the better choice?
#
# ## Further reading
#
# - Gordon et al. 2020, *Convolutional conditional neural processes* ([1910.13556](https://arxiv.org/abs/1910.13556)):
#   observations as density and mean on a grid.
# - Karras et al. 2022, *Elucidating the design space of diffusion-based generative models*
#   ([2206.00364](https://arxiv.org/abs/2206.00364)): the denoiser language, the preconditioning, the noise levels.
# - Saharia et al. 2023, *Image super-resolution via iterative refinement* ([2104.07636](https://arxiv.org/abs/2104.07636)):
#   the denoiser is given what was observed.
# - Lu et al. 2022, *DPM-Solver++* ([2211.01095](https://arxiv.org/abs/2211.01095)): second order for one evaluation a
#   step.
# - Ronneberger et al. 2015, *U-Net* ([1505.04597](https://arxiv.org/abs/1505.04597)): convolutions on a grid and on
#   coarser ones, added on the way up.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*
#   ([2012.09161](https://arxiv.org/abs/2012.09161)): the local field.
# - Rasmussen & Williams 2006, *Gaussian processes for machine learning*
#   ([gaussianprocess.org/gpml](https://gaussianprocess.org/gpml)): the best linear answer, and kriging.
#
# <details><summary>Answers to the five questions</summary>
#
# 1. Which curve it is: where its jumps lie. The band is widest beside a jump that no observation fixes.
# 2. Its draws are Gaussian, and their mean is a weighted sum of the observed values with weights that do not depend on these
#    values; where a jump lies does depend on them.
# 3. Features of the usual shape from a density of 0 and a mean of 0: the draws are then draws of the prior.
# 4. The contradiction and the other kind of curve. In both cases the misfit is large: the draws miss the observations.
# 5. For smooth curves, for a single task, and for data unlike any that a network was trained on.
#
# </details>
