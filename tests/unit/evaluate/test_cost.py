"""Cost and sparsity curves: what is counted is what was done, what is averaged is an area."""

import time

import numpy as np
import pytest
import torch

import nfdlab
from nfdlab import baselines, patterns, problems
from nfdlab.core.fields import EvaluatedFields
from nfdlab.evaluate.cost import ceiling, cost
from nfdlab.evaluate.sparsity import sparsity_curve, trapezoid

FEW = dict(tasks=3, draws=8, points=nfdlab.cell_centres((16,)))


class Products:
    """Draws that cost 30 ms together, fields that are one product (p, 1) (1, 50) (50, 1)."""

    about = {"seconds": 12.5}
    up, down = torch.ones(1, 50), torch.ones(50, 1)

    def draw(self, seen, n, *, seed, steps=None):
        time.sleep(0.03)
        return EvaluatedFields(lambda x, part: ((x @ self.up).sin() @ self.down).expand(part.stop, -1, -1), n, 1)


def test_cost_counts_what_is_done():
    found = cost(Products(), None, torch.zeros(1000, 1), draws=4)
    assert found.fit_seconds == 12.5 and 7.5 <= found.ms_per_draw < 30          # a quarter of the pause
    assert found.flops_per_point == 2 * (50 + 50) / 4                           # once for all four draws
    assert found.share == found.points_per_second * 50 / found.ceiling and found.share > 0
    assert found.threads == torch.get_num_threads()


def test_where_torch_multiplies_nothing_no_share_is_claimed():
    found = cost(baselines.get("nearest"), nfdlab.Observations(torch.zeros(1, 1), torch.ones(1, 1)), torch.zeros(9, 1))
    assert found.flops_per_point is None and found.share is None and found.fit_seconds is None
    assert found.points_per_second > 0


def test_the_ceiling_is_a_matrix_product_and_nothing_beats_it_far():
    found = ceiling(256)
    assert 1e8 < found < 1e14
    assert ceiling(768) > 0.2 * found                                           # larger products are no slower


@pytest.fixture(scope="module")
def curves():
    problem = problems.get("gp1d")
    return sparsity_curve({"linear": baselines.get("linear")}, problem, shares=(0.4, 0.1, 0.2),
                          patterns=(patterns.Random, patterns.Block), **FEW)


def test_a_curve_has_every_pattern_and_share_in_order(curves):
    rows = curves.curve()
    assert len(rows) == 2 * 2 * 3 and set(rows["pattern"]) == {"random", "block"}
    mine = rows[(rows["pattern"] == "random") & (rows["contestant"] == "linear")]
    assert mine["share"].tolist() == [0.1, 0.2, 0.4] and mine["m"].tolist() == [6, 13, 26]
    assert (rows.loc[rows["contestant"] == "exact", ["crps", "low", "high"]] == 1.0).all(axis=None)
    assert (mine["low"] <= mine["crps"]).all() and (mine["crps"] <= mine["high"]).all()
    assert (mine["high"] > mine["low"]).all()


def test_the_area_is_over_log_share(curves):
    rows, areas = curves.curve(), curves.areas()
    mine = rows[(rows["pattern"] == "block") & (rows["contestant"] == "linear")]
    a, b, c = mine["crps"]
    row = areas[(areas["pattern"] == "block") & (areas["contestant"] == "linear")].iloc[0]
    assert row["crps"] == pytest.approx((a / 2 + b + c / 2) / 2) and row["low"] < row["crps"] < row["high"]
    assert areas["practised"].tolist() == [True, True, False, False]
    wide = curves.across()
    assert list(wide.columns) == ["linear", "exact"] and wide.index.tolist() == [(True, "random"), (False, "block")]
    assert wide.loc[(False, "block"), "linear"] == row["crps"]


def test_weights_of_the_trapezoid_rule_are_exact_for_lines():
    x = np.log([0.01, 0.02, 0.3])
    weights = trapezoid(x)
    assert weights.sum() == pytest.approx(1.0) and weights @ (3 * x + 1) == pytest.approx(3 * (x[0] + x[-1]) / 2 + 1)
    assert trapezoid(np.array([0.3])).tolist() == [1.0]


@pytest.mark.parametrize("shares", [(), (0.001,), (0.1, 0.101), (0.0,), (1.5,)])
def test_shares_that_make_no_curve_are_refused(shares):
    with pytest.raises(ValueError, match="share.*\n.*came"):
        sparsity_curve({"linear": baselines.get("linear")}, problems.get("gp1d"), shares=shares, **FEW)
