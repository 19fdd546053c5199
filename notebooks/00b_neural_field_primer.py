# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00b · Neural fields: what does a network from coordinates to values buy?
#
# *before: [`00_start_here`](00_start_here.ipynb) · next: [`00c_diffusion_primer`](00c_diffusion_primer.ipynb)*
#
# ![one curve, fitted by three networks](pictures/00b_neural_field_primer.png)
#
# ## Question
#
# **What does a network from coordinates to values buy?**
#
# A *neural field*, *field* for short, is a network whose input is a place (its coordinates) and whose output is the value there. It is
# one function, stored in weights instead of an array. What is gained by that? This primer fits one curve with three such networks, in
# thirty lines, and looks at what they learn first, at what lies between the samples, and at slopes.
#
# You need PyTorch, and to have met a neural network. ▶ *Run ▸ Run All Cells*; it takes half a minute.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 0  # which first weights, which samples
device: str = "auto"  # auto | cpu | cuda
samples: int = 128  # how many values of the curve a network is shown
steps: int = 400  # training steps of each network
frequency: float = 15.0  # of Fourier features and of sines, in radians per unit of the box
guess: str = "relu"  # your prediction, see the first picture

# %% [markdown]
# The curve is a sum of five waves of equal height, of 1, 2, 4, 8 and 16 periods across the box, the interval from −1 to 1. So we know,
# wave by wave, what there is to learn.

# %%
from itertools import pairwise

import pandas as pd
import torch
from torch import nn

import nfdlab as nfd
from nfdlab.core.fields import EvaluatedFields
from nfdlab.fields.siren import Siren
from nfdlab.jupyter.exercises import Exercises
from nfdlab.panels import style
from nfdlab.panels.flipbook import Flipbook

if budget == "smoke":  # a budget is a number of steps here
    steps = 60
periods = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
phases = torch.tensor([0.3, 1.1, 2.5, 4.0, 5.2])
# a curve of the kit: it answers at any places
curve = EvaluatedFields(lambda x, part: torch.sin(torch.pi * periods * x + phases).sum(-1)[None, :, None], 1, 1)
x = nfd.cell_centres((samples,))  # places in [-1, 1], (samples, 1)
y = curve(x)[0]


# %% [markdown]
# ## Smallest version
#
# The whole of it, in thirty lines.

# %%
class Field(nn.Module):
    """A network from places (p, 1) to values (p, 1)."""

    def __init__(self, kind, frequency, width=96):
        super().__init__()
        torch.manual_seed(seed)
        self.kind, self.frequency = kind, frequency
        self.waves = frequency * torch.randn(1, width // 2)
        first = width if kind == "fourier" else 1
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([first, width, width, 1]))
        if kind == "siren":
            for i, layer in enumerate(self.layers):
                bound = 1 if i == 0 else (6 / layer.in_features) ** 0.5 / frequency
                nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, x):
        if self.kind == "fourier":
            x = torch.cat([torch.sin(x @ self.waves), torch.cos(x @ self.waves)], -1)
        for layer in self.layers[:-1]:
            x = torch.sin(self.frequency * layer(x)) if self.kind == "siren" else torch.relu(layer(x))
        return self.layers[-1](x)


def fit(field, x, y, steps, look=lambda step: None, lr=2e-3):
    adam = torch.optim.Adam(field.parameters(), lr)
    for step in range(steps):
        look(step)
        loss = (field(x) - y).square().mean()
        adam.zero_grad(), loss.backward(), adam.step()
    return field


# %% [markdown]
# Line by line. `layers` are three linear layers, 1 → 96 → 96 → 1: a place goes in, a value comes out, and any number of places can
# be asked at once, because each row is a place of its own. The three kinds differ in what happens before and between the layers:
#
# - `"relu"`: `torch.relu` between the layers. The curve is made of straight pieces, with a bend where a hidden unit switches on.
# - `"fourier"`: the place is first turned into sines and cosines with 48 random frequencies (`waves`), and the ReLU network works on
#   these *Fourier features* (Tancik et al. 2020).
# - `"siren"`: `torch.sin(frequency * …)` in place of ReLU (Sitzmann et al. 2020). `bound` is that paper's initialisation: random
#   weights of such a size that the input of the sines has the same standard deviation in each layer.
#
# `fit` is the usual training loop: squared error at the samples, and Adam. `look` is called before each step, so that we can watch.
#
# ## Picture
#
# *Predict, and write it down* as `guess` in the cell of parameters: which network is furthest from the black curve after the same number
# of steps: `relu`, `fourier` or `siren`?

# %%
fine = nfd.cell_centres((2048,))
kinds = ("relu", "fourier", "siren")
fields, learned = {}, {kind: {} for kind in kinds}
basis = torch.exp(1j * torch.pi * x * periods)  # one wave a column
goal = (basis.conj() * y).mean(0)  # the curve's coefficient on each wave


for kind in kinds:
    field = Field(kind, frequency)

    def look(step, field=field, found=learned[kind]):
        if step & (step - 1) == 0:  # at steps 0, 1, 2, 4, 8, …
            with torch.no_grad():
                off = ((basis.conj() * field(x)).mean(0) - goal).abs() / goal.abs()
            found[max(step, 0.5)] = 1 - off  # a logarithmic axis has no 0

    fields[kind] = fit(field, x, y, steps, look)
    look(0 if steps == 0 else 1 << (steps - 1).bit_length())  # and once at the end
with torch.no_grad():
    answers = {kind: field(fine) for kind, field in fields.items()}
missed = {kind: ((v - curve(fine)[0]).square().mean() / y.var()).sqrt().item() for kind, v in answers.items()}
figure, axes = style.picture(1, 3, size=(9.6, 2.7), sharey=True)
for ax, kind in zip(axes[0], kinds, strict=True):
    ax.plot(fine, curve(fine)[0], color=style.TRUTH, lw=style.THIN)
    ax.plot(fine, answers[kind], color=style.MODEL, lw=style.THICK, alpha=0.8)
    style.dress(ax, x="x", title=f"{kind}: error {missed[kind]:.2f} of the spread")
print(f"You said {guess}; the furthest is {max(missed, key=missed.get)}.")
figure

# %% [markdown]
# All three networks saw the same 128 numbers, and `relu` and `siren` have equally many weights. Two of them follow the curve. (*Error* is
# the root mean square error, in units of the curve's spread, its standard deviation.)
#
# ## Idea in symbols
#
# A field is $f_\theta : \mathbb{R}^d \to \mathbb{R}$, fitted by
#
# $$\min_\theta \sum_i \lVert f_\theta(x_i) - y_i \rVert^2, \qquad
# f_\theta(x) = W_3\,\varphi(W_2\,\varphi(W_1 \gamma(x) + b_1) + b_2) + b_3 .$$
#
# $\theta$ stands for all weights $W$ and biases $b$, $\varphi$ for the activation between the layers, $\gamma$ for what is done to the
# place first. With $\gamma(x) = x$ and $\varphi = \mathrm{ReLU}$, training learns slow waves first. This is *spectral bias* (Rahaman et al.
# 2019). Fourier features change $\gamma(x)$ to $(\sin Bx, \cos Bx)$, where $B$ is `waves`; a SIREN changes $\varphi(h)$ to
# $\sin(\omega_0 h)$, where $\omega_0$ is `frequency`.
#
# *Predict:* the five waves are equally high. Which will the ReLU network learn first, and will it have learned the fastest at the end?

# %%
figure, axes = style.picture(1, 3, size=(9.6, 2.7), sharey=True)
shades = [style.colour(style.STD_MAP, 0.1 + 0.18 * k) for k in range(len(periods))]
for ax, kind in zip(axes[0], kinds, strict=True):
    shares = torch.stack(list(learned[kind].values()))
    for k, share, shade in zip(periods, shares.T, shades, strict=True):
        ax.semilogx(list(learned[kind]), share.clamp(0, 1), color=shade, label=f"{k:.0f} periods")
    style.dress(ax, x="training steps", title=f"{kind}: {shares[-1, -1].clamp(0, 1):.0%} of the fastest wave")
axes[0, 0].set_ylabel("share of a wave that is learned", fontsize=style.FONT)
style.legend(axes[0, 2], loc="lower right")
figure

# %% [markdown]
# ReLU learns from slow to fast, one wave after the other. The other two do not need that long for the fast ones, and that is why many
# neural fields have sines somewhere.
#
# ## The library's version
#
# `nfdlab.fields.siren.Siren` is the same network, initialised as the paper derives it. The cell writes it out and checks that both give
# the same. The kit calls *Fields* whatever answers at any places; `EvaluatedFields` makes one of a Python function.

# %%
torch.manual_seed(seed)
siren = Siren(1, width=96, depth=2, omega=frequency)
h = x
for sine in siren.sines:
    h = torch.sin(sine.omega * (h @ sine.linear.weight.T + sine.linear.bias))
assert torch.allclose(h @ siren.output.weight.T + siren.output.bias, siren(x), atol=1e-5)

fit(siren, x, y, steps)
mine = EvaluatedFields(lambda coords, part: siren(coords).detach()[None], 1, 1)
# 32::65: of 64 × 65 places these are the 64
coarse, dense = mine(nfd.cell_centres((64,)))[0], mine(nfd.cell_centres((64 * 65,)))[0, 32::65]
assert torch.allclose(coarse, dense, atol=1e-5), "a place's value depends on no other place"
print(f"asked at 64 places and at {64 * 65:,}: the same values where they meet, to {(coarse - dense).abs().max():.0e}")

# %% [markdown]
# **Any resolution** therefore comes for free: whoever asks chooses the places. It does not mean that the detail is right at any
# resolution. Between the samples a field has some value too, but no loss has compared it with the curve.
#
# **Slopes** come with it, by `torch.autograd`. *Predict:* the curve's slope is known. The ReLU field is made of straight pieces; what
# will its slope look like?

# %%
window = torch.linspace(-0.25, 0.25, 600)[:, None].requires_grad_()
slopes = {kind: torch.autograd.grad(field(window).sum(), window)[0][:, 0] for kind, field in fields.items()}
window = window.detach()
slopes["truth"] = (torch.pi * periods * torch.cos(torch.pi * periods * window + phases)).sum(-1)
off = {kind: ((slopes[kind] - slopes["truth"]).square().mean() / slopes["truth"].var()).sqrt().item() for kind in kinds}
figure, axes = style.picture(1, 3, size=(9.6, 2.5), sharey=True)
for ax, kind in zip(axes[0], kinds, strict=True):
    ax.plot(window, slopes["truth"], color=style.TRUTH, lw=style.THIN)
    ax.plot(window, slopes[kind], color=style.MODEL, lw=style.THICK, alpha=0.8)
    style.dress(ax, x="x", title=f"{kind}: slope off by {off[kind]:.2f} of its spread")
axes[0, 0].set_ylabel("slope", fontsize=style.FONT)
figure

# %% [markdown]
# The ReLU slope is a staircase. A SIREN's slope is again made of sines, so a SIREN can be fitted to slopes too (exercise 3).
#
# ## Turn the knobs
#
# Seven SIRENs, one for each frequency, each fitted to a quarter of the samples. Drag the slider from left to right. Too low a frequency:
# only slow waves are learned. Too high: the field meets every sample, and swings between them. *Predict:* is there a frequency at which
# 32 samples are enough for a wave of 16 periods?

# %%
few = slice(None, None, 4)
knob, errors = {}, {}
for value in (2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 150.0):
    field = fit(Field("siren", value), x[few], y[few], steps, lr=2e-3 * min(1, 15 / value))
    with torch.no_grad():
        found, at = field(fine), field(x[few])
    errors[value] = [((a - b).square().mean() / y.var()).sqrt().item()
                     for a, b in ((at, y[few]), (found, curve(fine)[0]))]
    page, ((ax,),) = style.picture(size=(8.2, 2.8))
    ax.plot(fine, curve(fine)[0], color=style.TRUTH, lw=style.THIN)
    ax.plot(fine, found, color=style.MODEL, lw=style.THICK, alpha=0.8)
    ax.plot(x[few], y[few], "o", ms=4, mfc=style.DOT, mec=style.RING)
    style.dress(ax, x="x", title=f"frequency {value:g}: error {errors[value][0]:.2f} at the samples, "
                                 f"{errors[value][1]:.2f} between them")
    knob[f"{value:g}"] = page
panel = Flipbook("frequency", knob, start=f"{frequency:g}" if f"{frequency:g}" in knob else "15")
panel

# %% [markdown]
# 32 samples over 16 periods are two for each period; with fewer, a fast wave looks like a slower one (Nyquist). The best field still misses
# much between the samples. The samples alone do not say which frequency is right. It is a *prior*, what one assumes about the curve
# before any sample is seen, and here it was chosen by hand. (Above 15 the learning rate is made smaller in proportion.)
#
# ## Against the others
#
# This kit is about curves of which only a few values are seen. Here: twelve noisy values of a smooth random curve. *Predict:* who comes
# closest to the curve: a SIREN fitted to the twelve, straight lines between them (`linear`), the nearest value, or kriging, at each place
# a weighted mean of the twelve, with weights that follow from the kernel?

# %%
problem, tasks, rows = nfd.problems.get("gp1d"), 3 if budget == "smoke" else 8, []
rivals = {name: nfd.baselines.get(name) for name in ("kriging", "linear", "nearest")}
for i in range(tasks):
    truth = problem.draw(1, seed=seed + i)
    seen = nfd.observe(truth, nfd.patterns.Random(count=12), noise_std=0.05, seed=seed + i)
    goal_ = truth(fine)[0]
    for omega in (2.0, 5.0, 15.0):
        field = fit(Field("siren", omega), seen.coords, seen.values, steps)
        rows.append((f"SIREN, frequency {omega:g}", (field(fine) - goal_).square().mean().sqrt().item()))
    for name, rival in rivals.items():
        mean = rival.draw(seen, 64, seed=seed)(fine).mean(0)
        rows.append((name, (mean - goal_).square().mean().sqrt().item()))
scores = pd.DataFrame(rows, columns=["who", "error"]).groupby("who")["error"].agg(["mean", "sem"]).sort_values("mean")
scores.style.format("{:.2f}").set_caption(f"error between 12 samples, mean and standard error of {tasks} curves")

# %% [markdown]
# Kriging wins, and every SIREN was fitted well. A network that is fitted to twelve numbers knows these twelve numbers only. What lies
# between them must come from *other curves of the same kind*: from a prior that is learned. That is what the ten lessons do: a network
# learns from many functions which functions there are; a *generative* model, one that makes new examples, draws one that fits the
# samples; and a field, which you have now met, gives its value at any place.
#
# ## Where it breaks
#
# **Frequency × 10.** The same SIREN, all 128 samples. *Predict:* will the error at the samples rise or fall? And between them?

# %%
broken = {}
for factor in (1, 10):
    field = fit(Field("siren", factor * frequency), x, y, 2 * steps, lr=2e-3 / factor)
    with torch.no_grad():
        broken[factor] = [((field(p) - curve(p)[0]).square().mean() / y.var()).sqrt().item() for p in (x, fine)]
        if factor == 10:
            shown = field(fine)
figure, ((ax,),) = style.picture(size=(9.0, 2.7))
near = (fine[:, 0].abs() < 0.15), (x[:, 0].abs() < 0.15)
ax.plot(fine[near[0]], curve(fine)[0][near[0]], color=style.TRUTH, lw=style.THIN)
ax.plot(fine[near[0]], shown[near[0]], color=style.MODEL, lw=style.THICK, alpha=0.8)
ax.plot(x[near[1]], y[near[1]], "o", ms=4, mfc=style.DOT, mec=style.RING)
style.dress(ax, x="x", title=f"Frequency ×10: error {broken[10][0]:.2f} at the samples, "
            f"{broken[10][1]:.2f} between them (×1: {broken[1][0]:.2f}, {broken[1][1]:.2f})")
figure

# %% [markdown]
# The loss says all is well. So judge a field between its samples, never at them.
#
# **When to use a field:** values at scattered places; slopes; more coordinates than an array can hold; one network for many functions,
# which takes a few numbers more, the *latent*, that say which function is meant. **When not:** to interpolate a few numbers; there
# kriging is better and says how sure it is. **Cost:** here a few hundred training steps for each function.
#
# ## Exercises
#
# `check(n, answer)` says whether an answer holds.

# %%
check = Exercises({
    1: (lambda share: 0.9 < share <= 1.001, "Train longer: steps=4000, and look at the last of `periods`."),
    2: (lambda error: error < missed["relu"], "Scale the place before the first layer."),
    3: (lambda off: off < 0.1, "Fit `field(x)` to y and, by torch.autograd.grad, its slope to the curve's slope."),
})

# %% [markdown]
# **1 · Turn a knob.** Does the ReLU field ever learn the fastest wave? After how many steps is more than 90 % of it there?
#
# <details><summary>Solution</summary>
#
# ```python
# slow = fit(Field("relu", frequency), x, y, 4000 if budget != "smoke" else steps)
# with torch.no_grad():
#     share = 1 - (((basis.conj() * slow(x)).mean(0) - goal).abs() / goal.abs())[-1].item()
# print(f"{share:.2f} of the fastest wave")
# check(1, share)
# ```
#
# </details>
#
# **2 · Change a line.** Multiply the place by 20 before the ReLU network sees it. What happens to its error, and why?
#
# <details><summary>Solution</summary>
#
# ```python
# scaled = fit(Field("relu", frequency), 20 * x, y, steps)
# with torch.no_grad():
#     error = ((scaled(20 * fine) - curve(fine)[0]).square().mean() / y.var()).sqrt().item()
# check(2, error)                                   # bends lie closer: faster waves are cheaper
# ```
#
# </details>
#
# **3 · Write a piece.** 32 samples were too few. Add the slope at each of them to the loss. How far off is the field now?
#
# <details><summary>Solution</summary>
#
# ```python
# places, values = x[few].clone().requires_grad_(), y[few]
# rises = (torch.pi * periods * torch.cos(torch.pi * periods * x[few] + phases)).sum(-1, keepdim=True)
# taught = Field("siren", frequency)
# adam = torch.optim.Adam(taught.parameters(), 2e-3)
# for _ in range(4 * steps):
#     found = taught(places)
#     (slope,) = torch.autograd.grad(found.sum(), places, create_graph=True)
#     loss = (found - values).square().mean() + ((slope - rises) / rises.std()).square().mean()
#     adam.zero_grad(), loss.backward(), adam.step()
# with torch.no_grad():
#     error = ((taught(fine) - curve(fine)[0]).square().mean() / y.var()).sqrt().item()
# print(f"{errors[15.0][1]:.2f} without slopes, {error:.2f} with them")
# check(3, error)
# ```
#
# </details>
#
# **Five questions.** What goes into a neural field, and what comes out? Why does a ReLU field learn slow waves first? What do Fourier
# features change, and what does a SIREN change? What does "any resolution" promise, and what does it not? Why does a field fitted
# to twelve numbers need a prior?
#
# ## Further reading
#
# - Rahaman et al. 2019, *On the spectral bias of neural networks* ([1806.08734](https://arxiv.org/abs/1806.08734)):
#   slow waves first.
# - Tancik et al. 2020, *Fourier features let networks learn high frequency functions in low dimensional domains*
#   ([2006.10739](https://arxiv.org/abs/2006.10739)): why sines of the place help.
# - Sitzmann et al. 2020, *Implicit neural representations with periodic activation functions*
#   ([2006.09661](https://arxiv.org/abs/2006.09661)): SIREN, its start, and slopes.
# - Park et al. 2019, *DeepSDF* ([1901.05103](https://arxiv.org/abs/1901.05103)): a latent beside the place, one
#   network for many shapes.
# - Xie et al. 2022, *Neural fields in visual computing and beyond* ([2111.11426](https://arxiv.org/abs/2111.11426)):
#   the whole subject.
