"""What every suite shares: builds of the RTL are kept between runs, and a missing tool is a failure in CI, a skip elsewhere."""

from __future__ import annotations

import os

import hypothesis
import pytest

# A slow or busy machine must not fail a property; speed is measured in benchmarks/ alone.
hypothesis.settings.register_profile("rpa", deadline=None)
hypothesis.settings.load_profile("rpa")


@pytest.fixture(scope="session")
def verilator() -> None:
    """Skip, with the reason, where the RTL cannot be run; where $CI is set, a missing tool is an error instead."""
    pytest.importorskip("amaranth", reason="the RTL needs the extra `rtl`")
    from hdl.sim.errors import SimulatorError
    from hdl.sim.verilator import package_root

    try:
        package_root()
    except SimulatorError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(params=["step", "fast", pytest.param("rtl", marks=pytest.mark.rtl)])
def backend(request: pytest.FixtureRequest) -> str:
    """Name of a backend of `rpa.verify.compare.BACKENDS`; a test that takes it runs once on each."""
    if request.param == "rtl":
        request.getfixturevalue("verilator")
    return request.param
