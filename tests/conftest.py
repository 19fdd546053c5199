"""Guards that every test passes through: nothing may move global random state, dtype or thread count."""

import pytest
import torch


@pytest.fixture(autouse=True)
def global_state_is_left_alone():
    """Fail any test whose code moves torch's global random state or default dtype."""
    before, dtype = torch.get_rng_state(), torch.get_default_dtype()
    yield
    assert torch.equal(before, torch.get_rng_state()), "torch's global random state was moved"
    assert torch.get_default_dtype() is dtype, "torch's default dtype was changed"


@pytest.fixture
def rng():
    """A generator of the test's own."""
    return torch.Generator().manual_seed(2026)
