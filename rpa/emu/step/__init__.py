"""The stepping emulator: one clock at a time, all state visible, compiled with numba or in plain Python and NumPy.

`machine` is what others use; `clock` puts the cycle together from `core`, `load`, `execute`, `drain`, `store` and `nv`; `array`,
`pe`, `columns` and `banks` are the datapath, `vector` its NumPy forms; `layout` and `state` say where everything stands.
"""

from rpa.emu.step.machine import StepMachine, run

__all__ = ["StepMachine", "run"]
