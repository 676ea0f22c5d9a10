"""Fast emulator: an event loop over instructions, one tensor operation per engine command; never an approximation."""

from rpa.emu.fast.machine import FastRun, execute, run

__all__ = ["FastRun", "execute", "run"]
