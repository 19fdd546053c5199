# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · One field for all: latents that shift its sines, and diffusion over the latents
#
# ![shallow shifts from one surface, deep shifts from another](pictures/09_modulated_field.png)
#
# ## Question
#
# **Where does style live?**
#
# One network can be many functions: keep its weights, and let a short latent shift the phase of every sine inside. A latent is
# then a function, diffusion over latents draws functions, and one may cross two of them: the first layers are modulated by one latent,
# the last layers by another. Which of the two will the result take after? For two problems of this kit the odds of each
# *kind* of function are known exactly, so the question has an answer.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*, then play; it takes about a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which functions, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 6  # how many observations are seen
tasks: int = 3  # how many tasks each number in the tables is averaged over
live: int = 150  # steps of the small trainings under "Where it breaks"

# %%
import time
from types import SimpleNamespace

import pandas as pd
import torch
from IPython.display import display

import nfdlab as nfd
from nfdlab.approaches.modulated_field import ModulatedField
from nfdlab.core.rng import normals, seeded, stream
from nfdlab.diffusion.denoiser import Denoiser
from nfdlab.diffusion.interpolation import WAYS
from nfdlab.diffusion.noise import white
from nfdlab.diffusion.samplers import sample
from nfdlab.evaluate.error_breakdown import error_breakdown
from nfdlab.evaluate.scores import crps
from nfdlab.evaluate.stamp import kept_scores
from nfdlab.evaluate.table import compare
from nfdlab.nn.networks import MLP
from nfdlab.panels import LossWatch, plots, style

if budget == "smoke":
    tasks, live = 2, 16
surfaces, waves, saws = (
    nfd.problems.get(name) for name in ("styles2d", "families1d", "sawtooth1d")
)
coords = nfd.cell_centres((256,))

# %% [markdown]
# Three worlds: surfaces that are broad hills, fine hills or stripes; waves that are sines, squares, triangles or bumps; and
# sawtooths. `budget = "lesson"` trains the waves here, in two minutes of one core, with a live loss curve and a button to
# stop; the other two always open from the weights that ship.

# %%
painter, sawyer = (
    nfd.load("modulated_field", name, device=device) for name in ("styles2d", "sawtooth1d")
)
watch = LossWatch("the field, then diffusion over its latents")
if budget != "reference":
    display(watch)
model = nfd.load_or_train(
    "modulated_field", waves, budget=budget, seed=seed, device=device, watch=watch
)


# %% [markdown]
# ## Picture
#
# *Predict:* on the left a striped surface, on the right broad hills. In between, the first layers of the field are shifted
# by the latent of the stripes, the others by that of the hills. After how many layers do stripes appear?

# %%
def odds(problem, fields, count=40):
    """The exact odds of each kind, from noisy values at `count` places of each field: (n, kinds)."""
    observed = (
        nfd.observe(fields[i], nfd.patterns.Random(count=count), noise_std=0.05, seed=i)
        for i in range(fields.n)
    )
    return torch.stack(
        [problem.prior.posterior(seen).log_weights.exp() for seen in observed]
    ).float()


KINDS = {
    "styles2d": ("broad", "fine", "stripes"),
    "families1d": ("sine", "square", "triangle", "bump"),
}
hills, stripes = (painter.encode(surfaces.prior.parts[j].draw(1, seed=seed)) for j in (0, 2))
depth, shown = painter.depth, {}
for layer in range(depth, -1, -1):
    crossed = painter.mix_styles(stripes, hills, layer)
    shares = odds(surfaces, crossed)[0]
    best = KINDS["styles2d"][int(shares.argmax())]
    shown[f"{layer} of {depth} from the\nstripes: {best} {shares.max():.0%}"] = crossed
firsts = [words.split(": ")[1] for words in shown]
plots.pages(
    surfaces.card,
    shown,
    title=f"Fewer and fewer shallow layers from the stripes: {' → '.join(w.split()[0] for w in firsts)}",
)

# %% [markdown]
# One pair is an anecdote. Take many pairs of different kinds, cross them after every layer, and let the exact odds say
# whether the result is of the kind whose latent modulates the shallow layers, of the kind of the deep ones, or of neither.

# %%
pairs, rows = 16 if budget != "smoke" else 2, {}
for problem, fitted in ((surfaces, painter), (waves, model)):
    parts, layers = problem.prior.parts, fitted.depth
    first = torch.arange(pairs) % len(parts)
    other = (first + 1 + torch.arange(pairs) // len(parts) % (len(parts) - 1)) % len(parts)
    a, b = (
        torch.cat(
            [
                fitted.encode(parts[j].draw(1, seed=seed + 2 * i + k))
                for i, j in enumerate(kind.tolist())
            ]
        )
        for k, kind in enumerate((first, other))
    )
    for layer in range(layers + 1):
        found = odds(problem, fitted.mix_styles(a, b, layer))
        mine, theirs = (found.gather(1, kind[:, None])[:, 0] for kind in (first, other))
        for word, share in (
            ("as the shallow", mine),
            ("as the deep", theirs),
            ("neither", 1 - mine - theirs),
        ):
            rows[problem.card.name, f"{layer} of {layers} shallow", word] = {
                "odds": max(0.0, share.mean().item()),
                "error": share.std().item() / pairs**0.5,
            }
table = pd.DataFrame(rows).T.unstack(sort=False)
(
    table["odds"].map("{:.2f}".format) + " ± " + table["error"].map("{:.2f}".format)
).style.set_caption(f"odds of the kind, mean and standard error over {pairs} pairs")

# %%
figure, (axes,) = style.picture(1, 2, size=(9.4, 3.2), sharey=True)
for ax, name in zip(axes, ("styles2d", "families1d"), strict=True):
    part = table.loc[name]
    mean, error = part["odds"], part["error"]
    for word, colour in (
        ("as the shallow", style.MODEL),
        ("as the deep", style.SECOND),
        ("neither", style.BASELINE),
    ):
        ax.errorbar(
            range(len(part)), mean[word], yerr=error[word], color=colour, marker="o", ms=4, capsize=2.5, label=word
        )
    turn = next(
        (i for i in range(len(part)) if mean["as the shallow"].iloc[i] > mean["as the deep"].iloc[i]), len(part)
    )
    ax.set_xticks(range(len(part)))
    style.dress(
        ax,
        title=f"{name}: shallow wins from {turn} of {len(part) - 1} layers on",
        x="layers modulated by the shallow latent",
        y="odds of the kind",
    )
style.legend(axes[0])
figure

# %% [markdown]
# Read it from the left, where the deep latent modulates all layers, to the right. The layer at which the lines cross is where
# style lives; "neither" is the price of a mixture that no training ever asked for.
#
# ## Idea in symbols
#
# The shared field is a SIREN, $h_{l+1} = \sin\big(\omega (W_l h_l + b_l) \odot (1 + S_l z) + M_l z\big)$, $h_0 = x$, and
# $f(x) = w \cdot h_L + c$. All functions share $W, b, w, c$; a latent $z$ enters by two linear maps a layer: phases $M_l z$
# and, for the waves, scales $S_l z$. Latents of surfaces are grids, interpolated at $x$ first, so shifts vary from place to place.
#
# Where do latents come from? From an encoder $z = E(f)$, or from the field itself, by a few steps of gradient descent (CAVIA):
#
# $$z_0 = 0, \qquad z_{j+1} = z_j - \alpha \odot \nabla_z \frac1p \sum_i \big(f_{z_j}(x_i) - y_i\big)^2 .$$
#
# Latents are brought to unit scale, and a denoiser $D(z_\sigma, \sigma, r)$ learns their distribution, alone and given features
# $r(S)$ of the observations $S$. So observations can enter in two ways: as conditioning of the denoiser (*encoder*), or by
# weighting and moving draws of the prior by how well their fields fit (*particles*).
#
# ## Smallest version
#
# The whole of a draw in plain PyTorch: features of the observations, the walk from noise to a latent (DPM-Solver++), the shared field.

# %%
truth = waves.draw(1, seed=seed)
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)
n, steps, net, r, place = 64, 20, model.net, model.net.denoiser.noise_levels, model.device
with torch.no_grad():
    given = model.conditioning(seen)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (r.high ** (1 / 7) + ramp * (r.low ** (1 / 7) - r.high ** (1 / 7))) ** 7
    sigmas = torch.cat([sigmas, torch.zeros(1)]).float().to(place)
    x, before = sigmas[0] * white(n, net.shape, seed=seed).to(place), None
    for s, t in zip(sigmas[:-1], sigmas[1:], strict=True):
        total = (1 + s**2).sqrt()
        F = net.denoiser.net(x / total, (s.log() / 4).expand(n), *given.features)
        clean = guess = (
            x / total**2 + s / total * F
        )  # D(x, s): Karras et al. 2022, with sigma_data = 1
        if t == 0:
            x = clean
            break
        step = (s / t).log()
        if before is not None:
            guess = clean + (clean - before[0]) * step / (2 * before[1])
        x, before = t / s * x + (1 - t / s) * guess, (clean, step)
    z, h = given.mean + given.std * x, coords.to(place).expand(n, -1, -1)
    shift, scale = net.field.shift(z).chunk(4, -1), net.field.scale(z).chunk(4, -1)
    for sine, M, S in zip(net.field.siren.sines, shift, scale, strict=True):
        h = torch.sin(sine.omega * sine.linear(h) * (1 + S[:, None]) + M[:, None])
    values = net.field.siren.output(h)

# %% [markdown]
# ## The library's version
#
# One line, and the same numbers. And fast: a latent is a few numbers, so drawing a thousand functions is a small matrix
# product, twenty times. *Predict:* what costs more, drawing a thousand functions or asking each at 128 places?

# %%
draws = model.draw(seen, n, seed=seed, steps=steps, guide="encoder")
assert torch.allclose(values.cpu(), draws(coords), atol=1e-4)
marks = [time.perf_counter()]
many = model.draw(None, 1000, seed=seed)
marks.append(time.perf_counter())
many(nfd.cell_centres((128,)))
marks.append(time.perf_counter())
print(
    f"the same to {(values.cpu() - draws(coords)).abs().max():.1e}; "
    f"1000 functions drawn in {marks[1] - marks[0]:.2f} s, "
    f"asked at 128 places each in {marks[2] - marks[1]:.2f} s: {1000 / (marks[2] - marks[0]):.0f} functions a second"
)
left, sure = (
    odds(waves, waves.oracle().draw(seen, n, seed=seed)).mean(0),
    odds(waves, draws[:24]).amax(1).mean(),
)
plots.bands(
    waves.card,
    truth=truth,
    seen=seen,
    exact=waves.oracle().draw(seen, n, seed=seed),
    model=draws,
    title=f"{keep} observations leave: "
    + ", ".join(
        f"{kind} {share:.0%}"
        for kind, share in zip(KINDS["families1d"], left.tolist(), strict=True)
        if share > 0.02
    )
    + f"\nThe likeliest kind of a draw has odds of {sure:.0%}, on average",
)

# %% [markdown]
# ## Turn the knobs
#
# How sparse, which pattern, how noisy, how many draws, which sampler, how close. Here with the sawtooths, whose observations
# condition the denoiser, since that answers at once; change the problem at will. The sliders move with the arrow keys.

# %%
panel = nfd.explore(sawyer, saws, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Against the others
#
# Fair CRPS as a ratio to draws of the exact posterior: same observations, same number of draws; 1.00 is the best possible. The model
# twice, by *encoder* and by *particles*; kriging, which assumes smooth Gaussian curves. *Predict:* the order of the
# three.

# %%
quick = model.using(guide="particles", num_particles=128)  # few particles: rough, and quick
rivals = {
    "encoder": model.using(guide="encoder"),
    "kriging": nfd.baselines.get("kriging"),
    "particles": SimpleNamespace(
        draw=lambda seen, n, *, seed, steps=None: quick.draw(seen, n, seed=seed, steps=8)
    ),
}
result = compare(rivals, waves, counts=(2, 4, 8), tasks=tasks, seed=seed)
means = {name: result.ratio("crps", name)["crps"]["mean"] for name in rivals}
plots.ratios(
    {
        name: result.ratio("crps", name).drop(index=["mean", "worst"]).T.to_dict("list")
        for name in rivals
    },
    title=f"CRPS over exact, {tasks} tasks at each m:\n"
    + ", ".join(f"{name} {value:.2f}" for name, value in means.items()),
)

# %% [markdown]
# Over many more tasks than one can wait for, the shipped weights scored this when they were made (random places, noise 0.05). And
# where is the error made: reconstruction, prior or conditioning?

# %%
display(kept_scores({"styles2d": painter, "families1d": model, "sawtooth1d": sawyer}))
found = {
    "families1d": error_breakdown(quick, waves, counts=(2, 4, 8), tasks=tasks, seed=seed),
    "sawtooth1d": error_breakdown(sawyer, saws, counts=(2, 4, 8), tasks=tasks, seed=seed),
}
plots.stages(
    found,
    title=f"Three parts of the error, {tasks} tasks at each m (families1d with 128 particles)",
)

# %% [markdown]
# **Does the field read its latent?** Here it sees the observations through the latent alone. Set the latent to zero, or take one made
# for nothing in particular: the score must fall apart. (Whether a *diffusion* has to draw the latent is another question; lesson
# 05 measures it.)

# %%
target = truth(coords)[0]
latents = {
    "as it is": draws,
    "latent of zeros": model.decode(torch.zeros(16, *net.shape, device=place)),
    "latent of another": many[:16],
}
score = {name: crps(f(coords), target).mean().item() for name, f in latents.items()}
assert (
    score["as it is"] < min(score["latent of zeros"], score["latent of another"])
    or budget == "smoke"
)
{name: round(value, 3) for name, value in score.items()}

# %% [markdown]
# **From one to the other.** Three ways from the latent of a square to that of a sine: along the line, along the sphere, or up
# to noise, along the sphere there, and down again (DDIM interpolation; the library calls it a bridge). *Predict:* which of them stays
# nearest to latents of real waves?

# %%
square, sine = (model.encode(waves.prior.parts[j].draw(1, seed=seed + 2 + j))[0] for j in (1, 0))
t, fans, off = torch.linspace(0, 1, 7, device=model.device), {}, {}
known = model.encode(waves.draw(2000, seed=seed + 5))
for way in WAYS:
    latents = model.cross(square, sine, t, way=way)
    off[way] = torch.cdist(latents[1:-1], known).amin(1).mean().item()
    fans[f"{way}: {off[way]:.2f} from the nearest\nof {len(known)} waves' latents"] = model.decode(
        latents
    )
figure, (axes,) = style.picture(1, 3, size=(10.4, 2.9), sharey=True)
for ax, (words, f) in zip(axes, fans.items(), strict=True):
    for i, curve in enumerate(f(coords)[..., 0].cpu()):
        ax.plot(coords[:, 0], curve, color=style.colour("viridis", i / 6), lw=1.2)
    style.dress(ax, title=words, x=waves.card.axes[0])
figure

# %% [markdown]
# Colours run from the square to the sine. The lowest of the three numbers belongs to the way that the prior would call likeliest; the
# other two pass through latents that no wave has.
#
# ## Who does the work?
#
# The same approach with a part taken away, on the same tasks as the whole: its draws replaced by a Gaussian of their mean and
# covariance, which the exact posterior feels too; and the best linear answer, Bayes' rule with the mean and covariance of the same
# training functions, for what all networks together add. *Predict:* which costs more?
# `nfdlab ablate modulated_field sawtooth1d` measured it; the table is kept with the weights.

# %%
from nfdlab.evaluate import ablation

worth = ablation.worth(ablation.kept("modulated_field", "sawtooth1d"))["to full"]
plots.worth("modulated_field", "sawtooth1d")

# %% [markdown]
# Far from the exact posterior, and further from the best linear answer: three times its error is what the networks take away. A Gaussian
# of the draws' mean and covariance costs them about a tenth.
#
# ## Where it breaks
#
# **Four numbers and a linear last layer.** If the latent only weighs fixed shapes, $f = \sum_i z_i \varphi_i(x)$, no training
# can beat the four best shapes there are, which the singular value decomposition gives. A sawtooth *has* only two numbers,
# pitch and phase. *Predict:* how much of its variance do the four best shapes miss? And four numbers that shift the sines?

# %%
grid, sample_of = nfd.cell_centres((128,)), saws.draw(2048, seed=seed + 7)
train, test = sample_of(grid)[..., 0], saws.draw(256, seed=seed + 8)
exact = test(grid)[..., 0]
shapes = torch.linalg.svd(train - train.mean(0), full_matrices=False)[2][:4]
linear = train.mean(0) + (exact - train.mean(0)) @ shapes.T @ shapes
small = ModulatedField(vector_size=4, field_width=64, field_depth=3, width=24, batch=24, field_share=0.99,
                       denoiser_layers=(32, 1), encoder_dilations=(1,))
four = nfd.train(small, saws, budget=nfd.Budget(steps=live), seed=seed, device=device)
early = four.decode(four.encode(test))(grid)[..., 0].cpu()
four_missed = {name: ((v - exact).square().mean() / exact.var()).item()
          for name, v in (("linear", linear), ("early", early))}
figure, ((ax,),) = style.picture(size=(7.2, 3.0))
for v, colour, name in ((exact, style.TRUTH, "truth"), (linear, style.BASELINE, "weights of four shapes: ghosts"),
                        (early, style.MODEL, f"shifts of every layer, {live} steps")):
    ax.plot(grid[:, 0], v[0], color=colour, lw=1.3, label=name)
style.dress(ax, x="x", title=f"Four numbers: a linear layer misses {four_missed['linear']:.0%}, "
            f"shifts {four_missed['early']:.0%} ({len(exact)} curves)")
style.legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.0))
figure

# %% [markdown]
# **Latents that are not standardised.** The denoiser takes latents to have unit scale. Multiply them by 0.05 and train a small
# prior as before. *Predict:* will the draws be too wide, too narrow, or something else?

# %%
latents, blobs, levels = sawyer.encode(sample_of).cpu(), {}, sawyer.sigmas(20).cpu()
for scale in (1.0, 0.05):
    with seeded(seed):
        prior = Denoiser(MLP(latents.shape[1], 96, 2))
    prior.noise_levels.load_state_dict(sawyer.net.denoiser.noise_levels.state_dict())
    adam, rng = torch.optim.Adam(prior.parameters(), 2e-3), stream(seed, "prior")
    for _ in range(live):
        clean = scale * latents[torch.randint(len(latents), (192,), generator=rng)]
        loss = prior.training_loss(clean, rng)
        adam.zero_grad(), loss.backward(), adam.step()
    drawn = (
        sample(
            prior, levels[0] * normals(seed, 64, latents.shape[1:], "start"), levels, method="dpmpp"
        )
        / scale
    )
    near = torch.cdist(drawn, latents).amin(1).mean()
    blobs[f"latents × {scale}: {near:.1f} from the nearest sawtooth"] = sawyer.decode(
        drawn.to(sawyer.device)
    )
figure, (axes,) = style.picture(1, 2, size=(8.6, 2.8), sharey=True)
for ax, (words, f) in zip(axes, blobs.items(), strict=True):
    ax.plot(grid[:, 0], f(grid)[:5, :, 0].T.cpu(), color=style.MODEL, lw=style.THIN)
    style.dress(ax, title=words, x="x")
figure

# %% [markdown]
# No blob, but no sawtooth either: what makes a latent a sawtooth's is now finer than the noise levels of training.
#
# **No encoder.** With `encoder="meta_learned"` latents come from gradient descent. Its knobs: how many numbers, how many steps, how
# long a step at first (it is learned). *Predict:* trained with three steps, what do six do?

# %%
config = ModulatedField(
    encoder="meta_learned",
    inner_steps=3,
    inner_lr=1.0,
    field_width=64,
    field_depth=3,
    width=16,
    batch=12,
    field_share=0.99,
    denoiser_layers=(32, 1),
    encoder_dilations=(1,),
)
adapted, missed = (
    nfd.train(config, saws, budget=nfd.Budget(steps=live), seed=seed, device=device),
    {},
)
for inner in (0, 1, 2, 3, 6, 12):
    found = adapted.decode(adapted.encode(test, inner_steps=inner))(grid)[..., 0]
    missed[inner] = ((found.cpu() - exact).square().mean() / exact.var()).item()
print("variance missed after so many steps of gradient descent, trained for 3:")
{inner: f"{share:.0%}" for inner, share in missed.items()}

# %% [markdown]
# **When to use it:** functions with a few true parameters, jumps and all; many of them, fast; or to cross and interpolate.
# **When not:** fields of hundreds of degrees of freedom in one vector (give each cell its own latent), or a world whose kinds
# you cannot sample from. **Cost:** the minutes of training are in the table above; how fast it draws was printed further up.
#
# ## Exercises
#
# **1 · Turn a knob.** How few steps does the sampler need before the draws change?
#
# <details><summary>Solution</summary>
#
# ```python
# for k in (3, 5, 10, 20):
#     f = model.draw(seen, 64, seed=1, steps=k, guide="encoder")
#     print(k, f"CRPS {crps(f(coords), target).mean():.4f}, std {f(coords).std(0).mean():.3f}")
# ```
#
# </details>
#
# **2 · Change a line.** Swap the roles under the picture: shallow from the hills, deep from the stripes.
#
# <details><summary>Solution</summary>
#
# ```python
# for layer in range(depth + 1):
#     shares = odds(surfaces, painter.mix_styles(hills, stripes, layer))[0]
#     print(layer, {kind: round(share, 2) for kind, share in zip(KINDS["styles2d"], shares.tolist(), strict=True)})
# ```
#
# </details>
#
# **3 · Write a piece.** Noisy observations can also be fitted by gradient descent on the latent, without any diffusion. Do it, and
# compare with the diffusion's answer: one curve against a posterior.
#
# <details><summary>Solution</summary>
#
# ```python
# latent = torch.zeros(1, *net.shape, device=place, requires_grad=True)
# adam, where, what = torch.optim.Adam([latent], 0.05), seen.coords.to(place), seen.values.to(place)
# for _ in range(200):
#     loss = (net.values(where, latent)[0] - what).square().mean() + 1e-3 * latent.square().mean()
#     adam.zero_grad(), loss.backward(), adam.step()
# fitted = model.decode(latent.detach())
# print(f"one fitted curve {crps(fitted(coords).expand(2, -1, -1), target).mean():.3f}, "
#       f"64 draws {crps(draws(coords), target).mean():.3f}")
# ```
#
# </details>
#
# ## Further reading
#
# - Dupont et al. 2022, *From data to functa*: one SIREN, shifts by one linear map, generative models of the latents.
# - Bauer et al. 2023, *Spatial functa*: latents on a grid.
# - Zintgraf et al. 2019, *Fast context adaptation via meta-learning*: latents by a few steps of gradient descent (CAVIA).
# - Perez et al. 2018, *FiLM*: scales and shifts that condition a network.
# - Song, Meng & Ermon 2021, *Denoising diffusion implicit models* (DDIM, arXiv 2010.02502): from one sample to another by way of the noise.
