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
# A few noisy numbers do not determine a curve. They leave a *distribution* over curves, the posterior. The curves here are sawtooths:
# straight rises and sudden jumps. Two numbers fix such a curve (how long its teeth are, where they begin), so one can try all pairs, and
# the posterior is known exactly. The *best linear answer* (optimal interpolation, a relative of kriging) is a Gaussian that knows only
# the curves' mean and covariance: how the values at two places vary together. How far is it from the exact posterior, and how close
# does a *conditional* diffusion come, one that is given the observations? Then the same is asked about handwritten digits.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.
#
# ## Picture
#
# *Predict, and write it down* as `guess` in the next cell: the black curve is the truth, the model sees only the observations.
# Where will its band be wide? And how large is its spread (standard deviation) on the whole, as a share of the exact one (blue)?
# Networks are often too sure: their bands are too narrow.
#
# With `budget = "reference"` the cell after the imports loads the trained weights that come with the package. `"lesson"` trains a smaller model
# here, in two minutes of one core, with a live loss curve and a button to stop.

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
# The band is widest where a jump may lie. Every orange line is a *function*: asked at 256 places or at one, it gives the same
# value. To zoom is not to draw again. Real sawtooths stay between −0.5 and 0.5. *Predict:* do all draws?

# %%
zoomed = torch.linspace(-0.02, 0.02, 5)[:, None]
assert torch.allclose(draws(torch.cat([coords, zoomed]))[:, -5:], draws(zoomed), atol=1e-5)
latent_points, between = nfd.cell_centres((128,)), nfd.cell_centres((4096,))
beyond = [(draws(places).abs() > 0.6).any(1).float().mean().item() for places in (latent_points, between)]
plots.ladder(
    problem.card,
    {"truth": truth, "model": draws},
    scales=[2**k for k in range(scale.bit_length())],
    title=f"One draw, closer and closer: one curve. Beyond ±0.6 somewhere: {beyond[1]:.0%} of 64 draws\n"
    f"at 4096 places, {beyond[0]:.0%} at the 128 points of the latent",
)

# %% [markdown]
# A few draws go too far, in a thin spike beside a jump. They do so only *between* the 128 points that the diffusion works on, so the
# field does it. What the field is good for is measured under *Who does the work?*
#
# ## Idea in symbols
#
# Let $S = \{(x_i, y_i)\}$ be the observations. Three parts, each small:
#
# 1. **A local latent.** The box is cut into 32 cells. $z$ holds the values of the function at 128 points, four in each cell, in units of
#    their standard deviation. A *field* turns $z$ into a function: $f(x) = \mathrm{lin}(z, x) + w(x)\,\mathrm{net}(z \text{ near } x,\, x)$,
#    linear interpolation plus what a local network adds between the points; $w$ is 0 at the points.
# 2. **An encoder.** It turns the observations into $e(S)$, features on the same cells: *SetConv* says how many observations are near, and
#    their mean; ordinary convolutions follow. Any number of observations, even none, gives features of the same shape.
# 3. **A conditional diffusion.** Add noise at a level $\sigma$, $z_\sigma = z + \sigma \varepsilon$, and let a network learn the mean of the clean
#    latent, given the noisy one *and the observations*; then walk from much noise to none, as in `00c` (there $z$ was the noisy one):
#
# $$D(z_\sigma, \sigma, e) \approx \mathbb{E}[z \mid z_\sigma,\; S], \qquad
#   \frac{\mathrm{d}z_\sigma}{\mathrm{d}\sigma} = \frac{z_\sigma - D(z_\sigma, \sigma, e)}{\sigma}, \qquad
#   D = \frac{z_\sigma}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\, F(z_\sigma, \sigma, e).$$
#
# The last formula is the wrapping of `00c` (`skip` and `out`) for numbers of spread 1, each taken for independent of the others (a
# *white* prior). $F$ is the network. There is no kriging inside, and no formula of a sawtooth: training examples are all it gets.
#
# ## Smallest version
#
# From nothing, in four steps. **First, the observations.** There may be two of them or twenty, in any order, but a convolution wants a
# grid. SetConv makes one: at each of 64 points it counts the observations near by (each counts by a Gaussian of width 0.03), and takes
# their mean. *Predict:* what do the two rows look like where nothing was seen?

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
# **Second, the network and its training.** Its input has four rows of 64 points: the noisy curve, the noise level, and the two rows
# above. A few convolutions with growing gaps let each point see the whole box. The loss is that of `00c`, with weights that make
# every noise level count alike. Observations are random in number (mostly 0 to 32) and place, anew at each step: so the network learns all these
# questions at once.

# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    layers = [torch.nn.Conv1d(4, 48, 9, padding=4), torch.nn.SiLU()]
    for gap in (2, 4, 1):
        layers += [torch.nn.Conv1d(48, 48, 9, padding=4 * gap, dilation=gap), torch.nn.SiLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Conv1d(48, 1, 1))


def denoise(z, sigma, e):  # D(z, sigma, e) for z (b, 64), sigma (b, 1), e (b, 2, 64)
    total = (1 + sigma**2).sqrt()
    stack = torch.stack([z / total, (sigma.log() / 4).expand_as(z)], 1)
    return z / total**2 + sigma / total * net(torch.cat([stack, e], 1))[:, 0]


adam, rng, losses, views = torch.optim.Adam(net.parameters(), 2e-3), stream(seed, "toy"), [], views_for(problem)
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
# **Third, draws.** From pure noise down to none, as in `00c`; the only change is that the network is given $e$ at every step. All tasks
# are drawn at once: each row of $z$ is a draw, each task has 32 of them. The first task is shown.
#
# **Fourth, the score**, in the cell after it, because one picture proves little: the CRPS (`00`; lower is better) of four contestants on the same
# tasks. *Predict:* the best linear answer has several times the exact posterior's CRPS. How many times will the toy have?

# %%
n, m = 32, 4
cases = [problem.draw(1, seed=child(seed, "toy task", i)) for i in range(tasks)]
given = [nfd.observe(case, Random(count=m), noise_std=0.05, seed=i) for i, case in enumerate(cases)]
e, levels = channels(ObservationBatch.of(given)).repeat_interleave(n, 0), schedule.karras(24, 0.02, 20.0)
z = levels[0] * white(len(e), (64,), seed=seed)
with torch.no_grad():
    for s, t in zip(levels[:-1], levels[1:], strict=True):  # Euler: from level s to level t
        z = torch.lerp(denoise(z, s.expand(len(z), 1), e), z, float(t / s))
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
ratio["spread / exact"] = [scored.ratio("spread", name).loc["mean", "spread"] for name in ratio.index]
ratio.style.format("{:.2f}").set_caption(
    f"each row: one contestant, over {tasks} tasks of {m} observations, {n} draws each; 1.00 is the exact posterior")

# %% [markdown]
# The toy is a conditional diffusion in forty lines: it already beats every linear answer. Its band is too wide: it is less sure than it could be. What the library adds: a U-Net in place of
# four convolutions, SetConv channels on a finer grid, a field between the points, weights averaged over training, and more steps.
#
# > **How this differs from the papers.** Observations enter by SetConv, as in Gordon et al. 2020; the loss, the noise levels and
# > the wrapping (*preconditioning*) are those of Karras et al. 2022; the field is that of LIIF (Chen et al. 2021), made to pass through
# > the latent's values. Latent diffusions (Rombach et al. 2022) learn their latent; here it is read off the function, which costs
# > nothing to train. The sampler is not changed at all: it is the network that is given the observations.
#
# ## The library's version
#
# One line, `model.draw`; but what does that line do? The same three parts, by hand. **First the latent:** the encoder makes $e$ of the
# observations, then the sampler walks. `samplers.sample(…, "dpmpp")` is `dpm` of `00c`, which was checked there.

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
# (`memory`) and how far the place is from its middle; the two answers are blended by distance. $w$ (`away`) takes the sum to zero at the
# latent's points. *Predict:* how large is what the network adds, beside linear interpolation?

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
print(f"by hand and by library: {(values.cpu() - library).abs().max():.0e} apart; the network adds "
      f"{added.std() / line.std():.1%} of the line's spread, at most {added.abs().max():.2f}")

# %% [markdown]
# ## Turn the knobs
#
# How much is seen, which pattern, how noisy, how many draws, which sampler, how close. The slider `scale` only asks the same draws at
# other places. Below the picture stands the CRPS of model and exact posterior on this task, and the ratio over many tasks, because one
# task's ratio is mostly chance. Click the picture to add a point, drag it to a value that contradicts the others, double click to remove it;
# choose `score_field` under `against` for a second contestant. Change the problem to `digits2d` for handwriting.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# The CRPS, as a ratio to that of draws of the exact posterior: same observations, same number of draws. 1.00 is the best possible; $m$ is
# the number of observations. *Predict:* where will the best linear answer be worst: with few observations or with many?

# %%
rivals = {"model": model, "optimal_interpolation": linear}
table = compare(rivals, problem, counts=(2, 4, 8, 16), tasks=tasks // 2, draws=32, seed=seed)
found = {name: table.ratio("crps", name).loc["mean"] for name in rivals}
plots.ratios(
    {name: table.ratio("crps", name).T.to_dict("list") for name in rivals},
    title=f"CRPS over exact, {tasks // 2} tasks at each m; mean over m, 95 % interval:\n" + "\n".join(
        f"{name} {row['crps']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for name, row in found.items()
    ),
)

# %% [markdown]
# With more observations the exact posterior gets sharp; the best linear answer does not, because it rounds every jump. So its ratio grows.
#
# ### Handwriting
#
# Real data: a digit from a few of its 784 pixels. Nobody knows the exact posterior here, so we compare with the best linear answer, from
# the same training digits. *Predict:* what will one draw of the diffusion look like, and what the mean of many?

# %%
digits = nfd.problems.held_out(nfd.problems.get("digits2d"))  # digits that no training saw
digit = digits.draw(1, seed=seed + 1)
pixels = nfd.observe(digit, Random(count=48), noise_std=0.05, seed=seed)
writer = nfd.load_or_train(
    "sparse_conditional",
    "digits2d",
    seed=seed,
    device=device,
    budget=budget if budget == "reference" else "smoke",
)
written, kept = writer.draw(pixels, 48, seed=seed), writer.about["scores"]
one = {"truth": digit, "mean of 48": EvaluatedFields(lambda x, part: written(x).mean(0, keepdim=True), 1, 2),
       "one draw": written[:1], "another": written[1:2]}
figure, (axes,) = style.picture(1, 4, size=(9.2, 3.0))
low, high = digit(nfd.cell_centres((28, 28))).aminmax()
for ax, (name, f) in zip(axes, one.items(), strict=True):
    ax.imshow(f(nfd.cell_centres((112, 112)))[0].reshape(112, 112).cpu(), cmap=style.FIELD_MAP, vmin=low, vmax=high)
    ax.set_xticks([]), ax.set_yticks([]), style.dress(ax, title=name)
axes[0].scatter(*((pixels.coords.flip(1) + 1) * 56 - 0.5).T, s=9, color=style.DOT, edgecolors=style.RING, lw=0.6)
style.headline(figure, "not measured: trained here" if not kept else "CRPS over the best linear answer's, "
               f"{kept['tasks']} digits at each number m of pixels:\n" + ", ".join(
    f"{ratio:.2f} (m = {m})" for m, ratio in kept["crps"].items() if m.isdigit()))
print("minutes of training:", {name: f"{one.about['budget']['seconds'] / 60:.0f}" for name, one in (
    ("sawtooth1d", model), ("digits2d", writer)) if one.about["budget"]["seconds"]})
figure

# %% [markdown]
# The draws are sharp strokes; the mean is blurred where they disagree. The ratios in the title were measured when the shipped weights
# were made, at random places and with noise of 0.05: the more pixels, the larger the gain.
#
# ## Who does the work?
#
# Take a part away and measure again, on the same tasks. *Gaussian draws*: the model's draws are replaced by draws of a Gaussian with the
# same mean and covariance (the same is done to the exact posterior, to see what that alone costs). `optimal_interpolation`: all networks
# are taken away, and the best linear answer remains. *Field silenced*: only the local network is taken away. *Predict:* which costs most?
# `nfdlab ablate sparse_conditional sawtooth1d` measured it; the table is kept with the weights.

# %%
worth = ablation.worth(ablation.kept("sparse_conditional", "sawtooth1d"))["to full"]
plots.worth("sparse_conditional", "sawtooth1d")

# %% [markdown]
# On curves that jump the best linear answer has several times the error: encoder and diffusion do the work. A Gaussian of the same
# mean and covariance loses the shape of the distribution, and that costs about a tenth of the CRPS.
#
# The local network of the field shows nothing in this table, and cannot: the CRPS is taken at the latent's own points, where it adds
# nothing. So measure *between* them. *Predict:* with 16 observations, what does straight interpolation cost there?

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
# A straight line from point to point makes a ramp of every jump. The field knows better, and pays with the rare spikes of the second picture.
#
# ## Where it breaks
#
# **(a) All observations in the left third.** The right side is far from all of them. *Predict:* will the model's 90 % band still hold 90 % of the
# truth there? The number is the share of places where the band holds the truth.

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
# (a) occurs in training now and then, and the model's band holds about what the exact one holds.
#
# **(b) Two observations that contradict each other**: at one place, 0.8 apart, where the noise is 0.05. Both cannot be right. The *misfit* asks how
# far the mean of the draws is from the observations, as a root mean square in units of the noise: about 1 or less is right. *Predict:* beside two that agree, will
# the answer at that place be less sure?

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
            title="Two observations 0.8 apart; beside two that agree, the model's\n"
            f"std there is {clashing.iloc[1] / agree.iloc[1]:.2f} times as large, "
            f"its misfit {clashing.iloc[3]:.1f} in place of {agree.iloc[3]:.1f}")

# %% [markdown]
# The contradiction leaves no trace in the draws, neither of the model nor of the exact posterior: Bayes' rule for normal noise of a known size takes
# the mean of the two values, and is as sure as if they agreed; SetConv takes a mean too. (The model's answer there is
# less than one standard deviation of the exact posterior away from the exact one.) The misfit shows the contradiction.
#
# **(c) Curves of another kind**: smooth ones, which this model never saw. Kriging, which fits its kernel to each task, is asked too. *Predict:* how much of the truth will its 90 % band hold? And its misfit?

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
check = Exercises({
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
# (c) is the lesson. The model is *amortised*: trained once, then asked about any observations without a new fit. **An amortised model answers with
# the confidence of the world it was trained in.** It has no way to notice that the world changed; kriging, which fits its kernel to the observations, has.
# But *you* can notice: its draws miss the very observations that they were given. **Before you trust a band, compare the draws with what was observed.**
#
# **When to use it:** many tasks of one kind, any number and layout of observations, sharp answers that are not too sure.
# **When not:** one task only (training costs more than kriging), or data unlike any you can train on. **Cost:** the minutes of training are
# printed above the digits; no fitting when it is asked.
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
# **2 · Change a line.** The observations say how noisy they are (`noise_std`). What if that number is wrong? Give the model 0.5 where
# the truth is 0.05.
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
# **3 · Write a piece.** Where would one more observation help most? Score each place by the spread of the draws there, measure at the
# winner, and see how much the spread falls.
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
# **Five questions.** What do the observations leave open, and where is it widest here? Why can the best linear answer not follow a jump? What does
# the encoder make of no observations at all? Which two failures above does the model not notice, and what shows them? When is kriging the
# better choice?
#
# ## Further reading
#
# - Gordon et al. 2020, *Convolutional conditional neural processes* ([1910.13556](https://arxiv.org/abs/1910.13556)):
#   observations as density and mean on a grid.
# - Karras et al. 2022, *Elucidating the design space of diffusion-based generative models*
#   ([2206.00364](https://arxiv.org/abs/2206.00364)): the denoiser language, the preconditioning, the noise levels.
# - Lu et al. 2022, *DPM-Solver++* ([2211.01095](https://arxiv.org/abs/2211.01095)): second order for one evaluation a
#   step.
# - Ronneberger et al. 2015, *U-Net* ([1505.04597](https://arxiv.org/abs/1505.04597)): convolutions on a grid and on
#   coarser ones, added on the way up.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*
#   ([2012.09161](https://arxiv.org/abs/2012.09161)): the local field.
# - Rasmussen & Williams 2006, *Gaussian processes for machine learning*
#   ([gaussianprocess.org/gpml](https://gaussianprocess.org/gpml)): the best linear answer, and kriging.
