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
# ![six frames of a film: the truth, the mean of the draws and the exact mean, which are ghosts, and two draws with one disc each](pictures/06_temporal_field.png)
#
# ## Question
#
# **What happened between the frames?**
#
# A camera saved every fourth frame, a satellite passes twice a day, a scanner needs a breath for each slice. What lies in between
# has to be filled in, and often it could have gone more than one way. A single answer shows the average of these ways, a ghost
# that never happened. Here each *draw* decides once what happened and stays with it, at any frame rate.
#
# You need PyTorch, and to have met a neural network, latents (`00b`) and denoisers (`00c`). ▶ *Run ▸ Run All Cells*, then play;
# it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which films, which noise
device: str = "auto"  # auto | cpu | cuda
gap: int = 8  # every how many frames one of the disc is seen
tasks: int = 4  # how many films each number is averaged over; twice as many where the text says so
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
from nfdlab.evaluate.ranking import kept_rivals
from nfdlab.evaluate.results import Table
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style
from nfdlab.panels.film import film

if budget == "smoke":
    tasks, toy_steps = 1, 30
discs, wheel, clips = (nfd.problems.get(name) for name in ("moving_disc2dt", "two_speed1dt", "film2dt"))
later, Frames = nfd.problems.held_out(clips), nfd.patterns.Frames
lines, cube = nfd.baselines.get("linear"), nfd.cell_centres((16, 16, 16))  # 16 frames of 16 × 16 points
sparse = nfd.cell_centres((8, 8, 8))  # halfway between frames and points

# %% [markdown]
# Three kinds of film. Each has 16 frames, and time is the first coordinate:
#
# - **Discs:** one disc that moves and bounces off the walls. Its exact posterior is known.
# - **A real film:** small crops of it. The networks learned from its first part and are tested on a later part.
# - **Waves** that drift to the right *or* to the left. Their exact posterior is known too: they are the sanity check.
#
# Weights for all three ship. `budget = "lesson"` trains the first here, in two minutes of one core, with a live loss curve and a
# button to stop (the others get a few steps).

# %%
watch = LossWatch("latents of frames, then diffusion over a film")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("temporal_field", discs, budget=budget, seed=seed, device=device, watch=watch)
few = budget if budget == "reference" else "smoke"
filmer, roller = (
    nfd.load_or_train("temporal_field", one, budget=few, seed=seed, device=device) for one in (clips, wheel)
)

# %% [markdown]
# ## Picture
#
# A disc moves and bounces; two of its sixteen frames are seen, number 0 and number 8. The answer with the least squared error is
# the mean of all that may have happened. *Predict:* what does the mean show between the two frames, and what after the second?
# And what does a single draw show?

# %%
truth = discs.draw(1, seed=child(seed, "disc"))
seen = nfd.observe(truth, Frames(every=gap), noise_std=0.05, seed=seed)
draws, exact = model.draw(seen, 64, seed=seed), discs.oracle().draw(seen, 64, seed=seed)
still, clock = nfd.cell_centres((32, 32)), nfd.cell_centres((16,))[:, 0]
pictures = {k: torch.cat([torch.full((len(still), 1), float(clock[k])), still], 1) for k in (0, 2, 5, 8, 11, 15)}
rows = {"truth": lambda at: truth(at)[0], "mean of draws": lambda at: draws(at).mean(0),
        "exact mean": lambda at: exact(at).mean(0), "one draw": lambda at: draws(at)[0],
        "another draw": lambda at: draws(at)[1]}
seen_here = set(range(0, 16, gap))
shown = {name: {k: show(at).cpu() for k, at in pictures.items()} for name, show in rows.items()}
grey = {}  # 4 v (1 − v) of the values v: 0 where a point is black or white, 1 where it is half of both
for name, frames in shown.items():
    values = torch.cat(list(frames.values())).clamp(0, 1)
    grey[name] = float((4 * values * (1 - values)).mean())
figure, axes = style.picture(5, 6, size=(8.4, 7.2))
for line, (name, frames) in zip(axes, shown.items(), strict=True):
    for ax, (k, values) in zip(line, frames.items(), strict=True):
        ax.imshow(values.reshape(32, 32), cmap=style.FIELD_MAP, vmin=0, vmax=1)
        ax.set_xticks([]), ax.set_yticks([])
        said = f"frame {k}" + (", seen" if k in seen_here else "")
        style.dress(ax, title=said if name == "truth" else "", y=name if k == 0 else None)
grey = {name: value / grey["truth"] for name, value in grey.items()}
style.headline(figure, f"Grey, as a multiple of the truth's: mean of draws {grey['mean of draws']:.1f}, "
               f"exact mean {grey['exact mean']:.1f}, one draw {grey['one draw']:.1f}")
figure


# %% [markdown]
# "Grey" counts points that are neither disc nor ground. At the seen frames all rows agree. Between them the mean is smeared, and
# after the second it spreads further. The mean is a **ghost**: an average of many films, and none of them. The exact mean is a
# ghost too, so the smear is no fault of the network. (At frame 15 the exact mean shows two discs, one upon the other: two ways to
# bounce. The mean of our draws smears them into one, so our draws are less sure than they could be.) Each draw shows one sharp
# disc in all frames, on a path of its own.
#
# **The wagon wheel**, where all is known. In old films the wheels of wagons seem to turn backwards: between two frames each spoke
# has moved to where the next one was. Here waves drift by 36° a frame, to the right or to the left with equal odds, and nobody
# says which. When every fifth frame is seen, they have turned by 180° between two of these, and both directions look the same
# (`00a_problems_and_rulers`). *Predict, and write it down* as `guess` in the cell of parameters: when every *seventh* is seen,
# what is the probability of the likelier direction, from one half (no idea) to 1?

# %%
def direction(fields, points=32):
    """How fast the longest wave of each film turns, in units of the true speed: 1 to the right, −1 to the left."""
    values = fields(nfd.cell_centres((16, points)))[..., 0].cpu().unflatten(1, (16, points)).to(torch.complex64)
    wave = values @ torch.exp(-1j * torch.pi * nfd.cell_centres((points,))[:, 0])
    turn = (wave[:, :-1].conj() * wave[:, 1:]).sum(1)
    return -turn.imag / (wave[:, :-1] * wave[:, 1:]).abs().sum(1) / math.sin(0.2 * math.pi)


# %%
rows, many = {}, 16
for every in (3, 5, 7):
    sure, apart = [], []
    for s in range(2 * tasks if every == 5 else tasks):  # more films where the direction is open
        waves = wheel.draw(1, seed=child(seed, "waves", s))
        some = nfd.observe(waves, Frames(every=every), noise_std=0.05, seed=s)
        both = wheel.prior.posterior(some).log_weights.exp()  # probabilities of right and left, exactly
        share = float((direction(roller.draw(some, many, seed=s, steps=6)) > 0).float().mean())
        sure.append([float(both.max()), max(share, 1 - share)]), apart.append(abs(share - float(both[0])))
    mean, apart = torch.tensor(sure).mean(0).tolist(), torch.tensor(apart)
    rows[every] = {"exact": mean[0], "draws": mean[1], "apart": apart.mean().item(),
                   "±": 1.96 * apart.std().item() / len(apart) ** 0.5, "films": len(apart)}
odds, chance = pd.DataFrame(rows).T, (2 * math.pi * many) ** -0.5  # how far 16 flips of a fair coin are from one half
figure, ((ax,),) = style.picture(size=(6.2, 3.0))
ax.plot(odds.index, odds["exact"], color=style.EXACT, lw=style.THICK, marker="o", ms=4, label="exact probability")
ax.plot(odds.index, odds["draws"], color=style.MODEL, marker="o", ms=4, label=f"share of {many} draws")
ax.plot(5, 0.5 + chance, "o", color=style.BASELINE, ms=4, label=f"{many} flips of a fair coin")
ax.set_ylim(0.45, 1.03), ax.set_xticks(odds.index), style.legend(ax)
style.dress(ax, x="every so many frames one is seen", y="the likelier direction",
            title=f"How sure of the direction: {odds['exact'][5]:.0%} at gap 5, {odds['exact'][7]:.0%} at gap 7\n"
            f"(you said {guess:.0%}). Gap 5, {2 * tasks} films: draws' shares are\n{odds['apart'][5]:.2f} ± "
            f"{odds['±'][5]:.2f} from the exact odds; chance alone makes {chance:.2f}")
display(figure)
odds.astype({"films": int}).style.format("{:.2f}", subset=["exact", "draws", "apart", "±"]).set_caption(
    "a row: a gap. Exact probability of the likelier direction; the same among draws; "
    "mean distance of draws' share from the exact one, ± 1.96 standard errors over films")

# %% [markdown]
# Fewer frames can tell *more*. At gap 5 the wave turns by 180°, which is the same both ways; at gap 7 a turn of 252° one way is
# not 252° the other way: it ends where 108° the other way would end, and how fast the waves turn is known. Nobody named two
# directions to the network; it learned to draw each of them about as often as it should. At gap 5 the share counts a few draws
# only, and so it differs from the exact odds by chance, as the flips of a coin do (grey). The eight films show no more than that.
#
# ## Idea in symbols
#
# Each of the 16 frames becomes a latent $z_t$: for discs four numbers, found by an autoencoder (`01`); for the real film and the
# waves the values at the points of a lattice. A **video denoiser** works on all of them together, $Z = (z_1, \dots, z_{16})$,
# given the observations $S$, which may lie at any moment and place:
#
# $$D(Z_\sigma, \sigma, S) = \frac{Z_\sigma}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\, F\big(Z_\sigma, \sigma, e(S)\big),
# \qquad f(t, x) = f_{z(t)}(x).$$
#
# - **The denoiser** is that of `00c`, and $F$ is its network. Some blocks of $F$ work *within* a frame. Others are *attention*
#   between the frames: what a cell knows becomes a weighted mean of what the same cell knows in all frames. The weights are
#   learned and depend on the distance in time (Ho et al. 2022).
# - **The observations** enter as features $e(S)$. Each observation counts in its cell of its frame: how many there are, their
#   mean value, their mean offset from the cell's centre. Small networks turn that into features of each frame. For the real film
#   they are also shown the *best linear answer* (`00a`): the mean and standard deviation, given $S$, of a Gaussian with the
#   covariance of training crops, written in 384 cosines.
# - **In training** frames are hidden at random: gaps, single sensors, scattered points, all after a moment (Voleti et al. 2022).
#   So one network answers all these questions.
# - **For discs the draws are weighted**, as the particles of `02` are. The network makes 256 draws. Each gets a weight, the
#   likelihood of the observations under its field; the likelihood is raised to a power below 1, chosen so that the weights still
#   count as 32 equal ones. By these weights 64 draws are picked, and then moved a little. Why: where frames tell nearly all, a
#   small network's draws are too wide, and the weights mend that. The price: observations count twice, once in the network and
#   once in the weights, so draws that were right would become too narrow.
# - **Of the film each draw is moved a little** at the end, down the slope of its distance from the observations, but held near
#   where it was (Bardsley et al. 2014). How far is a choice: farther, and the error falls, but the noise of each seen frame enters
#   the draw, and it flickers. We take the way at which draws flicker about as much as films do.
# - **The field** $f_z$ decodes the latents at any moment. Between two frames the latents are interpolated (cubic for discs, else
#   linear), and a learned correction is added.
#
# ## Smallest version
#
# The core from nothing: a video denoiser, without autoencoder and field. Its films are the wheel's waves, 16 frames of 16 points.
# A small transformer denoises all frames together, given those that are seen. Its layers are attention between frames, and a
# small network within each frame.
#
# Beside the draws stands a *regression*, the answer with the least squared error. It needs no network of its own. At the highest
# noise level the noisy film says nothing, so what the denoiser answers there is the mean of all films that fit the seen frames.
# *Predict:* at gap 5, how fast do the waves drift in the regression, and how fast in the draws? (The truth's speed is 1; 0 is a
# wave that stands.)

# %%
X, rng = nfd.cell_centres((16, 16)), stream(seed, "toy")
films = wheel.draw(8192, seed=child(seed, "toy"))(X)[..., 0].unflatten(1, (16, 16))  # (8192, frames, points)
with torch.random.fork_rng():
    torch.manual_seed(seed)
    layer = torch.nn.TransformerEncoderLayer(96, 4, 192, dropout=0.0, batch_first=True, norm_first=True)
    stack = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    small = torch.nn.ModuleList([torch.nn.Linear(34, 96), stack, torch.nn.Linear(96, 16)])
    small.place = torch.nn.Parameter(0.3 * torch.randn(16, 96))  # which frame it is
F = lambda x, y, kept, level: small[2](small[1](small[0](torch.cat(  # noqa: E731 - a film in, a film out
    [x, y * kept, kept, level.expand_as(kept)], 2)) + small.place))
D = lambda x, s, y, kept: (x / (1 + s**2) + s / (1 + s**2).sqrt() * F(  # noqa: E731 - the formula above
    x / (1 + s**2).sqrt(), y, kept, s.log() / 4))
adam = torch.optim.Adam(small.parameters(), 1.5e-3)
for _ in range(toy_steps):
    clean = films[torch.randint(len(films), (32,), generator=rng)]
    y = clean + 0.05 * torch.randn(clean.shape, generator=rng)  # what a camera would see
    every = torch.randint(2, 8, (32, 1, 1), generator=rng)
    kept = (torch.arange(16)[:, None] % every == 0).float()  # of each film every so many frames are seen
    s = torch.exp(1.5 * torch.randn(32, 1, 1, generator=rng))
    x = clean + s * torch.randn(clean.shape, generator=rng)
    loss = ((1 + s**2) / s**2 * (D(x, s, y, kept) - clean).square()).mean()
    adam.zero_grad(), loss.backward(), adam.step()

# %%
fresh = wheel.draw(64, seed=child(seed, "toy test"))
y, kept = fresh(X)[..., 0].unflatten(1, (16, 16)), (torch.arange(16)[:, None] % 5 == 0).float().expand(64, -1, -1)
levels = schedule.karras(30, 0.02, 30.0)
with torch.no_grad():
    noisy = levels[0] * torch.randn(16, *y.shape, generator=rng)  # sixteen films of noise for each
    answer = torch.stack([D(x, levels[0].expand(64, 1, 1), y, kept) for x in noisy]).mean(0)
    x = noisy[0]
    drawn = samplers.sample(lambda x, s: D(x, s.expand(64, 1, 1), y, kept), x, levels, method="euler")
waves = {"truth": y, "regression": answer, "draws": drawn}
turns = {name: direction(EvaluatedFields(lambda at, part, v=v: v[part].flatten(1)[..., None], 64, 2), 16)
         for name, v in waves.items()}
toy = {name: v.abs().mean().item() for name, v in turns.items()}
bars = {name: 1.96 * v.abs().std().item() / 8 for name, v in turns.items()}  # of 64 films
right = (turns["draws"] > 0).float().mean().item()
which = int(turns["draws"].abs().argsort()[48])  # the film to be shown: of the draws, three quarters are slower
figure, (axes,) = style.picture(1, 3, size=(8.6, 3.2), sharey=True)
for ax, (name, v) in zip(axes, waves.items(), strict=True):
    ax.imshow(v[which].T, aspect="auto", origin="lower", cmap=style.FIELD_MAP, extent=(0, 16, -1, 1))
    style.dress(ax, title=f"{name}: {toy[name]:.2f} ± {bars[name]:.2f}", x="frame", y="x" if name == "truth" else None)
style.headline(figure, f"Speed, seen every fifth frame (64 films; of the draws {right:.0%} go to the right)")
figure

# %% [markdown]
# The regression drifts the least: it is a ghost again, the mean of a wave to the right and one to the left. A draw leans one way
# or the other, though not at full speed: so small a network, trained for so short a time, does not always decide. (Means over 64
# films with 95 % intervals. The film shown is one whose draw is faster than three quarters of the draws.)
#
# > **How this differs from the papers.** Video diffusion (Ho et al. 2022) denoises pixels, with a far larger network. CoNFiLD (Du
# > et al. 2024) has one learned vector a frame, as our discs have, and conditions by guidance alone; here observations are given
# > to the network. VideoINR (Chen et al. 2022) learns where pixels go between two frames; our field interpolates latents.
#
# ## The library's version
#
# A draw of the discs, part by part, with the trained model's own parts: (1) observations become channels of each frame, then
# features; (2) a sampler draws all latents together; (3) the field reads them at any moment. The cell checks that the library's
# one line gives the same numbers, before any weighting, and that the same draws can be asked at 16 moments and at 121.

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
shaky = torch.tensor([flicker(draws[j:j + 1], truth) for j in range(8)]).sqrt()
print(f"by hand and by library: {(values - library).abs().max():.0e} apart; asked at 16 moments and at 121: "
      f"{(once - eight[:, ::8]).abs().max():.0e}\nsecond differences in time, a draw's over the truth's: "
      f"{shaky.mean():.1f} ± {1.96 * shaky.std() / 8**0.5:.1f} (8 draws of one film)")

# %% [markdown]
# **Any frame rate.** The last line measures *flicker*: how large the second differences in time are (root mean square), at eight
# times the frame rate. A draw's are divided by the truth's: 1 is right, less is too smooth, more trembles. Ours are several times
# too large: the latent of each frame has a small error of its own, and so a disc that should glide trembles. Below is the film
# itself, at four times the frame rate; a bar marks the frames that are seen. *Predict:* at which frames will the draws differ,
# and at which will they agree?

# %%
rate = 4 if budget != "smoke" else 1
first = draws[:16]
blend = EvaluatedFields(lambda coords, part: first(coords).mean(0, keepdim=True), 1, 3)
reel = film({"truth": truth, "the mean": blend, "one draw": draws[0], "another draw": draws[1]}, frames=16 * rate,
            rate=6.0 * rate, seen=seen)
spread = draws(cube)[..., 0].unflatten(1, (16, 256)).var(0).mean(1).sqrt().tolist()  # of the draws, frame by frame
print(f"spread of {draws.n} draws: " + ", ".join(f"frame {k} {spread[k]:.3f}" for k in (0, 2, 4, 6, 8, 10, 12, 15)))
reel

# %% [markdown]
# The draws agree at the seen frames 0 and 8. They differ between them, and most at the end of the film, where no later frame
# holds them.
#
# `reel.gif("disc.gif")` saves it; `reel.mp4("disc.mp4")` needs `pip install "nfdlab[video]"`.
#
# ## Turn the knobs
#
# How many frames are seen, which pattern, how noisy, how close; move the time slider. Two things to try: from which `every` on do
# the draws part between two seen frames? And what do scattered sensors (`pattern` random) tell that whole frames do not? The real
# film has a panel too: `nfd.explore(filmer, clips, pattern="frames", every=4)`.

# %%
quick = model.using(guide="encoder")  # the denoiser's draws as they are, not weighted: a picture at once
panel = nfd.explore(quick, discs, pattern="frames", every=gap, seed=seed, device=device, draws=8, view="draws")
panel

# %% [markdown]
# ## Against the others
#
# Crops from the later part of a real film; every second, fourth or eighth frame is seen, as 16 × 16 points with noise. Measured
# here: straight lines in time and space, scored *between* the frames and points. The best linear answer, with mean and covariance
# of the training crops, takes a minute for each gap. So its ratios are read from the table that was measured when the weights
# were made. *Predict:* at which gap do we gain most on straight lines, and at which least? And kriging, which learned from no
# crop but looks for the lengthscales of each film along each axis: is it ahead of us or behind?

# %%
rows, answers, crops = [], {}, 3 * tasks // 2
for every in (2, 4, 8):
    for i in range(crops):
        crop = later.draw(1, seed=child(seed, "crop", i))
        some = nfd.observe(crop, Frames(every=every), noise_std=0.05, seed=i)
        answers[every] = {"straight lines": lines.draw(some, 1, seed=i), "ours": filmer.draw(some, 2, seed=i)}
        for who, f in answers[every].items():
            score = [crps(f(at).cpu(), crop(at)[0]).item() for at in (sparse, some.coords)]
            rows.append({"contestant": who, "m": f"every {every}", "task": i, "crps": score[0], "at": score[1]})
parts = {"straight lines": Table(pd.DataFrame(rows), clips.card.name, "straight lines", 2, seed).ratio("crps", "ours"),
         "best linear answer": ablation.kept("temporal_field", "film2dt").ratio("crps", "full")}
real = pd.concat(parts).drop(index=["worst", "mean"], level=1).set_axis(["ratio", "95 % from", "to"], axis=1)
real["crops"] = [crops if rival == "straight lines" else ablation.TASKS for rival, _ in real.index]
display(real.style.format("{:.2f}", subset=["ratio", "95 % from", "to"]).set_caption(
    "our CRPS over the rival's (left), its 95 % interval by bootstrap over the crops, the number of crops"))
at_seen = pd.DataFrame(rows).groupby("contestant")["at"].mean()
print("CRPS at the points that were seen: " + ", ".join(f"{who} {v:.2f}" for who, v in at_seen.items()))
found, between = {"truth": crop, **answers[8], "ours, another": answers[8]["ours"][1:2]}, (clock[3] + clock[4]) / 2
at = torch.cat([torch.full((len(still), 1), float(between)), still], 1)
figure, (axes,) = style.picture(1, 4, size=(11, 3.1))
for ax, (name, f) in zip(axes, found.items(), strict=True):
    ax.imshow(f(at)[0].reshape(32, 32).cpu(), cmap=style.FIELD_MAP)
    ax.set_xticks([]), ax.set_yticks([]), style.dress(ax, title=name)
to_lines = real.loc["straight lines", "ratio"]
style.headline(figure, "Between frames 3 and 4; frames 0 and 8 are seen. CRPS over that of straight lines: "
               + ", ".join(f"{ratio:.2f} {which}" for which, ratio in to_lines.items()))
figure

# %% [markdown]
# Between the frames ours has the lower error at every gap, about two thirds of that of straight lines. At which gap the gain is
# largest, so few crops cannot tell: the intervals overlap. To the eye straight lines may look better here: our draws are grainy.
# But CRPS charges a single answer its whole distance from the truth, and credits draws that differ where nothing is known. *At*
# the points that were seen straight lines win by CRPS, too: they go through what was measured, and a draw still has noise of its
# own there, which the network did not learn to leave out in an hour of one core.
#
# The weights' own table, over more films: discs and waves as a ratio to the exact posterior, the film to the best linear answer.
# Below it all rivals on the film, as a ratio to kriging.

# %%
scores = kept_scores({"moving_disc2dt": model, "film2dt": filmer, "two_speed1dt": roller})
rivals = kept_rivals("frames").ranking().set_index("contestant")[["crps", "low", "high", "tasks"]]
display(scores, rivals.style.format("{:.2f}", subset=["crps", "low", "high"]).set_caption(
    "the film, any four of the frames seen: CRPS over that of kriging, 95 % interval, crops (rivals.csv)"))

# %% [markdown]
# Where frames tell nearly all, our draws are too wide: the spread of discs, of which every fourth frame is seen, and of waves at
# gaps 3 and 7 is several times the exact one, and the error is about twice as large. Where much is open, as without any frame or
# at gap 5, they are nearly as good as exact draws. On the film we are ahead of the best linear answer, but not of kriging, whose
# error is a little lower than ours (the interval holds 1). Kriging has seen no film before: it finds in each how fast it changes,
# and its draws pass through what was seen.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same films as the whole: *network silenced* is the linear answer that the
# networks are shown; *Gaussian draws* have the mean and covariance of our draws, and else nothing of them; *not reweighted*
# leaves out the weighting of discs. First discs, then the film. *Predict:* where is more lost without the networks? `nfdlab
# ablate temporal_field moving_disc2dt` (and `film2dt`) measured it; the tables are kept with the weights.

# %%
worth, of_film = (ablation.worth(ablation.kept("temporal_field", name)) for name in ("moving_disc2dt", "film2dt"))
arms = pd.concat({f"discs, {ablation.TASKS} films": worth, f"film, {ablation.TASKS} crops": of_film})
arms = arms[["to full", "to full low", "to full high"]].set_axis(["CRPS / full approach's", "95 % from", "to"], axis=1)
worth, of_film = worth["to full"], of_film["to full"]
display(arms.style.format("{:.2f}").set_caption("a row: what is left of the approach, or a rival"))
plots.worth("temporal_field", "moving_disc2dt")


# %% [markdown]
# **The network does the work** on discs: the best linear answer has many times its error. A Gaussian in place of the draws costs
# an eighth: a disc is at one place or at another, and a Gaussian of both is a ghost again. Draws that are not weighted have more
# than a third more error ("not reweighted"). Still, the exact posterior is several times better where frames tell nearly all (see
# the table of scores): what is left is how precisely a small network can say where a disc is.
#
# **On the film most is linear.** "Network silenced" is what the networks are shown, the best linear answer on cosines, drawn by
# itself. It is already better than optimal interpolation, although both were measured on the same few crops. The networks take
# about a tenth off its error.
#
# ## Where it breaks
#
# **A bounce in a long gap.** Every eighth frame is seen: one at the start, one in the middle. Did the disc touch a wall between
# them? In many films either may be true. For each film the share of draws that bounce is counted, among ours (weighted, and not)
# and among exact draws. Two sets of exact draws differ too, by chance: that is the best one can do. *Predict:* do our draws
# bounce as often as they should, on average? And film by film?

# %%
def tracks(fields):
    """Where the middle of what is bright lies at each of 16 frames: (n, 16, 2)."""
    light = fields(cube)[..., 0].cpu().clamp_min(0.1).sub(0.1).unflatten(1, (16, 256))
    return light @ cube[:256, 1:] / light.sum(-1, keepdim=True).clamp_min(1e-3)


rows, swift = [], model.using(num_particles=16)  # weighted: 16 draws out of 64, for speed
for s in range(2 * tasks):
    case = discs.draw(1, seed=child(seed, "bounce", s))
    two = nfd.observe(case, Frames(every=8), noise_std=0.05, seed=s)
    right = discs.oracle().draw(two, 32, seed=s)
    bounced = {}
    for name, f in (("truth", case), ("exact", right[:16]), ("exact, again", right[16:]),
                    ("weighted", swift.draw(two, 16, seed=s)), ("not weighted", quick.draw(two, 16, seed=s))):
        step = tracks(f)[:, :9].diff(dim=1)  # up to the second frame seen
        turned = (step[:, 0] * step[:, -1] < 0) & (torch.minimum(step[:, 0].abs(), step[:, -1].abs()) > 0.02)
        bounced[name] = float(turned.any(-1).float().mean())
    rows.append(bounced)
table = pd.DataFrame(rows)
table.columns.name = "share that bounces"
both = table[["exact", "exact, again"]].mean(axis=1)
short = table[["weighted", "not weighted"]].sub(both, axis=0)
away = table[["weighted", "not weighted", "exact, again"]].sub(table["exact"], axis=0).abs()
print(f"mean share with a bounce, {len(table)} films: " + ", ".join(f"{k} {v:.2f}" for k, v in table.mean().items()))
for what, v in (("less the exact share", short), ("distance from the first exact share", away)):
    print(f"film by film, {what}, ± 1.96 standard errors: " + ", ".join(
        f"{name} {v[name].mean():.2f} ± {1.96 * v[name].sem():.2f}" for name in v))
table.round(2)

# %% [markdown]
# The draws as the denoiser makes them, not weighted, bounce about as often as exact ones, on average. Film by film these few
# draws cannot be told from a second set of exact ones. **The weighted draws bounce too rarely**; the interval of the difference
# lies below 0. The weights help the CRPS (see the table above) and spoil these odds: they count the observations twice, and few
# draws survive. Where odds matter, draw with `model.using(guide="encoder")`, as the panel does.
#
# **Two discs.** In training there was one. *Predict:* two are seen in every fourth frame; how many does a draw show?

# %%
other = discs.draw(1, seed=child(seed, "second"))
pair = EvaluatedFields(lambda coords, part: torch.maximum(truth(coords), other(coords)), 1, 3)
strange = nfd.observe(pair, Frames(every=4), noise_std=0.05, seed=seed)
plain = nfd.observe(truth, Frames(every=4), seed=seed)
takes, usual = swift.draw(strange, 16, seed=seed), swift.draw(plain, 16, seed=seed)
light = {name: f(cube).clamp_min(0).mean().item() for name, f in (("truth", pair), ("draws", takes))}
off = {"two discs": (strange, takes), "one disc": (plain, usual)}
off = {name: (f(s.coords).cpu().mean(0) - s.values).square().mean().sqrt().item() for name, (s, f) in off.items()}
figure, (axes,) = style.picture(1, 3, size=(8.6, 3.0))
for ax, (name, f) in zip(axes, {"two discs": pair, "one draw": takes[0], "another": takes[1]}.items(), strict=True):
    ax.imshow(f(pictures[0])[0].reshape(32, 32).cpu(), cmap=style.FIELD_MAP, vmin=0, vmax=1)
    ax.set_xticks([]), ax.set_yticks([]), style.dress(ax, title=name)
style.headline(figure, f"Draws have {light['draws'] / light['truth']:.0%} of the light, and miss the observations by "
               f"{off['two discs']:.2f} where noise is 0.05")
figure

# %% [markdown]
# The latent of a frame describes one disc, and nothing else can come out. The misfit (the distance of the draws' mean from the
# observations) says so: with one disc in the film it is about as large as the noise. **Compare draws with what was observed.**
#
# **Longer than any film of the training.** Three times 16 frames of waves. Windows of 16 frames, each half a window after the one
# before, are drawn in two ways: *together*, where windows overlap their answers are averaged at every step of the sampler; or
# each *by itself*. *Predict:* how large is the jump where one window ends, compared with an equal step elsewhere?

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
figure

# %% [markdown]
# Blended windows have no seam that one could see: a step across a border is about as large as any other. Windows drawn each by
# itself decide differently, and the film jumps. (4 draws of one film, at four borders.) But look at the slopes: the blended film,
# too, turns round once in a while, and no film of the training does. Each window agrees with its neighbours only; nothing holds
# the direction for good.

# %%
check = Exercises({
    1: (lambda scores: scores[model.steps] < 1.15 * min(scores.values()) or budget == "smoke",
        "CRPS by number of steps."),
    2: (lambda both: both["scattered"] < both["first frame"] or budget == "smoke", "As many points either way?"),
    3: (lambda gap: gap < 0.5 or budget == "smoke", "Compare with the distance between two exact draws."),
})

# %% [markdown]
# **When to use it:** films with missing frames, sensors over time, forecasts that should say how unsure they are; whenever you
# want more frames than you have. **When not:** things faster than the frames; scenes of a kind that the training never showed.
# **Cost:** the minutes of training are in the table above; a draw of a film asks the network once a step for all frames; any
# frame rate may be asked afterwards.
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
# **2 · Change a line.** 64 points of the disc: scattered over the whole film, or all in its first frame? Which tells more?
# `check(2, both)`.
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
# **3 · Write a piece.** How far is the model's mean from the exact mean, in units of the exact posterior's standard deviation
# (root mean square over the film)? `check(3, gap)`.
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
# **Five questions.** Why is the mean of all possible films a ghost? What can attention between frames do that blocks within them
# cannot? Why does one frame in five not show which way the wheel turns, and one in seven does? What holds films together that are
# longer than those of the training? When is a line between two frames good enough?
#
# ## Further reading
#
# - Ho et al. 2022, *Video diffusion models* ([2204.03458](https://arxiv.org/abs/2204.03458)): blocks within a frame, attention
#   between frames.
# - Voleti et al. 2022, *MCVD* ([2205.09853](https://arxiv.org/abs/2205.09853)): frames hidden at random, so that one network
#   predicts, fills in and forecasts.
# - Du et al. 2024, *CoNFiLD* ([2403.05940](https://arxiv.org/abs/2403.05940)): a neural field with one latent a moment, and
#   diffusion over the latents.
# - Chen et al. 2022, *VideoINR* ([2206.04647](https://arxiv.org/abs/2206.04647)): a field in space and time between two frames.
# - Bardsley et al. 2014, *Randomize-then-optimize* ([10.1137/140964023](https://doi.org/10.1137/140964023)): draws moved to
#   what was seen, each with noise of its own.
# - Bar-Tal et al. 2023, *MultiDiffusion* ([2302.08113](https://arxiv.org/abs/2302.08113)): windows that are blended at every
#   step.
