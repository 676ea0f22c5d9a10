"""Training needs torch, which is in the extra `train` alone: without it every test here is skipped."""

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'rpa-toolchain[train]'")


@pytest.fixture(autouse=True)
def one_thread():
    """Results that do not depend on the machine, and no two tests on all cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
