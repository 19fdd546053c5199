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
# There is a second difference from lesson 05. There the network was given observations in training. Here no observation enters
# the training, and one model should answer many kinds of question: make a new digit, complete one from a few pixels, sharpen a
# coarse one. How well?
#
# You need the two primers, `00b` (neural fields) and `00c` (diffusion), the CRPS of `00a`, and lesson 05. ▶ *Run ▸ Run All
# Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 64  # how many of the 784 pixels are seen
tasks: int = 4  # discs and digits are averaged over a few times as many tasks
toy_steps: int = 500  # training steps of the smallest version
finest: int = 1024  # points along each side of the closest look
guided: int = 2  # digits that the ways to guide complete again
guess: float = 1000.0  # your prediction, see the first picture
guess_told: float = 0.75  # your prediction, see "Make a new digit"
guess_guide: float = 0.9  # your prediction, see "Which guidance?"

# %%
import time

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.core.grid import interpolate
from nfdlab.core.rng import child, stream
from nfdlab.diffusion.denoiser import Denoiser
from nfdlab.diffusion.noise import white
from nfdlab.diffusion.samplers import sample
from nfdlab.diffusion.schedule import karras
from nfdlab.evaluate import ablation, guides, kept
from nfdlab.evaluate.error_breakdown import error_breakdown
from nfdlab.evaluate.results import Table
from nfdlab.evaluate.scores import crps, energy_distance
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.two_sample import two_sample_accuracy
from nfdlab.jupyter.exercises import Exercises
from nfdlab.nn.networks import MLP
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks, toy_steps, finest, guided = 1, 30, 256, 1
problem, discs = nfd.problems.get("digits2d"), nfd.problems.get("discs2d")
digits, linear = nfd.problems.held_out(problem), nfd.baselines.get("optimal_interpolation", problem)
coords = nfd.cell_centres((28, 28))  # the places of a digit's pixels

# %% [markdown]
# With `budget = "reference"` the next cell opens the weights that ship with the package. `"lesson"` trains the first of
# the two here, in two minutes of one core, with a live loss curve and a button to stop (the other gets a few steps).

# %%
watch = LossWatch("autoencoder, then diffusion over its latents")
if budget != "reference":
    display(watch)
model = nfd.load_or_train("latent_field", problem, budget=budget, seed=seed, device=device, watch=watch)
round_ = nfd.load_or_train(
    "latent_field", discs, budget=budget if budget == "reference" else "smoke", seed=seed, device=device
)

# %% [markdown]
# ## Picture
#
# *Predict, and write it down* as `guess` in the cell of parameters: from 32² to 1024² points the picture grows a thousandfold.
# How many times longer does it take to *draw*?

# %%
began = time.perf_counter()
draw = model.draw(None, 1, seed=seed + 1)
drawing = time.perf_counter() - began
nfd.render(draw, (8, 8))  # the first question to anything is slow
sides = [side for side in (32, 128, 512, 1024) if side <= finest]
figure, (panes,) = style.picture(1, len(sides), size=(2.6 * len(sides), 2.9))
asking, limits = {}, draw(coords)
for ax, side in zip(panes, sides, strict=True):
    began = time.perf_counter()
    values = nfd.render(draw, (side, side))
    asking[side] = time.perf_counter() - began
    mark = ax.imshow(values[0, ..., 0], cmap=style.FIELD_MAP, extent=(-1, 1, 1, -1), interpolation="nearest",
                     vmin=limits.min(), vmax=limits.max())
    style.dress(ax, title=f"{side}²: evaluated in {style.number(asking[side], 2)} s")
figure.colorbar(mark, ax=list(panes), label="ink, in standard deviations", shrink=0.9)
each = 1e6 * asking[sides[-1]] / sides[-1] ** 2
style.headline(figure, f"Drawn once, in {1e3 * drawing:.0f} ms, before anybody asked: × 1 (you said × {guess:g}). "
               f"Each query point costs {each:.1f} µs")
figure


# %% [markdown]
# The draw is a latent: its cost does not depend on how closely one looks. The cost of asking grows with the number of points.
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
# From nothing, on discs of unknown place and size, with a soft edge. *First* an encoder to four numbers, with a
# field of these numbers and a place; *second* a denoiser of the four numbers; *third* draws. The
# encoder is shown a disc at 16 × 16 points. The field is asked at 128 random places, so it learns to answer anywhere.
#
# To judge draws without any truth to compare with, take the *energy distance* of draws to fresh discs: twice the mean distance
# between the two sets, minus the mean distances inside each. It is zero, on average, for equal distributions. *Predict:* if a
# draw is not a good disc, which stage is to blame, the autoencoder or the diffusion?

# %%
def dense(*sizes):
    pairs = zip(sizes, sizes[1:], strict=False)
    layers = [part for pair in pairs for part in (torch.nn.Linear(*pair), torch.nn.SiLU())]
    return torch.nn.Sequential(*layers[:-1])


with torch.random.fork_rng():
    torch.manual_seed(seed)
    encoder, field, net = dense(256, 128, 128, 4), dense(6, 64, 64, 64, 1), dense(5, 128, 128, 128, 4)
grid, rng = nfd.cell_centres((16, 16)), stream(seed, "toy")
adam = torch.optim.Adam([*encoder.parameters(), *field.parameters()], 3e-3)
for i in range(toy_steps):  # stage 1: the autoencoder
    some, x = discs.draw(64, seed=child(seed, "toy", i)), 2 * torch.rand(64, 128, 2, generator=rng) - 1
    z = encoder(some(grid)[..., 0])
    z = (z - z.mean(0)) / z.std(0)
    near = z + 0.05 * torch.randn(z.shape, generator=rng)  # so that similar latents become similar discs
    values = field(torch.cat([x, near[:, None].expand(-1, 128, -1)], -1))
    loss = (values - some(x)).square().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
print(f"root mean square error {loss.item() ** 0.5:.3f}, over a spread of {some(x).std():.2f}")


# %%
def denoise(z, s):  # D(z, s) for z (b, 4), s (b, 1), wrapped as in 00c
    total = (1 + s**2).sqrt()
    return z / total**2 + s / total * net(torch.cat([z / total, s.log() / 4], 1))


with torch.no_grad():
    z = encoder(discs.draw(4096, seed=child(seed, "latents"))(grid)[..., 0])
    latents = (z - z.mean(0)) / z.std(0)
adam, losses = torch.optim.Adam(net.parameters(), 2e-3), []
for _ in range(4 * toy_steps):  # stage 2: the denoiser
    clean, s = latents[torch.randint(4096, (256,), generator=rng)], torch.exp(1.4 * torch.randn(256, 1, generator=rng))
    noisy = clean + s * torch.randn(clean.shape, generator=rng)
    loss = ((1 + s**2) / s**2 * (denoise(noisy, s) - clean).square()).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    losses.append(loss.item())
print(f"loss {sum(losses[:20]) / 20:.2f} -> {sum(losses[-100:]) / 100:.2f}; a network that says 0 would have 1")

# %%
levels = karras(24, 0.02, 20.0)
with torch.no_grad():  # 768 draws
    z = levels[0] * white(768, (4,), seed=seed)
    for now, then in zip(levels[:-1], levels[1:], strict=True):  # first order, as `walk` of 00c
        guess_now = denoise(z, now.expand(768, 1))
        z = guess_now + then / now * (z - guess_now)
bell = white(768, (4,), seed=seed) @ torch.linalg.cholesky(latents.T.cov()).T  # a Gaussian of the latents
fine = nfd.cell_centres((24, 24))
shown = {name: field(torch.cat([fine.expand(768, -1, -1), z_[:, None].expand(-1, 576, -1)], -1)).detach()
         for name, z_ in (("reconstructed", latents[:768]), ("toy", z), ("Gaussian", bell))}
shown |= {"library": round_.draw(None, 768, seed=seed)(fine).cpu(), "fresh discs": discs.draw(768, seed=1)(fine)}
real, toy, chance = discs.draw(768, seed=2)(fine), {}, {}
for name, values in shown.items():  # four quarters, each measured by itself
    quarters = zip(values.chunk(4), real.chunk(4), strict=True)
    parts = 1e3 * torch.stack([energy_distance(some, others) for some, others in quarters])
    toy[name], chance[name] = parts.mean().item(), parts.std().item()
plots.pages(discs.card, {f"{name}: {toy[name]:.1f}": EvaluatedFields(
    lambda x, part, v=v: interpolate(v[part].mT.reshape(-1, 1, 24, 24), x), 768, 2) for name, v in shown.items()},
    title="Energy distance to discs, in thousandths, ± 2 standard errors (one draw of each is shown):\n"
    + ", ".join(f"{name} {toy[name]:.1f} ± {chance[name]:.1f}" for name in toy))

# %% [markdown]
# Zero is the best; the Gaussian is one over the toy's latents. (The errors are over draws: each quarter of them is measured by
# itself.) Discs that were only encoded and decoded are already far away, and **draws, which pass the same decoder, are seldom
# better than the autoencoder.** That is the stage to blame here, and on four numbers even a Gaussian does as well as the toy's
# diffusion. Digits, below, are where a Gaussian fails.
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
    low = place.floor().clamp(0, side - 2)
    for step in torch.cartesian_prod(torch.arange(2), torch.arange(2)).to(low):  # the four cells around each place
        weight = torch.where(step == 1, place - low, 1 - (place - low)).clamp(0, 1).prod(1, keepdim=True)
        cell = ((low + step) @ torch.tensor([side, 1.0]).to(low)).long()
        offset = local.place(local.encode((place - low - step) / 1.5)) + local.size(torch.zeros(1, 1).to(low))
        values = values + weight * local.answer(memory[:, cell] + offset)
library = model.draw(None, n, seed=seed, steps=steps)(coords)
assert torch.allclose(values.cpu(), library, atol=1e-4)
print(f"by hand and by library: {(values.cpu() - library).abs().max():.0e} apart, over a field of spread "
      f"{library.std():.2f}")

# %% [markdown]
# ## Turn the knobs
#
# The sliders say how much is seen, which pattern, how noisy, which sampler, how close. *Predict*, then try: no observations at
# all (new digits, of any kind); 20 pixels, then 200 (when do all draws become the same digit?); `scale` at 32, which only
# decodes: the draw stays.

# %%
panel = nfd.explore(model, problem, count=keep, draws=8, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# One model, three kinds of question. It saw no observations in training.
#
# ### Make a new digit
#
# How good are draws when there is no truth to compare with? Ask a classifier. A small convolutional network is trained to tell
# draws from fresh digits, and judged on draws and digits that it has not seen. If it is right half of the time, it is guessing,
# and the two cannot be told apart. *Predict, and write it down* as `guess_told`: how often will it be right about the diffusion's
# draws? And how often about draws of a Gaussian over the same latents?

# %%
many = 128 if budget != "smoke" else 16
bell = model.decode(model.net.covariance.draw(many, seed=seed).reshape(many, *model.net.shape))
made, fresh = model.draw(None, many, seed=seed, steps=8), problem.draw(many, seed=seed)
sets = {"diffusion": made, "Gaussian over the latents": bell, "held-out digits": digits.draw(many, seed=seed)}
told = {name: two_sample_accuracy(one, fresh, seed=seed) for name, one in sets.items()}
generation = pd.DataFrame({"told apart": told})
generation["± 2 standard errors"] = 2 * (8 * many) ** -0.5  # of an accuracy of 0.50
display(generation.style.format("{:.2f}").set_caption(f"against fresh digits, {many} of each"))
plots.pages(problem.card, {"fresh": fresh} | {f"diffusion {i + 1}": made[i:i + 1] for i in range(3)}
            | {f"Gaussian {i + 1}": bell[i:i + 1] for i in range(2)},
            title=f"Told apart from fresh digits: diffusion {generation['told apart'].iloc[0]:.0%} "
            f"(you said {guess_told:.0%}), Gaussian {generation['told apart'].iloc[1]:.0%}")

# %% [markdown]
# About the diffusion's draws the classifier is right less often than about the Gaussian's. (A share that is more than two
# standard errors above 0.50 says that it can tell them from digits.) The Gaussian has the latents' mean and covariance, and none
# of its draws is a digit: adding up normal numbers makes no strokes. The last row is a warning. Fresh digits of the training side
# are moved and sheared a little, which blurs them; held-out ones are as they are, and the classifier sees that at once. Such a
# test says whether two sets differ, not whether the difference matters.
#
# ### Complete a digit
#
# Now some pixels are seen, and the sampler is guided. The best linear answer, measured on the same training digits, is the rival.
# *Predict:* which of the two has the sharper draws, and which the lower error? The title is about one digit; the table was
# measured over many when the weights were made (random places, noise 0.05; digits as a ratio to the best linear answer, discs to
# the exact posterior).

# %%
digit = digits.draw(1, seed=seed + 1)
pixels = nfd.observe(digit, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)
ours, theirs = model.draw(pixels, 16, seed=seed), linear.draw(pixels, 16, seed=seed)
score = {name: crps(f(coords), digit(coords)[0]).item() for name, f in (("ours", ours), ("linear", theirs))}
mean = EvaluatedFields(lambda x, part: ours(x).mean(0, keepdim=True), 1, 2)
display(kept_scores({"digits2d": model, "discs2d": round_}))
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
# best linear answer knows the digits' covariance. All three get the same averages. *Predict:* who wins? (Brackets: 95 % intervals
# of the ratio, by drawing the digits again and again with replacement, a *bootstrap*.)

# %%
rows, many = [], 3 * tasks
for i in range(many):
    sharp = digits.draw(1, seed=child(seed, "sharpen", i))
    coarse = nfd.observe(sharp, nfd.patterns.BlockAverage(cells=7, parts=4), noise_std=0.05, seed=i)
    low = coarse.values.reshape(1, 1, 7, 7)
    bicubic = EvaluatedFields(lambda x, part, low=low: interpolate(low, x, cubic=True), 1, 2)
    answers = {"ours": model.draw(coarse, 4, seed=i, steps=10), "best linear answer": linear.draw(coarse, 4, seed=i),
               "bicubic": bicubic}
    rows.append({name: crps(f(coords).expand(4, -1, -1), sharp(coords)[0]).item() for name, f in answers.items()})
sharpened = pd.DataFrame(rows)
again = torch.randint(many, (2000, many), generator=stream(seed, "again"))  # the same digits for all three
boot = pd.DataFrame(torch.tensor(sharpened.to_numpy())[again].mean(1), columns=sharpened.columns)
ratio = {name: sharpened["ours"].mean() / sharpened[name].mean() for name in ("best linear answer", "bicubic")}
ends = {name: [(boot["ours"] / boot[name]).quantile(q) for q in (0.025, 0.975)] for name in ratio}
plots.pages(problem.card, {"truth": sharp, "7 × 7 averages": EvaluatedFields(
    lambda x, part: low[:, 0, *((x.T + 1) * 3.5).long().clamp(0, 6)][..., None], 1, 2), **answers},
    title=f"×4: CRPS over {many} digits " + ", ".join(
        f"{ratio[name]:.2f} [{ends[name][0]:.2f}, {ends[name][1]:.2f}] of {of}"
        for name, of in (("best linear answer", "the best linear answer's"), ("bicubic", "bicubic's"))))

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
# All four complete the same forty digits from the same pixels, in eight steps and in twelve. (Measured once, by `keep_guides()`; a few digits
# are completed again here, which also says how long each way takes.) *Predict, and write it down* as `guess_guide`: what is the error of
# `pigdm`, as a share of the usual one's?

# %%
many_ways, names = kept.kept("guides", "latent_field", "digits2d"), guides.GUIDES
digits_, seen_ = many_ways["task"].nunique(), many_ways["count"].iloc[0]
guiding = pd.concat({
    steps: Table(part.rename(columns={"guide": "contestant"}).assign(m=seen_), "digits2d", names[0], 3, seed).summary(
        intervals=True).xs("mean", level="m")[["crps", "crps_low", "crps_high"]]
    for steps, part in many_ways.groupby("steps")})
live = guides.compare_guides(model, digits, count=seen_, tasks=guided, steps=8, seed=0)
seconds = live.groupby("guide")["seconds"].mean()
same = live.merge(many_ways, on=["guide", "steps", "task"], suffixes=("", "_kept"))
print(f"CRPS of {len(same)} completions made again here: {same['crps'].mean():.3f} (kept: "
      f"{same['crps_kept'].mean():.3f})")
figure, ((ax,),) = style.picture(size=(8.4, 2.6))
for (steps, part), shift, alpha in zip(guiding.groupby(level=0), (0.12, -0.12), (1.0, 0.45), strict=True):
    for j, guide in enumerate(names):
        value, low_, high_ = part.loc[(steps, guide)]
        ax.plot([low_, high_], [shift - j, shift - j], color=style.MODEL, alpha=alpha, lw=2)
        ax.plot(value, shift - j, "o", color=style.MODEL, alpha=alpha, label=f"{steps} steps" if j == 0 else None)
ax.set_yticks(range(0, -len(names), -1), [f"{g}, {style.number(seconds[g], 2)} s a digit" for g in names])
style.dress(ax, x=f"CRPS over that of {names[0]}, and its 95 % interval ({digits_} digits, {seen_} pixels, 3 draws)")
style.legend(ax)
style.headline(figure, "Error over that of the usual way, 8 steps: " + ", ".join(
    f"{g} {guiding.loc[(8, g), 'crps']:.2f}" + (f" (you said {guess_guide:g})" if g == "pigdm" else "")
    for g in names[1:]))
figure

# %% [markdown]
# An interval that leaves out 1 tells two ways apart, one that holds 1 does not. `pigdm` has about a fifth less error than the usual way, with eight
# steps and with twelve, and takes the most time. `dps` has about half as much error again. `linearised` cannot be told from the usual way with eight
# steps; with twelve it has a little more error, because the usual way improves with more steps. All this is for one number of pixels and for this model;
# `evaluate.guides.compare_guides` answers for yours.
#
# ### Where an exact answer is known
#
# Discs. Three bars, each with the best possible in blue: what the latent loses; how far draws of the prior are from fresh discs;
# and the CRPS given four observations, as a ratio to the exact posterior's. A disc is flat inside and outside, and steep at its
# edge, so the field is far from linear in the latent, on which guidance by a slope rests. So here many draws of the prior are
# weighted by how well they explain the observations (the guide `particles` of lesson 09), which needs a latent of few numbers.
# *Predict:* how many times the exact posterior's CRPS will ours be?

# %%
found = {"discs2d": error_breakdown(round_.using(num_particles=64), discs, counts=(4,), tasks=3 * tasks, seed=seed)}
held = found["discs2d"].table.ratio("crps").loc["mean"]
plots.stages(found, title=f"{3 * tasks} discs, 4 observations each: CRPS {held['crps']:.2f} of the exact posterior's,"
             f"\n95 % interval [{held['low']:.2f}, {held['high']:.2f}]")

# %% [markdown]
# The interval holds 1: so few discs cannot tell ours from the exact posterior. The table under *Complete a digit* has 40 discs at
# each number of observations, and more draws to weigh: from less than one to about five percent above the exact posterior.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: its draws replaced by draws of a Gaussian with their
# mean and covariance; and the best linear answer from the same training digits. *Predict:* which costs more? `nfdlab ablate
# latent_field digits2d` measured it, on 30 digits at each number of pixels; the table is kept with the weights. Thin lines are 95
# % intervals.

# %%
worth = ablation.worth(ablation.kept("latent_field", "digits2d"))["to full"]  # the numbers of the picture
plots.worth("latent_field", "digits2d")

# %% [markdown]
# The best linear answer stands for everything that was learned: it is what is left without the networks. A Gaussian with the
# draws' own mean and covariance costs nearly as much: a pixel is ink or paper, and a Gaussian cannot say that.
#
# ## Where it breaks
#
# **Latents of the wrong scale.** The wrapping and the noise levels are for latents of unit scale. *Predict:* what if they are a
# hundred times smaller or larger, and nobody says so? Three small denoisers are trained here on the latents of discs, for 200
# steps each, on latents × 1, × 0.01 and × 100; their draws are scaled back and decoded. One disc is shown of each; 64 are
# measured.

# %%
latents = round_.encode(discs.draw(512 if budget != "smoke" else 64, seed=seed + 1)).cpu()
rng, draws = stream(seed, "scales"), {}
for factor in (1.0, 0.01, 100.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        D = Denoiser(MLP(latents.shape[1], 128, 2))
    adam = torch.optim.Adam(D.parameters(), 2e-3)
    for _ in range(200 if budget != "smoke" else 5):
        clean = factor * latents[torch.randint(len(latents), (128,), generator=rng)]
        sigma = torch.exp(1.6 * torch.randn(128, generator=rng)).clamp(0.005, 40)
        loss = D.loss(clean, sigma, torch.randn(clean.shape, generator=rng))
        adam.zero_grad(), loss.backward(), adam.step()
    start = 10 * white(64, latents.shape[1:], seed=seed)
    z = sample(D, start, karras(20, 0.05, 10.0), method="dpmpp") / factor
    draws[factor] = round_.decode(z.to(round_.device))
draws["fresh"] = discs.draw(64, seed=seed + 2)  # what chance alone makes of 64 discs
real, far, pieces = discs.draw(200, seed=seed)(coords), {}, {}
for factor, f in draws.items():  # in four parts, for the standard error
    pieces[factor] = torch.stack([energy_distance(part, real) for part in f(coords).cpu().chunk(4)])
    far[factor] = pieces[factor].mean().item()
words = {k: f"{far[k]:.3f} ± {v.std():.3f}" for k, v in pieces.items()}
shown = {f"× {k:g}: {far[k]:.3f}": draws[k] for k in (1.0, 0.01, 100.0)}
plots.pages(discs.card, {"a disc": discs.draw(1, seed=seed), **shown},
            title=f"Energy distance to discs ± 2 standard errors: {words[1.0]} at unit scale,\n{words[0.01]} and "
            f"{words[100.0]} when scaled; {words['fresh']} for fresh discs")

# %% [markdown]
# The autoencoder is one and the same in all three cases: only the diffusion is lost. So when reconstructions are good and draws
# are not, look at the scale of the latents first.
#
# **Pixels that are taken for points.** Small pictures are made of large pixels, and each is the average over its square. 24
# digits are encoded, and each is asked for as 7 × 7 large pixels. *Predict:* what if the field is not told how wide they are?

# %%
some = digits.draw(24, seed=seed + 2)
large = torch.nn.functional.avg_pool2d(some(coords).unflatten(1, (28, 28))[..., 0], 4).flatten(1)
z, at, errors = model.encode(some), nfd.cell_centres((7, 7)), {}
for words, size in (("given their width", 2 / 7), ("taken for points", 0.0)):
    each = (model.decode(z, size=size)(at)[..., 0].cpu() - large).square().mean(1).sqrt()  # rms error of each digit
    errors[words] = each.mean().item()
    print(f"{words}: error {each.mean():.3f} ± {1.96 * each.std() / len(each)**0.5:.3f}")
print(f"{errors['taken for points'] / errors['given their width']:.1f} times the error, by aliasing alone")
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
# middle = round_.decode(round_.encode(two).mean(0, keepdim=True))(coords)
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
# told = LinearObservations(coords, torch.full((1, 784), 1 / 784), ink, 0.02)
# bold = model.draw(told, 8, seed=1)(coords)
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
# 2. Clouds: sums of normal numbers with the right mean and covariance. Strokes need values that are ink or paper and nothing
#    between.
# 3. The wrapping, the noise levels of the training, and the first and the last level of the sampler are all chosen for a spread
#    of 1. (The cell changes the scale under all three at once, so it does not say which of them costs most.)
# 4. A pixel is the average over its square. Without the width the field answers for the point in the middle.
# 5. For one kind of question that is asked often: it needs no guidance, and has lower errors on digits.
#
# </details>
