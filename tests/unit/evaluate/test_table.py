"""The table: what its ratios mean, on tables whose answer is known, and on the exact posterior beside itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import nfdlab
from nfdlab import baselines, patterns, problems
from nfdlab.core.fields import EvaluatedFields
from nfdlab.evaluate.provenance import require_same_problem
from nfdlab.evaluate.results import Table
from nfdlab.evaluate.table import compare, measure, score

FEW = dict(tasks=4, draws=8, points=nfdlab.cell_centres((16,)))


@pytest.fixture(scope="module")
def problem():
    return problems.get("gp1d")


class Wider:
    """The exact posterior's draws, blown up around their mean: too unsure by a known factor."""

    def __init__(self, exact, factor):
        self.exact, self.factor = exact, factor

    def draw(self, seen, n, *, seed, steps=None):
        inner = self.exact.draw(seen, n, seed=seed)

        def rule(coords, part):
            values = inner(coords)
            return (values.mean(0) + self.factor * (values - values.mean(0)))[part]

        return EvaluatedFields(rule, n, inner.d, inner.c)


def test_the_exact_posterior_beside_itself_scores_one(problem):
    table = compare({"again": problem.oracle()}, problem, counts=(0, 1, 5, 20), tasks=50, seed=1)
    for metric in ("crps", "energy", "variogram", "rmse", "spread"):
        mean = table.ratio(metric).loc["mean"]
        error = (mean["high"] - mean["low"]) / 4                       # a 95 % interval is four standard errors
        assert abs(mean[metric] - 1) < 4 * error < 0.12
    for metric in ("coverage90", "maximum90", "integral90"):
        mean = table.ratio(metric).loc["mean"]
        assert abs(mean[metric] - 0.9) < (mean["high"] - mean["low"])
    summary = table.summary()
    assert summary.loc[("exact", "mean"), "crps"] == 1.0
    assert list(summary.loc["again"].index) == [0, 1, 5, 20, "mean", "worst"]


def test_labelled_patterns_have_rows_of_their_own(problem):
    """Whatever the label, and None is the prior; a pattern scores as it does when it is alone."""
    cases = {0: None, "grid of 5": patterns.Grid(count=5), 5: patterns.Random(count=5)}
    table = score(problem.oracle(), problem, pattern=cases, seed=3, **FEW)
    assert table.counts == list(cases)
    prior, even, anywhere = (table.rows.query("contestant == 'exact' and m == @m")["variance"].mean() for m in cases)
    assert prior > anywhere > even
    unconditional_share = score(problem.oracle(), problem, counts=(5,), seed=3, **FEW).rows["crps"]
    assert unconditional_share.tolist() == table.rows[table.rows["m"] == 5]["crps"].tolist()
    for wrong in (dict(pattern={}), dict(pattern=cases, counts=(3,))):
        with pytest.raises(ValueError) as error:
            score(problem.oracle(), problem, **wrong, **FEW)
        assert "\n  do:   " in str(error.value)


def test_too_wide_is_seen_as_too_wide(problem):
    table = score(Wider(problem.oracle(), 1.5), problem, counts=(3, 10), tasks=40, seed=2)
    spread, crps = table.ratio("spread").loc["mean"], table.ratio("crps").loc["mean"]
    assert spread["low"] < 1.5 < spread["high"]
    assert crps["low"] > 1.0 and table.ratio("coverage90").loc["mean", "coverage90"] > 0.95
    assert table.contestants == ["wider", "exact"]


def by_hand(mine, exact, metric="crps"):
    """A table with one metric: {m: scores} for each of two contestants."""
    others = ("crps", "energy", "variogram", "mse", "variance", "psnr", "coverage90", "maximum90", "integral90")
    rows = [{"contestant": name, "m": m, "task": i, **dict.fromkeys(others, 1.0), metric: value}
            for name, scores in (("mine", mine), ("exact", exact)) for m, found in scores.items()
            for i, value in enumerate(found)]
    return Table(pd.DataFrame(rows), "by hand", "exact", 8)


def test_means_are_divided_at_each_m_then_averaged_over_m():
    table = by_hand({1: [2.0, 4.0], 9: [0.1, 0.1]}, {1: [1.0, 5.0], 9: [0.05, 0.05]})
    found = table.ratio("crps")["crps"]
    assert found[1] == pytest.approx(6 / 6) and found[9] == pytest.approx(2.0)     # not the mean of 2 and 0.8
    assert found["mean"] == pytest.approx(1.5) and found["worst"] == pytest.approx(2.0)


def test_errors_and_spreads_are_roots_of_ratios_of_mean_squares():
    assert by_hand({1: [8.0, 8.0]}, {1: [1.0, 3.0]}, "mse").ratio("rmse")["rmse"][1] == pytest.approx(2.0)
    assert by_hand({1: [8.0, 8.0]}, {1: [1.0, 3.0]}, "variance").ratio("spread")["spread"][1] == pytest.approx(2.0)


def test_the_worst_spread_is_the_one_farthest_from_one_and_the_worst_share_from_nine_tenths():
    assert by_hand({1: [0.25], 2: [2.0]}, {1: [1.0], 2: [1.0]}, "variance").ratio("spread")["spread"]["worst"] == 0.5
    assert by_hand({1: [0.7], 2: [1.0]}, {1: [1.0], 2: [1.0]}, "coverage90").ratio("coverage90").iloc[-1, 0] == 0.7


def test_tasks_are_resampled_in_pairs():
    """Scores that differ a hundredfold between tasks, and by a common factor between contestants: the ratio is sure."""
    exact = np.logspace(-1, 1, 40)
    sure = by_hand({1: 1.1 * exact}, {1: exact}).ratio("crps").loc[1]
    np.testing.assert_allclose(sure, 1.1)
    unsure = by_hand({1: 1.1 * exact[::-1]}, {1: exact}).ratio("crps").loc[1]
    assert unsure["low"] < 0.8 and unsure["high"] > 1.4


def test_a_part_of_a_table_or_another_reference_is_resampled_as_a_table_of_its_own():
    """Resamplings are shared between a table and those made of it, where the tasks are the same."""
    exact = np.logspace(-1, 1, 40)
    whole = by_hand({1: 1.1 * exact[::-1], 2: exact[::-1] ** 2}, {1: exact, 2: exact})
    whole.ratio("crps")
    few, other = (lambda t: replace(t, rows=t.rows[t.rows["task"] < 30])), (lambda t: replace(t, reference="mine"))
    for change, name in ((few, "mine"), (other, "exact")):
        shared, own = change(whole), replace(change(whole), _boot={})
        pd.testing.assert_frame_equal(shared.ratio("crps", name), own.ratio("crps", name))


def test_the_interval_is_that_of_the_delta_method():
    rng = np.random.default_rng(0)
    exact = rng.gamma(4, size=400)
    mine = exact * rng.normal(1.05, 0.2, size=400)
    row = by_hand({1: mine}, {1: exact}).ratio("crps").loc[1]
    ratio = mine.mean() / exact.mean()
    error = np.std(mine - ratio * exact) / exact.mean() / 400**0.5
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_more_tasks_and_more_contestants_only_append(problem):
    exact = problem.oracle()
    short = compare({"a": exact}, problem, counts=(5,), **FEW).rows
    long = compare({"b": baselines.get("linear"), "a": exact}, problem, counts=(2, 5), **(FEW | {"tasks": 6})).rows
    kept = long[(long["contestant"] == "a") & (long["m"] == 5) & (long["task"] < 4)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, short[short["contestant"] == "a"].reset_index(drop=True))
    other = compare({"a": exact}, problem, counts=(5,), **(FEW | {"seed": 1})).rows
    assert not np.isclose(other["crps"], short["crps"]).any()


def test_truths_come_from_the_side_never_trained_on():
    class Sided:
        card, d, c = problems.get("gp1d").card, 1, 1

        def oracle(self):
            return problems.get("gp1d").oracle()

        def draw(self, n, *, seed):
            raise AssertionError("this side was trained on")

        def held_out(self):
            return problems.get("gp1d")

    assert len(score(baselines.get("nearest"), Sided(), counts=(3,), **FEW).rows) == 8


def test_without_an_exact_answer_the_ruler_is_kriging():
    class Unknown:
        card, d, c, draw = problems.get("gp1d").card, 1, 1, staticmethod(problems.get("gp1d").draw)

        def oracle(self):
            return None

    table = score(baselines.get("cubic"), Unknown(), counts=(6,), **FEW)
    assert table.reference == "kriging" and table.contestants == ["cubic", "kriging"]
    point = score(baselines.get("cubic"), Unknown(), counts=(6,), against=baselines.get("rbf"), **FEW)
    assert point.reference == "rbf" and "rbf" in str(point)
    assert point.ratio("spread")["spread"].isna().all()                # no spread to compare with


def test_one_pattern_as_it_is_and_no_points_at_all(problem):
    exact, calls = problem.oracle(), []
    table = score(exact, problem, pattern=patterns.Block(count=7), **FEW)
    assert table.counts == [7]
    score(exact, problem, counts=(0,), progress=lambda done, total: calls.append((done, total)), **FEW)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(ValueError, match="counts: none"):
        score(exact, problem, pattern=patterns.Grid(count=4), counts=(4,), **FEW)
    with pytest.raises(ValueError, match="counts: different"):
        score(exact, problem, counts=(4, 4), **FEW)
    with pytest.raises(ValueError, match="draws: at least 2"):
        score(exact, problem, **(FEW | {"draws": 1}))
    with pytest.raises(TypeError, match="contestants: a dictionary"):
        compare([exact], problem)


def test_a_model_that_answers_nan_is_refused_by_name_of_what_came():
    with pytest.raises(ValueError, match="draws: finite numbers"):
        measure(torch.full((4, 5, 1), torch.nan), torch.zeros(5, 1), 1)


class Trained:
    def __init__(self, **about):
        self.about = about


def test_weights_of_another_problem_are_refused_with_the_line_that_refits(problem):
    fits = Trained(approach="sparse_conditional", problem="gp1d", knobs={"lengthscale": 0.2})
    require_same_problem(fits, problem)
    require_same_problem(problem.oracle(), problems.get("gp1d", lengthscale=0.5))
    require_same_problem(Trained(approach="a", problem="gp1d", knobs={"lengthscale": 0.2, "side": "train"}), problem)
    with pytest.raises(ValueError) as refused:
        require_same_problem(fits, problems.get("gp1d", lengthscale=0.5))
    text = str(refused.value)
    assert 'do:   nfdlab.train(' in text and "nfdlab.problems.get('gp1d', lengthscale=0.5)" in text
    assert all(part in text for part in ("came: weights of gp1d with lengthscale=0.2", "why:", "do:"))
    with pytest.raises(ValueError, match="came: weights of gp1d"):
        score(fits, problems.get("sawtooth1d"))


def test_the_table_is_written_whole_and_shown(problem, tmp_path):
    table = score(baselines.get("nearest"), problem, counts=(3,), **FEW)
    path = table.to_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(pd.read_csv(path), table.rows)
    assert [f.name for f in tmp_path.iterdir()] == ["table.csv"]
    assert "nearest" in table._repr_html_() and "ratio to exact" in str(table)
    assert table.scores().loc[("exact", 3), "rmse"] > 0
    with pytest.raises(ValueError, match="folder that exists"):
        table.to_csv(tmp_path / "none" / "table.csv")
    with pytest.raises(KeyError, match="Did you mean 'crps'"):
        table.ratio("crsp")
