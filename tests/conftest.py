"""Guards that every test passes through: nothing may move global random state, dtype or thread count."""

import os
import re

import numpy as np
import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:              # side by side: a core each, and one for each kernel they start
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# The long ones first, so that no worker is left alone with one at the end.
ORDER = ("tests/notebooks", "tests/contract", "tests/laws", "tests/unit/panels", "tests/unit", "tests/house")


def pytest_collection_modifyitems(items):
    """Sort the tests by their folders, in the order of ORDER; within a folder they stay as they were."""
    def place(item):
        return next((i for i, folder in enumerate(ORDER) if item.nodeid.startswith(folder)), len(ORDER))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Files side by side; of the two longest, the cases of a lesson or of an approach stay together."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Grouped(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file, _, case = nodeid.partition("::")
            if not file.startswith(("tests/notebooks", "tests/contract")):
                return file
            first = re.split("[]-]", case.partition("[")[2])[0]
            return f"{file} {first}"

    return Grouped(config, log)


def world() -> dict:
    """What the library shares with everything else in the process."""
    return {"torch's random state": torch.get_rng_state().tolist(), "the default dtype": torch.get_default_dtype(),
            "numpy's random state": np.random.get_state()[1].tolist(),         # noqa: NPY002 (to see it unmoved)
            "the number of threads": torch.get_num_threads(), "gradients on or off": torch.is_grad_enabled()}


@pytest.fixture(autouse=True)
def global_state_is_left_alone():
    """Fail any test whose code moves global state."""
    before = world()
    yield
    moved = [name for name, value in world().items() if value != before[name]]
    assert not moved, f"moved: {', '.join(moved)}"


@pytest.fixture
def rng():
    """A generator of the test's own."""
    return torch.Generator().manual_seed(2026)
