# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Latent diffusion with a neural-field decoder
#
# *before: [`05_sparse_conditional`](05_sparse_conditional.ipynb) · next: [`09_modulated_field`](09_modulated_field.ipynb)*
#
# ![one draw at four resolutions, and what each cost](pictures/01_latent_field.png)
#
# ## Question
#
# **What does looking closer cost?**
#
# A diffusion over pixels pays for every pixel in every step. Here the diffusion never sees a pixel: it draws a *latent*, a few
# hundred numbers, and a neural field turns the latent into a function that can be asked anywhere. So how closely you look
# should cost nothing until you look. Is that so?
#
# In lesson 05 the network was given observations in training. Here no observation enters the training, and one model should
# answer many kinds of question: make a new digit, complete one from a few pixels, sharpen a coarse one. How well?
#
# You need the two primers, `00b` (neural fields) and `00c` (diffusion), the CRPS of `00a`, and lesson 05. ▶ *Run ▸ Run All
# Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 64  # how many of the 784 pixels are seen
tasks: int = 12  # digits, or discs, that a score is averaged over
toy_steps: int = 400  # training steps of the smallest version
finest: int = 1024  # points along each side of the closest look
guided: int = 1  # how many digits the ways to guide complete again
guess: float = 1000.0  # your prediction, see the first picture
guess_told: float = 0.75  # your prediction, see "Make a new digit"
guess_sharp: float = 0.5  # your prediction, see "Sharpen a coarse digit"
guess_guide: float = 0.9  # your prediction, see "Which guidance?"
guess_work: float = 1.1  # your prediction, see "Who does the work?"
guess_width: float = 2.0  # your prediction, see "Where it breaks"

# %%
import time

import pandas as pd
import torch
from IPython.display import display
from torch.nn import Linear, Sequential, SiLU

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import child, stream
from nfdlab.diffusion.noise import white
from nfdlab.diffusion.samplers import sample
from nfdlab.diffusion.schedule import karras
from nfdlab.evaluate import ablation, guides, kept
from nfdlab.evaluate.results import Table
from nfdlab.evaluate.scores import crps, energy_distance
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.two_sample import two_sample_accuracy
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks, toy_steps, finest = 3, 30, 256
problem, discs = nfd.problems.get("digits2d"), nfd.problems.get("discs2d")
digits = nfd.problems.held_out(problem)
linear = nfd.baselines.get("optimal_interpolation", problem, side=40)  # quicker than its usual 64 points a side
coords = nfd.cell_centres((28, 28))  # the places of a digit's pixels

# %% [markdown]
# With `budget = "reference"` the next cell opens the weights that ship with the package. `"lesson"` trains the first of
# the two here, in two minutes of one core, with a live loss curve and a button to stop (the other gets a few steps).

# %%
watch = LossWatch("autoencoder, then diffusion over its latents")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("latent_field", problem, budget=budget, seed=seed, device=device, watch=watch)
disc_model = nfd.load_or_train("latent_field", discs, budget=budget if budget == "reference" else "smoke", seed=seed,
                               device=device)

# %% [markdown]
# ## Picture
#
# *Predict, and write it down* as `guess` in the cell of parameters: from 32² to 1024² points the picture grows a thousandfold.
# How many times longer does it take to *draw*?

# %%
sides = [side for side in (32, 128, 512, 1024) if side <= finest]
figure, (panes,) = style.picture(1, len(sides), size=(2.6 * len(sides), 3.0))
nfd.render(model.draw(None, 1, seed=seed + 1), (32, 32))  # the first time of anything is slow, so it does not count
drawing, asking = dict.fromkeys(sides, float("inf")), {}  # seconds of processor time
for _ in range(4):  # a fresh draw beside each side, four times; the fastest counts
    for side in sides:
        began = time.process_time()
        draw = model.draw(None, 1, seed=seed + 1)
        drawing[side] = min(drawing[side], time.process_time() - began)
limits = draw(coords)
for ax, side in zip(panes, sides, strict=True):
    began = time.process_time()
    values = nfd.render(draw, (side, side))
    asking[side] = time.process_time() - began
    mark = ax.imshow(values[0, ..., 0], cmap=style.FIELD_MAP, extent=(-1, 1, 1, -1), interpolation="nearest",
                     vmin=limits.min(), vmax=limits.max())
    style.dress(ax, title=f"{side}²: {1e3 * drawing[side]:.0f} ms + {style.number(asking[side], 2)} s",
                x=f"drawing × {drawing[side] / drawing[32]:.2f}, asking × {asking[side] / asking[32]:.0f}",
                y="top to bottom" if side == 32 else None)
figure.colorbar(mark, ax=list(panes), label="ink, in standard deviations", shrink=0.9)
longer = drawing[sides[-1]] / drawing[32]
style.headline(figure, f"{(sides[-1] // 32) ** 2} times the points: drawing takes × {longer:.0f} as long "
               f"(you said × {guess:g}); a point costs {1e6 * asking[sides[-1]] / sides[-1] ** 2:.1f} µs to ask")
figure

# %% [markdown]
# Above each picture: the processor time to draw, and that to ask for all of its points; below, both as ratios to 32². The draw is a latent: its cost does not
# depend on how closely one looks. The cost of asking grows with the number of points.
# (How closely one *can* look is another question: between the pixels of the training digits no loss has ever
# compared the field with a truth, see `00b`.)
#
# ## Idea in symbols
#
# 1. **Compress.** An encoder $E$ and a field $f_z$, together an *autoencoder*, are trained so that $f_{E(f)}(x) \approx f(x)$ at
#    random places $x$. The latent $z = E(f)$ has two numbers on each of 14 × 14 cells, half as many as a digit has pixels. They
#    are divided by their standard deviation, because the wrapping below takes the numbers for ones of spread 1.
# 2. **Learn the distribution of latents.** With $z_\sigma = z + \sigma\varepsilon$, a denoiser learns $D(z_\sigma, \sigma)
#    \approx \mathbb{E}[z \mid z_\sigma]$, as $D = \frac{z_\sigma}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}\,
#    F(z_\sigma, \sigma)$: the best guess if latents were *white* (independent numbers of spread 1), plus what
#    a U-Net $F$ adds.
# 3. **Draw**: walk $\mathrm{d}z/\mathrm{d}\sigma = (z - D)/\sigma$ from noise to none, then ask $f_z$ anywhere.
# 4. **Guide.** *Guidance* steers the sampler towards observations $y_i = f(x_i) + s\,\varepsilon$ that were no part of the
#    training.
#
# How? In `00c` the denoiser gave the score: $D = z + \sigma^2\, \nabla \log p_\sigma(z)$. By Bayes' rule, observations add
# one term to the score, and so to the guess:
#
# $$D \;\to\; D + \sigma^2\, \nabla_z \log p(y \mid z) .$$
#
# How likely are the observations, given a latent that is still noisy? Nobody knows the clean one, so it is taken for Gaussian
# around $D$, with the spread $r$, where $r^2 = \sigma^2/(1 + \sigma^2)$
# is the squared error of the best guess for white latents. The
# decoder is taken for linear near $D$, with slope $J = \partial f_z(x_i)/\partial z$. Then $y$ is Gaussian too, with mean
# $f_D(x)$ and covariance $r^2 J J^\top + s^2$, and
#
# $$\nabla_z \log p(y \mid z) \;\approx\; (\partial D/\partial z)^\top\, J^\top\, (r^2 J J^\top + s^2)^{-1}\, (y - f_D(x)) .$$
#
# Read it from the right: how far the guess misses the observations; divided by how far it may miss them; brought from values to
# latents by $J^\top$; brought from the guess to $z$ by the slope of $D$. This is ΠGDM (Song et al. 2023). The library takes $J$
# once for all draws and steps, at the most probable latent. Averages over blocks of pixels enter in the same way. And the field
# is given the *width* of the pixel that it is asked for, and answers with the average over it.
#
# ## Smallest version
#
# From nothing, on discs whose middles lie on a circle. One number, an angle, makes such a picture. *First* an autoencoder with
# a latent of two numbers: its encoder is shown a disc at 16 × 16 points, its field is asked at random places, so it learns to
# answer anywhere. *Second* a denoiser of the two numbers. *Third* draws.

# %%
angle = 2 * torch.pi * torch.rand(6144, 1, generator=stream(seed, "angles"))
centres = 0.6 * torch.cat([angle.cos(), angle.sin()], 1)
pool = EvaluatedFields(lambda x, part: torch.sigmoid(
    (0.25 - (x - centres[part, None]).norm(dim=-1, keepdim=True)) / 0.1), 6144, 2)
with torch.random.fork_rng():
    torch.manual_seed(seed)
    encoder = Sequential(Linear(256, 64), SiLU(), Linear(64, 2))
    field = Sequential(Linear(4, 64), SiLU(), Linear(64, 64), SiLU(), Linear(64, 1))  # a place and a latent -> a value
grid, rng = nfd.cell_centres((16, 16)), stream(seed, "toy")
pictures = pool(grid)  # (6144, 256, 1): the first 2048 are for training
adam = torch.optim.Adam([*encoder.parameters(), *field.parameters()], 1e-2)
for i in range(toy_steps):
    part, x = slice(64 * (i % 32), 64 * (i % 32 + 1)), 2 * torch.rand(64, 64, 2, generator=rng) - 1
    z, values = encoder(pictures[part, :, 0]), pool[part](x)
    z = (z - z.mean(0)) / z.std(0)
    near = z + 0.05 * torch.randn(z.shape, generator=rng)  # so that similar latents become similar discs
    loss = (field(torch.cat([x, near[:, None].expand(-1, 64, -1)], -1)) - values).square().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
with torch.no_grad():
    z = encoder(pictures[:2048, :, 0])
    latents = (z - z.mean(0)) / z.std(0)
print(f"root mean square error {loss.item() ** 0.5:.3f}, over a spread of {values.std():.2f}")


# %% [markdown]
# Now the diffusion. `unit` multiplies all noise levels, those of the training and those of the sampler; here it is 1, and *Where
# it breaks* will turn it.

# %%
def diffuse(latents, unit=1.0):  # trains a denoiser of latents (n, 2) -> as many draws
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Sequential(Linear(3, 64), SiLU(), Linear(64, 64), SiLU(), Linear(64, 2))

    def denoise(z, s):  # D(z, s), wrapped as in 00c
        total = (1 + s**2).sqrt()
        return z / total**2 + s / total * net(torch.cat([z / total, s.log() / 4], 1))

    rng, adam = stream(seed, "diffusion"), torch.optim.Adam(net.parameters(), 4e-3)
    for _ in range(2 * toy_steps):
        clean = latents[torch.randint(len(latents), (256,), generator=rng)]
        s = unit * torch.exp(1.4 * torch.randn(256, 1, generator=rng))
        noisy = clean + s * torch.randn(clean.shape, generator=rng)
        loss = ((1 + s**2) / s**2 * (denoise(noisy, s) - clean).square()).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    levels = unit * karras(24, 0.02, 20.0)
    with torch.no_grad():
        z = levels[0] * white(len(latents), (2,), seed=seed)
        for now, then in zip(levels[:-1], levels[1:], strict=True):  # first order, as `walk` of 00c
            best = denoise(z, now.expand(len(z), 1))
            z = best + then / now * (z - best)
    return z


# %% [markdown]
# To judge draws without any truth to compare with, take the *energy distance* of draws to fresh discs: twice the mean distance
# between the two sets, minus the mean distances inside each. It is zero, on average, for equal distributions. Four quarters of
# both sets are measured, each by itself, which gives the error of the mean. The rival is a Gaussian with the mean and covariance
# of the latents. In brackets: other fresh discs, for which the true distance is zero.

# %%
def far(values):  # energy distance to fresh discs, in thousandths, and two standard errors
    quarters = zip(values.chunk(4), pictures[2048:4096].chunk(4), strict=True)
    parts = 1e3 * torch.stack([energy_distance(some, others) for some, others in quarters])
    return parts.mean().item(), parts.std().item()


found = {"encoded": latents, "diffusion": diffuse(latents),
         "Gaussian": white(2048, (2,), seed=seed) @ torch.linalg.cholesky(latents.T.cov()).T}
with torch.no_grad():
    decoded = {name: field(torch.cat([grid.expand(2048, -1, -1), z[:, None].expand(-1, 256, -1)], -1))
               for name, z in found.items()}
toy = {name: far(values) for name, values in (decoded | {"fresh discs": pictures[4096:]}).items()}
figure, (above, below) = style.picture(2, 3, size=(8.4, 4.6), height_ratios=(2.2, 1))
for (name, z), up, down in zip(found.items(), above, below, strict=True):
    up.scatter(*z.T, s=1, color={"encoded": style.TRUTH, "diffusion": style.MODEL}.get(name, style.BASELINE))
    up.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    style.dress(up, title=f"{name}: {toy[name][0]:z.1f} ± {toy[name][1]:.1f}", x="latent 1", y="latent 2")
    strip = torch.cat([decoded[name][:3], 3 * decoded[name].mean(0, keepdim=True)]).reshape(4, 16, 16)
    down.imshow(strip.permute(2, 0, 1).reshape(16, 64), cmap=style.FIELD_MAP, vmin=0, vmax=1)
    down.set_axis_off()
style.headline(figure, f"Energy distance to discs, in thousandths ± 2 standard errors (fresh discs: "
               f"{toy['fresh discs'][0]:z.1f} ± {toy['fresh discs'][1]:.1f})\nAbove, latents; below, three decoded, "
               "then three times the mean of all")
figure

# %% [markdown]
# The latents of the discs lie on a closed curve, and the diffusion finds it: its draws are as good as discs that were only
# encoded and decoded. A Gaussian fills the inside, and the outside: its discs are in wrong places, and their mean is a spot where
# the true mean is a ring. Every draw passes the same decoder, so draws can hardly be better than the autoencoder.
#
# > **How this differs from the papers.** Rombach et al. 2022 compress pictures by a convolutional autoencoder with a penalty that
# > keeps latents near a normal distribution; here latents are scaled, and get a little noise while the field learns, for the same
# > reason. Their decoder gives pixels; Chen et al. 2024 (image neural fields) decode to a field that is told its pixel, as here.
# > Both train with a perceptual loss and a discriminator; here it is the mean squared error alone. Guidance is ΠGDM through the
# > decoder, whose slope is taken once for all draws and steps.
#
# ## The library's version
#
# One line, `model.draw(None, …)`; `None` says that nothing was observed. The cell writes that line out for digits and checks that
# it gives the same numbers. The `lambda` is $D$ of step 2; `sample(…, method="dpmpp")` is `dpm` of `00c`, which was checked
# there. Then the field: a place lies between the middles of four cells. The network answers once for each of the four, given what
# the cell holds (`memory`), how far the place is from its middle, and how wide a pixel is meant (`local.size`; 0 here: a point).
# The four answers are blended by distance, as lesson 05 blended two.

# %%
n, steps, parts, auto = 2, 12, model.net, model.net.autoencoder
with torch.no_grad():
    sigmas = model.sigmas(steps)
    z = sigmas[0] * white(n, parts.shape, seed=seed).to(model.device)
    z = sample(lambda z, s: z / (1 + s**2) + s / (1 + s**2).sqrt() * parts.denoiser.net(
        z / (1 + s**2).sqrt(), (s.log() / 4).expand(1)), z, sigmas, method="dpmpp")
    local, side = auto.decoder.field, z.shape[-1]
    memory, values = local.project(auto.decoder(z)), 0  # what each cell holds: (n, cells, width)
    place = (coords.to(model.device) + 1) / 2 * side - 0.5  # in cells: 0 is the middle of the first
    first = place.floor().clamp(0, side - 2)
    for step in torch.cartesian_prod(torch.arange(2), torch.arange(2)).to(first):  # the four cells around each place
        weight = torch.where(step == 1, place - first, 1 - (place - first)).clamp(0, 1).prod(1, keepdim=True)
        cell = ((first + step) @ torch.tensor([side, 1.0]).to(first)).long()
        offset = local.place(local.encode((place - first - step) / 1.5)) + local.size(torch.zeros(1, 1).to(first))
        values = values + weight * local.answer(memory[:, cell] + offset)
library = model.draw(None, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values.cpu(), library, atol=1e-4)
print(f"by hand and by library: {(values.cpu() - library).abs().max():.0e} apart, over a field of spread "
      f"{library.std():.2f}")

# %% [markdown]
# ## Turn the knobs
#
# The sliders say how much is seen, which pattern, how noisy, which sampler, how close. Try: no observations at all (new digits,
# of any kind); 20 pixels, then 200 (when do all draws become the same digit?); `scale` at 32, which only decodes: the draw stays.

# %%
panel = nfd.explore(model, problem, count=keep, draws=4, steps=8, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# One model, three kinds of question. It saw no observations in training.
#
# ### Make a new digit
#
# Ask a classifier. A small convolutional network is trained to tell draws from fresh digits (digits of the training side, moved and
# sheared anew), and judged on draws and digits that the classifier has not seen. If it is right half of the time, it is guessing, and the two cannot be told apart. *Predict, and write it down*
# as `guess_told`: how often will it be right about draws of a Gaussian with the latents' mean and covariance? The last row is the
# test of the test: other fresh digits.

# %%
count = 128 if budget != "smoke" else 16
bell = model.decode(model.net.covariance.draw(count, seed=seed).reshape(count, *model.net.shape))
made, fresh = model.draw(None, count, seed=seed, steps=8), problem.draw(count, seed=seed)
sets = {"diffusion": made, "Gaussian": bell, "other fresh digits": problem.draw(count, seed=seed + 1)}
right = pd.Series({name: two_sample_accuracy(one, fresh, side=16, seed=seed) for name, one in sets.items()})
doubt = 2 * (right * (1 - right) / (2 * count)) ** 0.5  # two standard errors of a share of 2 × count answers
display(pd.DataFrame({"right": right, "±": doubt, "more than by chance": right - right.iloc[-1],
                      "± ": (doubt**2 + doubt.iloc[-1]**2) ** 0.5}).style.format("{:.2f}").set_caption(
    f"share of right answers, {count} draws against {count} fresh digits, ± 2 standard errors"))
plots.pages(problem.card, {"fresh": fresh} | {f"diffusion {i + 1}": made[i:i + 1] for i in range(3)}
            | {f"Gaussian {i + 1}": bell[i:i + 1] for i in range(2)},
            title="Told from fresh digits, ± 2 standard errors: "
            f"Gaussian {right['Gaussian']:.0%} ± {doubt['Gaussian']:.0%} (you said {guess_told:.0%}),\n"
            f"diffusion {right['diffusion']:.0%} ± {doubt['diffusion']:.0%}; "
            f"other fresh digits {right.iloc[-1]:.0%} ± {doubt.iloc[-1]:.0%}")

# %% [markdown]
# The diffusion's draws cannot be told from fresh digits by this classifier: their interval holds the row of chance. The
# Gaussian's draws are told apart. (More draws, or a larger classifier, may find a difference that this one does not.)
#
# ### Complete a digit
#
# Now some pixels are seen, and the sampler is guided. The best linear answer, measured on the same training digits, is the rival.
# The title is about one digit; the table was measured over many when the weights were made (random places, noise 0.05; digits as
# a ratio to the best linear answer, discs to the exact posterior).

# %%
digit = digits.draw(1, seed=seed + 1)
pixels = nfd.observe(digit, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)
ours, theirs = model.draw(pixels, 8, seed=seed), linear.draw(pixels, 8, seed=seed)
score = {name: crps(f(coords), digit(coords)[0]).item() for name, f in (("ours", ours), ("linear", theirs))}
mean = EvaluatedFields(lambda x, part: ours(x).mean(0, keepdim=True), 1, 2)
display(kept_scores({"digits2d": model, "discs2d": disc_model}))
plots.pages(
    problem.card,
    {"truth": digit, "ours": ours, "ours, another": ours[1:2], "ours, mean": mean, "linear": theirs,
     "linear, another": theirs[1:2]},
    seen=pixels,
    title=f"{keep} of 784 pixels: CRPS {score['ours']:.3f}, best linear answer {score['linear']:.3f}",
)

# %% [markdown]
# Ours has the lower error, for this digit and in the table. (The interval over 30 digits is under *Who does the work?*) Look at
# the draws: ours are made of strokes, those of the linear answer are clouds around its mean.
#
# ### Sharpen a coarse digit
#
# Observed: the averages of 7 × 7 blocks of 4 × 4 pixels. Bicubic interpolation of the averages is what picture programs do; the
# best linear answer knows the digits' covariance. *Predict, and write it down* as `guess_sharp`: our error as a share of the best
# linear answer's. (Brackets: 95 % intervals of the ratio, by drawing the digits again and again with replacement, a *bootstrap*.)

# %%
rows = []
for i in range(tasks):
    sharp = digits.draw(1, seed=child(seed, "sharpen", i))
    coarse = nfd.observe(sharp, nfd.patterns.BlockAverage(cells=7, parts=4), noise_std=0.05, seed=i)
    blocks = coarse.values.reshape(1, 1, 7, 7)
    bicubic = EvaluatedFields(lambda x, part, blocks=blocks: interpolate(blocks, x, cubic=True), 1, 2)
    answers = {"ours": model.draw(coarse, 3, seed=i, steps=8), "best linear answer": linear.draw(coarse, 3, seed=i),
               "bicubic": bicubic}
    rows.append([crps(f(coords).expand(3, -1, -1), sharp(coords)[0]).item() for f in answers.values()])
errors = torch.tensor(rows)  # (tasks, 3)
again = errors[torch.randint(tasks, (2000, tasks), generator=stream(seed, "again"))].mean(1)  # the same digits for all
sharpened = {name: [errors[:, 0].mean() / errors[:, j].mean(), *(again[:, 0] / again[:, j]).quantile(
    torch.tensor([0.025, 0.975]))] for j, name in enumerate(answers) if j}  # ratio and interval
plots.pages(problem.card, {"truth": sharp, "7 × 7 averages": EvaluatedFields(
    lambda x, part: blocks[:, 0, *((x.T + 1) * 3.5).long().clamp(0, 6)][..., None], 1, 2), **answers},
    title=f"×4, {tasks} digits: our CRPS over " + ",\n".join(
        f"{name}'s {value:.2f} [{least:.2f}, {most:.2f}]" + (f" (you said {guess_sharp:g})" if "linear" in name else "")
        for name, (value, least, most) in sharpened.items()))

# %% [markdown]
# Same weights, same line of code: only the pattern of the observations changed. Both intervals lie below 1, so ours has the lower
# error.
#
# ### Which guidance?
#
# The formula above rests on two guesses: that the decoder is linear, and that what is open is Gaussian. There are other ways to
# guide:
#
# - `linearised_pigdm`, the usual one here, is the formula above, with the decoder's slope $J$ taken once;
# - `linearised` is cheaper: it leaves out the slope of $D$, and takes a Gaussian with the latents' covariance for what remains
#   unknown;
# - `pigdm` takes the decoder's slope anew for each draw and step, which costs most;
# - `dps` (Chung et al. 2023) takes no covariance: it moves $D$ down the slope of the misfit.
#
# All four complete the same forty digits from the same pixels, in eight steps and in twelve. (Measured once, by `keep_guides()`;
# one digit is completed again here, which also says how long each way takes.) *Predict, and write it down* as `guess_guide`:
# what is the error of `pigdm`, as a share of the usual one's?

# %%
guided_rows, names = kept.kept("guides", "latent_field", "digits2d"), guides.GUIDES
digits_, seen_ = guided_rows["task"].nunique(), guided_rows["count"].iloc[0]
guiding = pd.concat({
    steps: Table(part.rename(columns={"guide": "contestant"}).assign(m=seen_), "digits2d", names[0], 3, seed).summary(
        intervals=True).xs("mean", level="m")[["crps", "crps_low", "crps_high"]]
    for steps, part in guided_rows.groupby("steps")})
live = guides.compare_guides(model, digits, count=seen_, tasks=guided, steps=8, seed=0)
seconds = live.groupby("guide")["seconds"].mean()
same = live.merge(guided_rows, on=["guide", "steps", "task"], suffixes=("", "_kept"))
print(f"CRPS of {len(same)} completions made again here: {same['crps'].mean():.3f} (kept: "
      f"{same['crps_kept'].mean():.3f})")
figure, ((ax,),) = style.picture(size=(8.4, 2.6))
for (steps, part), shift, alpha in zip(guiding.groupby(level=0), (0.12, -0.12), (1.0, 0.45), strict=True):
    for j, guide in enumerate(names):
        value, least, most = part.loc[(steps, guide)]
        ax.plot([least, most], [shift - j, shift - j], color=style.MODEL, alpha=alpha, lw=2)
        ax.plot(value, shift - j, "o", color=style.MODEL, alpha=alpha, label=f"{steps} steps" if j == 0 else None)
ax.axvline(1.0, color=style.BASELINE, lw=1.0)
ax.set_yticks(range(0, -len(names), -1), [f"{g}, {style.number(seconds[g], 2)} s a digit" for g in names])
style.dress(ax, x=f"CRPS over that of {names[0]}, and its 95 % interval ({digits_} digits, {seen_} pixels, 3 draws)")
style.legend(ax)
style.headline(figure, "Error over that of the usual way, 8 steps: " + ", ".join(
    f"{g} {guiding.loc[(8, g), 'crps']:.2f}" + (f" (you said {guess_guide:g})" if g == "pigdm" else "")
    for g in names[1:]))
figure

# %% [markdown]
# An interval that leaves out 1 tells two ways apart, one that holds 1 does not. `pigdm` has about a fifth less error than the usual
# way, with eight steps and with twelve, and takes the most time. `dps` has about half as much error again. `linearised` cannot be
# told from the usual way with eight steps; with twelve it has a little more error, because the usual way improves with more steps.
# All this is for one number of pixels and for this model; `evaluate.guides.compare_guides` answers for yours.
#
# ### Where an exact answer is known
#
# Discs. A disc is flat inside and outside, and steep at its edge, so the field is far from linear in the latent; how guidance
# by a slope does there was not measured. Here many draws of the prior are weighted by how well they explain the observations. That needs a latent
# of few numbers; lesson 09 explains it.

# %%
disc = discs.draw(1, seed=seed)
seen = nfd.observe(disc, nfd.patterns.Random(count=4), noise_std=0.05, seed=seed)
quick = disc_model.using(num_particles=64, rounds=12)  # fewer weighted draws than usual
exact_ratio = nfd.score(quick, discs, counts=(4,), tasks=tasks, points=grid, seed=seed).ratio("crps").loc["mean"]
draws = {"exact": discs.oracle().draw(seen, 32, seed=seed), "ours": quick.draw(seen, 32, seed=seed)}
means = {f"{name}, mean": EvaluatedFields(lambda x, part, f=f: f(x).mean(0, keepdim=True), 1, 2)
         for name, f in draws.items()}
plots.pages(discs.card, {"truth": disc, **draws, **means}, seen=seen,
            title=f"{tasks} discs, 4 observations each: CRPS {exact_ratio['crps']:.2f} of the exact posterior's,"
            f"\n95 % interval [{exact_ratio['low']:.2f}, {exact_ratio['high']:.2f}]")

# %% [markdown]
# The interval holds 1: so few discs cannot tell ours from the exact posterior. The table under *Complete a digit* has 40 discs at
# each number of observations, and more draws to weigh: from less than one to about five percent above the exact posterior.
#
# ## Who does the work?
#
# Twice something is taken away, on the same tasks. *Gaussian draws:* the draws given the observations are replaced by draws of a
# Gaussian with the same mean and covariance, so only the shape of their distribution is lost. `optimal_interpolation`, the best
# linear answer from the same training digits: all that was learned by networks is lost. *Predict, and write it down* as
# `guess_work`: by what factor does the error grow with Gaussian draws? `nfdlab ablate latent_field digits2d` measured it, on 30
# digits at each number of pixels; the table is kept with the weights.

# %%
arms = ablation.worth(ablation.kept("latent_field", "digits2d"))
costs = {name: arms.loc[name, ["to full", "to full low", "to full high"]].tolist()
         for name in ("Gaussian draws", "optimal_interpolation")}
figure, ((ax,),) = style.picture(size=(8.4, 1.9))
for j, (name, (value, least, most)) in enumerate(costs.items()):
    ax.plot([least, most], [-j, -j], color=style.colour_of(name), lw=2)
    ax.plot(value, -j, "o", color=style.colour_of(name))
ax.axvline(1.0, color=style.BASELINE, lw=1.0)
ax.set(ylim=(-1.6, 0.6))
ax.set_yticks([0, -1], list(costs))
style.dress(ax, x="CRPS over that of the whole, 95 % intervals (30 digits at each of 8 … 128 pixels)")
style.headline(figure, "Error over the whole's: " + ",\n".join(
    f"{name} × {value:.2f} [{least:.2f}, {most:.2f}]" + (f" (you said × {guess_work:g})" if "draws" in name else "")
    for name, (value, least, most) in costs.items()))
figure

# %% [markdown]
# Without any network the error is about a third larger. More than half of that is lost already when only the shape of the
# distribution goes: what the diffusion adds here is, for the most part, that its draws are not Gaussian.
#
# ## Where it breaks
#
# **Latents of the wrong scale.** The wrapping takes latents for numbers of spread 1, and so do the noise levels. Here the toy's
# latents are made ten times smaller. First nobody says so. Then the noise levels, in training and in sampling, are made ten
# times smaller too, so that only the wrapping is wrong. Draws are scaled back before they are decoded by the same field.

# %%
scaled = {"unit scale": found["diffusion"], "÷ 10": diffuse(0.1 * latents) / 0.1,
          "÷ 10, levels too": diffuse(0.1 * latents, unit=0.1) / 0.1}
with torch.no_grad():
    broken = {name: far(field(torch.cat([grid.expand(2048, -1, -1), z[:, None].expand(-1, 256, -1)], -1)))
              for name, z in scaled.items()}
figure, (panes,) = style.picture(1, 3, size=(8.4, 3.2))
for ax, (name, z) in zip(panes, scaled.items(), strict=True):
    ax.scatter(*z.T, s=1, color=style.MODEL)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    style.dress(ax, title=f"{name}: {broken[name][0]:z.1f} ± {broken[name][1]:.1f}", x="latent 1", y="latent 2")
style.headline(figure, "Latents drawn, and the energy distance to fresh discs, in thousandths ± 2 standard errors")
figure

# %% [markdown]
# The autoencoder is the same in all three: only the diffusion is lost. Right levels do not save it, so the wrapping alone does
# harm: the network must then learn what the wrapping should have done. When reconstructions are good and draws are not, look at
# the scale of the latents first.
#
# **Pixels that are taken for points.** Small pictures are made of large pixels, and each is the average over its square. 24
# digits are encoded, and each is asked for as 7 × 7 large pixels. *Predict, and write it down* as `guess_width`: how many times
# larger is the error when the field is not told how wide they are?

# %%
some = digits.draw(24, seed=seed + 2)
averages = torch.nn.functional.avg_pool2d(some(coords).unflatten(1, (28, 28))[..., 0], 4).flatten(1)
z, wide = model.encode(some), {}
for name, size in (("given their width", 2 / 7), ("taken for points", 0.0)):
    off = model.decode(z, size=size)(nfd.cell_centres((7, 7)))[..., 0].cpu() - averages
    wide[name] = off.square().mean(1).sqrt()  # rms error of each digit
    print(f"{name}: error {wide[name].mean():.3f} ± {1.96 * wide[name].std() / 24**0.5:.3f}")
aliasing = (wide["taken for points"].mean() / wide["given their width"].mean()).item()
print(f"{aliasing:.1f} times the error (you said {guess_width:g})")
check = Exercises({  # for the exercises at the end
    1: (lambda spreads: abs(spreads[10] / spreads[40] - 1) < 0.1 or budget == "smoke", "Ten steps nearly do as forty."),
    2: (lambda answer: answer[0] > answer[1] or budget == "smoke", "Two half discs overlap only where both are."),
    3: (lambda error: error < 0.2 or budget == "smoke", "Is the mean a sum over the 784 pixels with weights 1/784?"),
})

# %% [markdown]
# Without the width the field answers for single points, and misses the ink between them: this is *aliasing*.
#
# **When to use it:** one prior for many kinds of question, at any resolution. **When not:** one kind of question asked a thousand
# times (lesson 05 needs no guidance, and its table shows lower errors on digits), or detail that no short latent can hold.
# **Cost:** the minutes of training are in the table above; a draw costs the same however closely it is looked at.
#
# ## Exercises
#
# Each solution ends in `check(number, answer)`, which says whether the answer holds.
#
# **1 · Turn a knob.** How many noise levels does a draw need? Compare the spread of prior draws at 4, 10 and 40.
#
# <details><summary>Solution</summary>
#
# ```python
# spreads = {k: model.draw(None, 16, seed=1, steps=k)(coords).std(0).mean().item() for k in (4, 10, 40)}
# print(spreads)
# assert check(1, spreads)
# ```
#
# </details>
#
# **2 · Change a line.** Walk between two discs by mixing their latents, and by mixing their values. Which is nearer to a disc? (A
# disc reaches from 0 to 1.)
#
# <details><summary>Solution</summary>
#
# ```python
# two = discs.draw(2, seed=4)
# middle = disc_model.decode(disc_model.encode(two).mean(0, keepdim=True))(coords)
# mixed = two(coords).mean(0)
# assert check(2, [(f.amax() - f.amin()).item() for f in (middle, mixed)])                  # two half discs have 0.5
# ```
#
# </details>
#
# **3 · Write a piece.** Any weighted sum of values is an observation. Tell the model one number, the mean over the whole box, 0.3
# above that of `digit` ("more ink"), and draw. (Hint: `LinearObservations` holds points, weights, values and noise.)
#
# <details><summary>Solution</summary>
#
# ```python
# from nfdlab.core.types import LinearObservations
#
# ink = digit(coords)[0].mean(0, keepdim=True) + 0.3                                        # (1, 1)
# asked = LinearObservations(coords, torch.full((1, 784), 1 / 784), ink, 0.02)
# bold = model.draw(asked, 8, seed=1)(coords)
# error = (bold.mean((1, 2)) - ink).abs().mean().item()
# print(f"mean ink asked for {ink.item():.2f}, got {bold.mean().item():.2f}")
# assert check(3, error)
# ```
#
# </details>
#
# **Five questions.** Why does the time to draw not depend on how closely one looks? What would a Gaussian over the latents draw,
# and why is it no digit? Why must latents have unit scale? What does the field need a pixel's width for? When is a network that
# is given the observations in training (lesson 05) the better choice?
#
# ## Further reading
#
# - Rombach et al. 2022, *High-resolution image synthesis with latent diffusion models*
#   ([2112.10752](https://arxiv.org/abs/2112.10752)): diffuse latents, not pixels; scale them first.
# - Chen et al. 2024, *Image neural field diffusion models* ([2406.07480](https://arxiv.org/abs/2406.07480)): a field
#   as the decoder, trained at many resolutions.
# - Chen, Liu & Wang 2021, *Learning continuous image representation with local implicit image function*
#   ([2012.09161](https://arxiv.org/abs/2012.09161)): the local field, and the width of a pixel as its input.
# - Song et al. 2023, *Pseudoinverse-guided diffusion models for inverse problems*
#   ([openreview.net/forum?id=9_gsMA8MRKQ](https://openreview.net/forum?id=9_gsMA8MRKQ)): ΠGDM.
# - Chung et al. 2023, *Diffusion posterior sampling for general noisy inverse problems*
#   ([2209.14687](https://arxiv.org/abs/2209.14687)): DPS.
# - Lopez-Paz & Oquab 2017, *Revisiting classifier two-sample tests* ([1610.06545](https://arxiv.org/abs/1610.06545)):
#   draws that a classifier can tell apart.
#
# <details><summary>Answers to the five questions</summary>
#
# 1. The diffusion works on the latent, whose size is fixed; only asking the field costs something for each point.
# 2. Latents with the right mean and covariance, but mostly where no digit has its latent: inside the curve, in the toy.
# 3. The wrapping and the noise levels are chosen for a spread of 1. Either one alone, if wrong, does harm.
# 4. A pixel is the average over its square. Without the width the field answers for the point in the middle.
# 5. For one kind of question that is asked often: it needs no guidance, and has lower errors on digits.
#
# </details>
