"""Training needs torch, which is in the extra `train` alone: without it every module here is skipped, with the reason."""

import pytest

try:
    import torch
except ImportError:
    torch = None


class WithoutTorch(pytest.Module):
    """A test module that is not imported."""

    def collect(self):
        pytest.skip("torch is not installed: pip install 'rpa-toolchain[train]'", allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    """Modules are collected as always where torch is there."""
    return WithoutTorch.from_parent(parent, path=module_path) if torch is None else None


@pytest.fixture(autouse=True)
def one_thread():
    """Results that do not depend on the machine, and no two tests on all cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
