# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here: what can eight numbers tell about a whole curve?
#
# *next: [`00b_neural_field_primer`](00b_neural_field_primer.ipynb)*
#
# ![truth, eight observations, exact band, model band](pictures/00_start_here.png)
#
# A five-minute tour of nfdlab. ▶ *Run ▸ Run All Cells*, read downwards, then drag a slider.
#
# **A problem makes functions; a pattern hides most of each; a model fills them in; the exact posterior says how well.**
# That is the whole kit, in that order.

# %% tags=["parameters"]
budget: str = "reference"  # smoke | lesson | reference
seed: int = 1  # which function, which observations
device: str = "auto"  # auto | cpu | cuda
keep: int = 8  # how many observations are seen

# %% [markdown]
# ## A problem makes functions
#
# A *problem* is a recipe for random functions. `gp1d` makes smooth curves (*gp*: Gaussian process, the values at any places are jointly
# normal). Its equation, printed below, says that two values are the more alike the nearer their places are; that rule is the *kernel*.
# Each curve is a *function*, not an array: it has a value at every place of *the box*, from −1 to 1.

# %%
import torch

import nfdlab as nfd
from nfdlab.panels import plots

problem = nfd.problems.get("gp1d")
truth = problem.draw(1, seed=seed)
anywhere = torch.tensor([[-0.5], [0.123456], [0.9]])
print(problem.card.title, "·", problem.card.equation)
truth(anywhere).flatten()

# %% [markdown]
# ## Hide most of it
#
# A *pattern* chooses the places that are seen, here eight at random. Each value gets a little noise. These *observations* are all that
# anyone gets to see from here on.

# %%
seen = nfd.observe(truth, nfd.patterns.Random(count=keep), noise_std=0.05, seed=seed)
seen.coords.shape, seen.values.shape, seen.noise_std

# %% [markdown]
# ## Fill it in
#
# *Predict:* eight observations, a smooth curve. Is there one answer?
#
# No: many curves pass near these observations. Their distribution, given the observations, is the *posterior*. For this problem it is
# known as a formula: the *exact posterior* (blue; `oracle` in the code). The model (orange) was never given that formula. It was
# trained on curves with most of each hidden; it joins a neural field and diffusion, which the next two lessons explain. A *draw* is one
# curve of many that could be, all equally likely (thin lines). A *band* holds 90 % of the draws at each place.

# %%
model = (
    nfd.load("sparse_conditional", "gp1d", device=device)
    if budget == "reference"
    else nfd.train("sparse_conditional", problem, budget=budget, seed=seed, device=device)
)
exact = problem.oracle().draw(seen, 64, seed=seed)
draws = model.draw(seen, 64, seed=seed)
line = nfd.cell_centres((256,))
spread = [f(line).var(0).mean().sqrt().item() for f in (exact, draws)]  # standard deviation of the draws
plots.bands(
    problem.card,
    truth=truth,
    seen=seen,
    exact=exact,
    model=draws,
    title=f"{keep} observations leave a band; the model's is {spread[1] / spread[0]:.2f} times "
    "as wide as the exact one",
)

# %% [markdown]
# ## Look closer
#
# *Predict:* what will one orange curve look like when it is enlarged 32 times? A staircase, a blur, or a curve?
#
# To ask a draw at more places is not to draw again. Its value at a place never depends on the other places that are asked.

# %%
fine = torch.linspace(-1 / 32, 1 / 32, 500)[:, None]
together, alone = draws(torch.cat([line, fine]))[:, len(line) :], draws(fine)
assert torch.allclose(together, alone, atol=1e-5)
plots.ladder(problem.card, {"truth": truth, "model": draws}, title="The same draw at ×1 … ×32: it stays a curve")

# %% [markdown]
# ## How good is it?
#
# Not by eye. The *CRPS* (continuous ranked probability score) is, at each place, the mean distance of the draws to the truth, less half
# of their mean distance to each other. On average it is lowest where the distribution at each place is right, so the exact
# posterior's value is the best that anything can reach. (It does not see how the values at different places belong together; lesson 08
# is about that.) The CRPS of one *task* (a function with its observations) is mostly chance, so we take several, and divide by the exact
# posterior's CRPS: 1.00 is the best possible. *Kriging* is the classical method: Gaussian process regression, its kernel fitted to each task.

# %%
from nfdlab.evaluate.table import compare

rivals = {"model": model, "kriging": nfd.baselines.get("kriging")}
table = compare(rivals, problem, counts=(3, 8, 20), tasks=3 if budget == "smoke" else 8, seed=seed)
curves = {name: table.ratio("crps", name).T.to_dict("list") for name in ("model", "kriging")}
best, low, high = table.ratio("crps", "model").loc["mean"]
plots.ratios(
    curves,
    title=f"CRPS: {best:.2f} [{low:.2f}, {high:.2f}] times the best possible, "
    f"{table.rows['task'].nunique()} tasks at each m",
)

# %% [markdown]
# ## Turn the knobs
#
# Click the picture: the truth is seen there. Drag the point up and down: what if it had been another value? A double click removes it. The
# button *play* beside `at step` shows the draws as they form from noise. Try: one observation; all in clumps (*a clump*); `scale` at 32; then the
# problem `sawtooth1d`, curves with jumps, where the mean of all possible curves is not a possible curve, and `digits2d`, real digits.

# %%
panel = nfd.explore(model, problem, count=keep, seed=seed, device=device)
panel

# %% [markdown]
# ## Your own data
#
# Values at places, in your own units: a table, an array, a csv file or an image. The kit scales them to the box and back. Nine readings of
# a thermometer over a day (hour, °C): how warm was it at half past ten? The model knows only the kind of curve that it was trained on,
# and temperatures need not be of that kind. Kriging fits its kernel to the readings. *Predict:* do the two agree?

# %%
from nfdlab.problems.arrays import observations

readings = [[0, 11.2], [3, 9.8], [6, 10.4], [9, 14.9], [12, 19.1], [15, 21.0], [18, 18.2], [21, 14.0], [24, 11.9]]
mine = observations(torch.tensor(readings, dtype=torch.float64), noise_std=0.3)
for name, who in (("the model", model), ("kriging", nfd.baselines.get("kriging"))):
    guesses = who.draw(mine, 64, seed=seed)(mine.scaling.to_box([[10.5]]))
    celsius = mine.scaling.restore(guesses)[:, 0, 0]
    print(f"half past ten by {name}: {celsius.mean():.1f} °C, give or take {celsius.std():.1f}")

# %% [markdown]
# Where the two differ, believe kriging: it was fitted to these readings. For readings of your own, train a model on curves like yours
# (`nfd.train`), or take kriging; lesson 05 measures what it costs to use a model of another kind of curve.
#
# ## Which notebook next?
#
# In this order each builds on those before it. In ninety minutes: the two primers, then 05.
#
# | the question | open |
# |---|---|
# | What does a network from coordinates to values buy? (primer) | `00b_neural_field_primer` |
# | How does noise become a draw? (primer) | `00c_diffusion_primer` |
# | What is the best possible answer, and how do you know it? (no network) | `00a_problems_and_rulers` |
# | How good can a guess from sparse data be, and how close are we? | `05_sparse_conditional` |
# | What does looking closer cost? | `01_latent_field` |
# | Where does style live? | `09_modulated_field` |
# | Can you average two networks? | `02_weight_diffusion` |
# | Which noise is a function? | `03_score_field` |
# | Can every point be calibrated and the whole be wrong? | `08_stochastic_field` |
# | What does regression lose, and who gives it back? | `04_coarse_to_fine` |
# | What happened between the frames? | `06_temporal_field` |
# | What if there is no grid? | `10_sparse_features` |
# | Where would you look next? | `07_adaptive_sampling` |
# | Which one should I use? | `11_bake_off` |
#
# Each lesson asks one question, builds the smallest version of the idea in a few lines, measures it, and shows where it breaks.
# `GLOSSARY.md` explains letters and words. In a shell, `nfdlab run 05` writes a report of lesson 05, which any browser opens.
#
# ## Which approach for which data?
#
# The ten approaches of lessons 01 to 10, after a minute of training each, on the same observations. `11_bake_off` says how, and which
# to choose when observations are few or in clumps, when it must be fast, or when the bands must be right.
#
# <!-- which kind: begin -->
# | data or need | take | as good, as far as can be told | because |
# | --- | --- | --- | --- |
# | curves that jump (`sawtooth1d`) | [`sparse_conditional`](05_sparse_conditional.ipynb) | `score_field` | CRPS 1.37 [1.16, 1.76] times that of the exact posterior; best classical rival, `optimal_interpolation`: 3.95 |
# | one jump (`step1d`) | [`adaptive_sampling`](07_adaptive_sampling.ipynb) | – | CRPS 1.04 [0.93, 1.20] times that of the exact posterior; best classical rival, `optimal_interpolation`: 2.21 |
# | pictures (`digits2d`) | [`stochastic_field`](08_stochastic_field.ipynb) | `sparse_conditional` | CRPS 0.50 [0.48, 0.53] times that of kriging; best classical rival, `optimal_interpolation`: 0.58 |
# | surfaces (`terrain2d`) | `kriging` | `latent_field` | no approach does better after such a training: CRPS 1.01 [0.97, 1.06] times that of kriging; best classical rival, `kriging`: 1.00 |
# | space and time (`two_speed1dt`) | `optimal_interpolation` | `temporal_field` | no approach does better after such a training: CRPS 1.51 [1.41, 1.64] times that of the exact posterior; best classical rival, `optimal_interpolation`: 1.48 |
# | shapes (`stars2d`) | `optimal_interpolation` | `sparse_features` | no approach does better after such a training: CRPS 0.60 [0.54, 0.67] times that of kriging; best classical rival, `optimal_interpolation`: 0.45 |
# <!-- which kind: end -->
