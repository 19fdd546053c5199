# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Frames as latents: diffusion over a film, and a field that knows every moment
#
# *before: [`04_coarse_to_fine`](04_coarse_to_fine.ipynb) · next: [`10_sparse_features`](10_sparse_features.ipynb)*
#
# ![four moments of a film, the ghost that an average shows, and two draws that each go one way](pictures/06_temporal_field.png)
#
# ## Question
#
# **What happened between the frames?**
#
# A camera saved every fourth frame, a satellite passes twice a day, a scanner needs a breath for each slice. What lies in
# between has to be filled in, and often it could have gone more than one way. A single answer shows the average of these ways, a
# ghost that never happened. Here each *draw* decides once what happened and stays with it, at any frame rate.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which films, which noise
device: str = "auto"  # auto | cpu | cuda
gap: int = 8  # of the disc every so many frames one is seen
tasks: int = 2  # how many films each number in the tables is averaged over
toy_steps: int = 400  # training steps of the smallest version
guess: float = 0.5  # your prediction, see the wagon wheel

# %%
import math

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.rng import child, normals, stream
from nfdlab.diffusion import samplers, schedule
from nfdlab.evaluate import ablation
from nfdlab.evaluate.continuity import flicker, seam_jump
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style
from nfdlab.panels.film import film

if budget == "smoke":
    tasks, toy_steps = 1, 30
discs, wheel, bunny = (nfd.problems.get(name) for name in ("moving_disc2dt", "two_speed1dt", "film2dt"))
later, Frames = nfd.problems.held_out(bunny), nfd.patterns.Frames
lines, cube = nfd.baselines.get("linear"), nfd.cell_centres((16, 16, 16))
sparse = nfd.cell_centres((8, 8, 8))  # halfway between frames and points

# %% [markdown]
# Three kinds of film, 16 frames each, time as the first coordinate: a disc that bounces off the walls, whose exact answer is known; crops of a real film,
# learned from its first part and tested on a later one; and waves that drift one way *or the other*, the sanity check. Weights for all three ship;
# `budget = "lesson"` trains the first here, in two minutes of one core, with a live loss curve and a button to stop (the others get a few steps).

# %%
watch = LossWatch("latents of frames, then diffusion over a film")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("temporal_field", discs, budget=budget, seed=seed, device=device, watch=watch)
few = budget if budget == "reference" else "smoke"
filmer, roller = (
    nfd.load_or_train("temporal_field", one, budget=few, seed=seed, device=device) for one in (bunny, wheel)
)

# %% [markdown]
# ## Picture
#
# A disc moves and bounces; two of its sixteen frames are seen. The best single answer is the mean of all that may have happened. *Predict:* what does it show
# between the two frames, and after the second? And what does a draw show?

# %%
truth = discs.draw(1, seed=child(seed, "disc"))
seen = nfd.observe(truth, Frames(every=gap), noise_std=0.05, seed=seed)
draws, exact = model.draw(seen, 64, seed=seed), discs.oracle().draw(seen, 64, seed=seed)
still = nfd.cell_centres((32, 32))
moments = nfd.cell_centres((16,))[::3, 0].tolist()
pictures = {t: torch.cat([torch.full((len(still), 1), t), still], 1) for t in moments}
rows = {"truth": lambda at: truth(at)[0], "mean of draws": lambda at: draws(at).mean(0),
        "one draw": lambda at: draws(at)[0], "another draw": lambda at: draws(at)[1]}
sharp = {name: torch.cat([show(at) for at in pictures.values()]).clamp(0, 1) for name, show in rows.items()}
grey = {name: float((4 * values * (1 - values)).mean()) for name, values in sharp.items()}  # 0: all is black or white
figure, axes = style.picture(4, len(moments), size=(1.5 * len(moments), 6.2))
for line, (name, show) in zip(axes, rows.items(), strict=True):
    for ax, (t, at) in zip(line, pictures.items(), strict=True):
        ax.imshow(show(at).reshape(32, 32).cpu(), cmap=style.FIELD_MAP, vmin=0, vmax=1)
        ax.set_xticks([]), ax.set_yticks([])
        style.dress(ax, title=f"t = {t:+.2f}" if name == "truth" else "", y=name if t == moments[0] else None)
style.headline(figure, f"Grey, neither disc nor ground: mean {grey['mean of draws'] / grey['truth']:.1f} times as much "
               f"as the truth, a draw {grey['one draw'] / grey['truth']:.1f} times")
figure


# %% [markdown]
# The mean is a **ghost**: several discs at once, none of which is there. Each draw shows one disc, the same in all frames.
#
# **The wagon wheel**, where all is known. Waves drift to the right or to the left, and nobody says which. When every fifth frame is seen, both directions look
# the same (`00a_problems_and_rulers`). *Predict, and write it down* as `guess` in the cell of parameters: when every *seventh* is seen, what is the probability of
# the likelier direction, from one half (no idea) to 1?

# %%
def direction(fields):
    """How fast the longest wave of each film turns, in units of the true speed: 1 to the right, −1 to the left."""
    values = fields(nfd.cell_centres((16, 32)))[..., 0].cpu().unflatten(1, (16, 32)).to(torch.complex64)
    wave = values @ torch.exp(-1j * torch.pi * nfd.cell_centres((32,))[:, 0])
    turn = (wave[:, :-1].conj() * wave[:, 1:]).sum(1)
    return -turn.imag / (wave[:, :-1] * wave[:, 1:]).abs().sum(1) / math.sin(0.2 * math.pi)


rows = {}
for every in (3, 5, 7):
    sure, apart = [], []
    for s in range(3 * tasks if every == 5 else tasks):
        waves = wheel.draw(1, seed=child(seed, "waves", s))
        some = nfd.observe(waves, Frames(every=every), noise_std=0.05, seed=s)
        both = wheel.prior.posterior(some).log_weights.exp()  # probabilities of right and left, exactly
        share = float((direction(roller.draw(some, 32, seed=s, steps=6)) > 0).float().mean())
        sure.append([float(both.max()), max(share, 1 - share)]), apart.append(abs(share - float(both[0])))
    rows[every] = {**dict(zip(("exact", "draws"), torch.tensor(sure).mean(0).tolist(), strict=True)),
                   "apart": sum(apart) / len(apart)}
odds = pd.DataFrame(rows).T
figure, ((ax,),) = style.picture(size=(6.2, 3.0))
ax.plot(odds.index, odds["exact"], color=style.EXACT, lw=style.THICK, marker="o", ms=4, label="exact probability")
ax.plot(odds.index, odds["draws"], color=style.MODEL, marker="o", ms=4, label="share of 32 draws")
ax.set_ylim(0.45, 1.03), style.legend(ax)
style.dress(ax, x="every so many frames one is seen", y="the likelier direction",
            title=f"How sure of the direction: {odds['exact'][5]:.0%} at gap 5, {odds['exact'][7]:.0%} at gap 7\n"
            f"(you said {guess:.0%}); draws are {odds['apart'].mean():.2f} from the exact odds")
figure

# %% [markdown]
# Fewer frames can tell *more*: at gap 5 the wave turns by 180°, which is the same both ways; at gap 7 a turn of 252° one way is not 252° the other way.
# Nobody named two directions to the network; it learned to draw each of them about as often as it should. (32 flips of a fair coin are 0.07 from one half by
# chance alone.)
#
# ## Idea in symbols
#
# Each of the 16 frames becomes a latent $z_t$: for discs four numbers, found by an autoencoder; for the real film and the waves the values on a lattice. A
# **video denoiser** works on all of them together, $Z = (z_1, \dots, z_{16})$, given what was observed, $S$, at any moment and place:
#
# $$D(Z_\sigma, \sigma, S) = \frac{Z_\sigma}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\, F\big(Z_\sigma, \sigma, e(S)\big),
# \qquad f(t, x) = f_{z(t)}(x).$$
#
# - $e(S)$: each observation counts in its cell of its frame (how many, their mean value, their mean offset from the cell's centre); then convolutions within
#   each frame, and for discs attention between frames. For the real film the networks are also shown the *best linear answer*: mean and standard deviation
#   given $S$ of a Gaussian whose covariance was measured on training crops, among the 384 cosines that vary most.
# - $F$ alternates blocks *within* a frame and attention *between* the frames at each cell, which knows their distance in time (video diffusion, Ho et al. 2022).
# - In training, frames are hidden at random: gaps, single sensors, scattered points, everything after a moment (MCVD, Voleti et al. 2022). So one network answers
#   all these questions.
# - For discs the draws are particles: 256 of them are weighted by how well their fields fit the observations, as far as leaves them worth 32, and 64 are
#   multiplied and moved. A small network's draws are too wide where frames tell nearly all, and the weights mend that. (It counts the observations twice:
#   draws that were right would become too narrow.)
# - $f_z$, the **field**, decodes the latents at any moment: between the frames they are interpolated (cubic for discs, else linear), plus a learned correction.
#
# ## Smallest version
#
# From nothing: films of 16 frames of 16 points, the wheel's waves. A small transformer over the frames denoises all of them, given those that are seen. Beside it the
# same network as a regression. *Predict:* at gap 5, how fast do the waves drift in the answers of each? (The truth's speed is 1.)

# %%
X, rng, nets = nfd.cell_centres((16, 16)), stream(seed, "toy"), {}
with torch.random.fork_rng():
    torch.manual_seed(seed)
    for name in ("diffusion", "regression"):
        layer = torch.nn.TransformerEncoderLayer(96, 4, 192, dropout=0.0, batch_first=True, norm_first=True)
        stack = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        nets[name] = torch.nn.ModuleList([torch.nn.Linear(34, 96), stack, torch.nn.Linear(96, 16)])
        nets[name].place = torch.nn.Parameter(0.3 * torch.randn(16, 96))  # which frame it is
run = lambda net, x, y, kept, level: net[2](net[1](net[0](torch.cat(  # noqa: E731
    [x, y * kept, kept, level.expand_as(kept)], 2)) + net.place))
D = lambda x, s, y, kept: (x / (1 + s**2) + s / (1 + s**2).sqrt() * run(  # noqa: E731
    nets["diffusion"], x / (1 + s**2).sqrt(), y, kept, s.log() / 4))
adam = torch.optim.Adam([p for net in nets.values() for p in net.parameters()], 1.5e-3)
for i in range(toy_steps):
    clean = wheel.draw(32, seed=child(seed, "toy", i))(X)[..., 0].unflatten(1, (16, 16))  # (32, frames, points)
    y = clean + 0.05 * torch.randn(clean.shape, generator=rng)
    every = torch.randint(2, 8, (32, 1, 1), generator=rng)
    kept = (torch.arange(16)[:, None] % every == 0).float()  # of each film every g-th frame is seen
    s = torch.exp(1.4 * torch.randn(32, 1, 1, generator=rng))
    x = clean + s * torch.randn(clean.shape, generator=rng)
    loss = ((1 + s**2) / s**2 * (D(x, s, y, kept) - clean).square()).mean()
    loss = loss + (run(nets["regression"], 0 * y, y, kept, 0 * s) - clean).square().mean()
    adam.zero_grad(), loss.backward(), adam.step()

# %%
fresh = wheel.draw(64, seed=child(seed, "toy test"))
y, kept = fresh(X)[..., 0].unflatten(1, (16, 16)), (torch.arange(16)[:, None] % 5 == 0).float().expand(64, -1, -1)
levels = schedule.karras(30, 0.02, 30.0)
with torch.no_grad():
    x = levels[0] * torch.randn(y.shape, generator=rng)
    drawn = samplers.sample(lambda x, s: D(x, s.expand(64, 1, 1), y, kept), x, levels, method="euler")
    answer = run(nets["regression"], 0 * y, y, kept, torch.zeros(1, 1, 1))
wave = {name: (v.to(torch.complex64) @ torch.exp(-1j * torch.pi * nfd.cell_centres((16,))[:, 0]))
        for name, v in (("truth", y), ("regression", answer), ("draws", drawn))}
speed = {name: (-(w[:, :-1].conj() * w[:, 1:]).sum(1).imag / (w[:, :-1] * w[:, 1:]).abs().sum(1)
                / math.sin(0.2 * math.pi)) for name, w in wave.items()}
toy = {name: v.abs().mean().item() for name, v in speed.items()}
right = (speed["draws"] > 0).float().mean().item()
print({name: round(value, 2) for name, value in toy.items()}, f"; of the draws {right:.0%} turn to the right")

# %% [markdown]
# The regression stands nearly still, a ghost; a draw goes one way or the other, though not at full speed after so few training steps.
#
# > **How this differs from the papers.** Video diffusion (Ho et al. 2022) denoises pixels, with a far larger network. CoNFiLD (Du et al. 2024) has one learned vector
# > a frame, as our discs have, and conditions by guidance alone; here observations are given to the network. VideoINR (Chen et al. 2022) learns where pixels go
# > between two frames; our field interpolates latents.
#
# ## The library's version
#
# The library's own draw, part by part: observations become channels of each frame, then features; a sampler draws all latents; the field reads them at any moment.

# %%
net, n, q = model.net, 4, cube
with torch.no_grad():
    batch = model.observations(seen)
    channels, whole, _ = net.channels(batch)  # (frames, channels, 16, 16); the latents of frames that were seen whole
    features = net.encoder(channels, whole).T[None]  # (1, features, frames)
    sigmas = model.sigmas(model.steps)
    z = sigmas[0] * normals(seed, n, net.shape, "white").to(model.device)
    z = samplers.sample(lambda x, s: x / (1 + s**2) + s / (1 + s**2).sqrt() * net.denoiser.net(
        x / (1 + s**2).sqrt(), (s.log() / 4).reshape(1), features), z, sigmas, method="dpmpp")
    auto = net.autoencoder
    times, index = q[:, 0].unique(return_inverse=True)
    now = auto.at(z, times.to(z))[:, index.to(z.device)]  # the latent at each moment (n, p, k)
    field = auto.frame.field
    values = field.answer(field.place(q[:, 1:].to(z)) + field.condition(now)).cpu()
library = model.draw(seen, n, seed=seed, guide="encoder")(q)  # before the weighting
assert torch.allclose(values, library, atol=1e-3), (values - library).abs().max()
slow, fast = (torch.linspace(-15 / 16, 15 / 16, 15 * rate + 1) for rate in (1, 8))
xs = nfd.cell_centres((12,))[:, 0]
once, eight = (draws(torch.cartesian_prod(t, xs, xs)).unflatten(1, (len(t), 144)) for t in (slow, fast))
print(f"by hand and by library: {(values - library).abs().max():.0e} apart; at 16 moments and at 121: "
      f"{(once - eight[:, ::8]).abs().max():.0e}; flicker of a draw over the truth's {flicker(draws[:8], truth):.2f}")

# %% [markdown]
# **Any frame rate.** Flicker is the mean square of second differences in time, at eight times the frame rate, over the truth's: 1 is right, less is too smooth.
# Ours is more: each frame's latent has a small error of its own, and a disc that should glide trembles a little. Below is the film
# itself, at eight times the frame rate; a bar marks the frames that are seen. *Predict:* at which frames will the draws differ, and at which will they agree?

# %%
rate = 8 if budget != "smoke" else 1
blend = EvaluatedFields(lambda coords, part: draws(coords).mean(0, keepdim=True), 1, 3)
reel = film({"truth": truth, "the mean": blend, "one draw": draws[0], "another draw": draws[1]}, frames=16 * rate,
            rate=6.0 * rate, seen=seen)
reel

# %% [markdown]
# `reel.gif("disc.gif")` saves it; `reel.mp4("disc.mp4")` needs `pip install "nfdlab[video]"`.
#
# ## Turn the knobs
#
# How many frames, which pattern, how noisy, how close; move the time slider. For the real film: `nfd.explore(filmer, bunny, pattern="frames", every=4)`.

# %%
quick = model.using(guide="encoder")  # the denoiser's draws as they are, not weighted: a picture at once
panel = nfd.explore(quick, discs, pattern="frames", every=gap, seed=seed, device=device, draws=8, view="draws")
panel

# %% [markdown]
# ## Against the others
#
# Crops from the later part of a real film, frames seen as 16 × 16 points with noise. The rival here is quick: straight lines in time and space. (The best linear
# answer, with the training crops' mean and covariance, takes a minute to measure; the table has it.) *Predict:* at which gap is most to gain, and at which least?

# %%
rows, shown = [], {}
for every in (2, 4, 8):
    for i in range(tasks):
        crop = later.draw(1, seed=child(seed, "crop", i))
        some = nfd.observe(crop, Frames(every=every), noise_std=0.05, seed=i)
        found = {"straight lines": lines.draw(some, 1, seed=i), "ours": filmer.draw(some, 16, seed=i)}
        shown.setdefault(every, (crop, some, found))
        scores = {name: crps(f(sparse).cpu(), crop(sparse)[0]).item() for name, f in found.items()}
        rows.append({"every": every, **scores})
real = pd.DataFrame(rows).groupby("every").mean()
real["ratio"] = real["ours"] / real["straight lines"]
crop, some, found = shown[4]
found["ours, another"] = found["ours"][1:2]
at = torch.cat([torch.full((len(still), 1), float(nfd.cell_centres((16,))[6, 0])), still], 1)  # halfway between two
figure, (axes,) = style.picture(1, 4, size=(11, 3.1))
for ax, (name, f) in zip(axes, {"truth": crop, **found}.items(), strict=True):
    ax.imshow(f(at)[0].reshape(32, 32).cpu(), cmap=style.FIELD_MAP)
    ax.set_xticks([]), ax.set_yticks([]), style.dress(ax, title=name)
style.headline(figure, "A frame nobody saw. CRPS between frames, over that of straight lines: " + ", ".join(
    f"{value:.2f} every {every}" for every, value in real["ratio"].items()) + f" ({tasks} crops)")
display(figure, kept_scores({"moving_disc2dt": model, "film2dt": filmer, "two_speed1dt": roller}))

# %% [markdown]
# The table was measured over more films when the weights were made: discs and waves as a ratio to the exact posterior, the film to the best linear answer, at places
# halfway between frames and points. *At* the points of a seen frame straight lines are better: they go through what was measured, and a draw of the film still has
# noise of its own there, about 0.2, which it did not learn to leave out in an hour of one core.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: the discs, then the film. *Predict:* where is more lost without the networks?
# `nfdlab ablate temporal_field moving_disc2dt` (and `film2dt`) measured it; the tables are kept with the weights.

# %%
worth, of_film = (ablation.worth(ablation.kept("temporal_field", name))["to full"]
                  for name in ("moving_disc2dt", "film2dt"))
display(plots.worth("temporal_field", "moving_disc2dt"), plots.worth("temporal_field", "film2dt"))


# %% [markdown]
# **The network does the work** on discs: the best linear answer has several times its error. A Gaussian in place of the draws costs an eighth: a disc is at one place or at
# another, and a Gaussian of both is a ghost again. Draws that are not weighted have more than a third more error ("not reweighted"). Still, the exact posterior is several times better where frames tell nearly all (see the table): what is left is
# how precisely a small network can say where a disc is.
#
# **On the film most is linear.** "Network silenced" is what the networks are shown, the best linear answer on cosines, drawn by itself: already better than optimal
# interpolation, whose directions were measured on the same few crops. The networks take less than a tenth off its error.
#
# ## Where it breaks
#
# **A bounce in a long gap.** Every eighth frame: one at the start, one in the middle. Did the disc touch a wall between them? In
# many films either may be true. *Predict:* do our draws bounce as often as they should?

# %%
def tracks(fields):
    """Where the middle of what is bright lies at each of 16 frames: (n, 16, 2)."""
    light = fields(cube)[..., 0].cpu().clamp_min(0.1).sub(0.1).unflatten(1, (16, 256))
    return light @ cube[:256, 1:] / light.sum(-1, keepdim=True).clamp_min(1e-3)


rows = []
for s in range(3 * tasks):
    case = discs.draw(1, seed=child(seed, "bounce", s))
    two = nfd.observe(case, Frames(every=8), noise_std=0.05, seed=s)
    bounced = {}
    for name, f in (("truth", case), ("exact", discs.oracle().draw(two, 16, seed=s)),
                    ("ours", quick.draw(two, 16, seed=s)),
                    ("exact, again", discs.oracle().draw(two, 16, seed=s + 1000))):
        step = tracks(f)[:, :9].diff(dim=1)  # up to the second frame seen
        turned = (step[:, 0] * step[:, -1] < 0) & (torch.minimum(step[:, 0].abs(), step[:, -1].abs()) > 0.02)
        bounced[name] = float(turned.any(-1).float().mean())
    rows.append(bounced)
table = pd.DataFrame(rows)
table.columns.name = "share that bounces"
print(f"share of films with a bounce in the gap: truth {table['truth'].mean():.2f}, "
      f"exact draws {table['exact'].mean():.2f}, ours {table['ours'].mean():.2f} ({len(table)} films)")
missed = {name: float((table[name] - table["exact"]).abs().mean()) for name in ("ours", "exact, again")}
print(f"film by film, distance from the exact draws' share: ours {missed['ours']:.2f}, "
      f"other exact draws {missed['exact, again']:.2f}: " + (
          "as good as chance allows" if missed["ours"] < missed["exact, again"] + 0.06 else
          "the draws do not know in which films a bounce is likely"))
table.round(2)

# %% [markdown]
# **Two discs.** In training there was one. *Predict:* two are seen in every fourth frame; how many does a draw show?

# %%
other = discs.draw(1, seed=child(seed, "second"))
pair = EvaluatedFields(lambda coords, part: torch.maximum(truth(coords), other(coords)), 1, 3)
strange = nfd.observe(pair, Frames(every=4), noise_std=0.05, seed=seed)
plain = nfd.observe(truth, Frames(every=4), seed=seed)
takes, usual = model.draw(strange, 16, seed=seed), model.draw(plain, 16, seed=seed)
light = {name: f(cube).clamp_min(0).mean().item() for name, f in (("truth", pair), ("draws", takes))}
off = {"two discs": (strange, takes), "one disc": (plain, usual)}
off = {name: (f(s.coords).cpu().mean(0) - s.values).square().mean().sqrt().item() for name, (s, f) in off.items()}
figure, (axes,) = style.picture(1, 3, size=(8.6, 3.0))
for ax, (name, f) in zip(axes, {"two discs": pair, "one draw": takes[0], "another": takes[1]}.items(), strict=True):
    ax.imshow(f(pictures[moments[0]])[0].reshape(32, 32).cpu(), cmap=style.FIELD_MAP, vmin=0, vmax=1)
    ax.set_xticks([]), ax.set_yticks([]), style.dress(ax, title=name)
style.headline(figure, f"Draws have {light['draws'] / light['truth']:.0%} of the light, and miss the observations by "
               f"{off['two discs']:.2f} where noise is 0.05")
figure

# %% [markdown]
# The vector of a frame holds one disc, and nothing else can come out. The misfit says so: **compare draws with what was observed.**
#
# **Longer than any film of the training.** Windows of 16 frames, each half a window after the one before, are drawn: together, blended at every step of the
# sampler, or each by itself. *Predict:* how large is the jump where one window ends?

# %%
chain, seams = nfd.patterns.Random(count=30), (-0.5, -1 / 6, 1 / 6, 0.5)
glimpses = nfd.observe(wheel.draw(1, seed=seed), chain, noise_std=0.05, seed=seed)
strips = {name: roller.long(glimpses, 4, 3, seed=seed, blended=on)
          for name, on in (("blended", True), ("each by itself", False))}
step = {name: seam_jump(f, seams, step=0.004) for name, f in strips.items()}
figure, axes = style.picture(2, 1, size=(7.4, 4.6))
for (ax,), (name, f) in zip(axes, strips.items(), strict=True):
    ax.imshow(f(nfd.cell_centres((144, 32)))[0].reshape(144, 32).T.cpu(), aspect="auto", origin="lower",
              cmap=style.FIELD_MAP, extent=(0, 48, -1, 1))
    style.dress(ax, title=f"{name}: a step across a seam is {step[name]:.1f} times one elsewhere", x="frame", y="x")
check = Exercises({
    1: (lambda scores: scores[model.steps] < 1.15 * min(scores.values()) or budget == "smoke",
        "CRPS by number of steps."),
    2: (lambda both: both["scattered"] < both["first frame"] or budget == "smoke", "As many points either way?"),
    3: (lambda gap: gap < 0.5 or budget == "smoke", "Compare with the distance between two exact draws."),
})
figure

# %% [markdown]
# **When to use it:** films with missing frames, sensors over time, forecasts that should say how unsure they are; whenever you want
# more frames than you have. **When not:** things faster than the frames; scenes of a kind that the training never showed. **Cost:** the minutes of training are in the
# table above; a draw of a film asks the network once a step for all frames; any frame rate may be asked afterwards.
#
# ## Exercises
#
# **1 · Turn a knob.** How few steps will do? `check(1, scores)` takes CRPS by number of steps.
#
# <details><summary>Solution</summary>
#
# ```python
# scores = {k: crps(model.draw(seen, 48, seed=1, steps=k)(cube).cpu(), truth(cube)[0]).item() for k in sorted({3, 6, model.steps, 24})}
# print(scores)
# check(1, scores)
# ```
#
# </details>
#
# **2 · Change a line.** 64 points of the disc: scattered over the whole film, or all in its first frame? Which tells more? `check(2, both)`.
#
# <details><summary>Solution</summary>
#
# ```python
# rng = torch.Generator().manual_seed(1)
# places = 2 * torch.rand(64, 3, generator=rng) - 1
# first = places.clone()
# first[:, 0] = -15 / 16
# both = {}
# for name, where in (("scattered", places), ("first frame", first)):
#     data = nfd.Observations(where, truth(where)[0] + 0.05 * torch.randn(64, 1, generator=rng), 0.05)
#     both[name] = crps(model.draw(data, 32, seed=1)(cube).cpu(), truth(cube)[0]).item()
# print(both)
# check(2, both)
# ```
#
# </details>
#
# **3 · Write a piece.** How far is the model's mean from the exact mean, in units of the exact posterior's standard deviation (root mean square over the film)?
# `check(3, gap)`.
#
# <details><summary>Solution</summary>
#
# ```python
# mean, std = discs.oracle().moments(seen, cube)
# gap = ((draws(cube).cpu().mean(0) - mean).square().mean() / std.square().mean()).sqrt().item()
# print(f"{gap:.2f}")
# check(3, gap)
# ```
#
# </details>
#
# **Five questions.** Why is the mean of all possible films a ghost? What can attention between frames do that blocks
# within them cannot? Why does one frame in five not show which way the wheel turns, and one in seven does? What holds films
# together that are longer than those of the training? When is a line between two frames good enough?
#
# ## Further reading
#
# - Ho et al. 2022, *Video diffusion models* ([2204.03458](https://arxiv.org/abs/2204.03458)): blocks within a frame,
#   attention between frames.
# - Voleti et al. 2022, *MCVD* ([2205.09853](https://arxiv.org/abs/2205.09853)): frames hidden at random, so that one
#   network predicts, fills in and forecasts.
# - Du et al. 2024, *CoNFiLD* ([2403.05940](https://arxiv.org/abs/2403.05940)): a neural field with one latent a
#   moment, and diffusion over the latents.
# - Chen et al. 2022, *VideoINR* ([2206.04647](https://arxiv.org/abs/2206.04647)): a field in space and time between
#   two frames.
# - Bar-Tal et al. 2023, *MultiDiffusion* ([2302.08113](https://arxiv.org/abs/2302.08113)): windows that are blended
#   at every step.
