"""Cost: what is counted is what was done."""

import time

import torch

import nfdlab
from nfdlab import baselines
from nfdlab.core.fields import EvaluatedFields
from nfdlab.evaluate.cost import ceiling, cost


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
    assert any(ceiling(768) > 0.2 * found for _ in range(10)), "larger products are no slower, in a quiet moment"
