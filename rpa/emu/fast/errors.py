"""Why the fast emulator hands a program over to the stepping emulator."""

from __future__ import annotations


class NeedStepping(Exception):
    """What comes next has no proven closed form here (a race, a fault, the cycle limit): the whole program is stepped instead.

    Never reaches a user. ``str()`` is the reason, which a `Result` shows as `backend_detail`.
    """


class CycleLimit(NeedStepping):
    """The core would execute beyond the cycle limit. ``pc``: the instruction of the last cycle within it."""

    def __init__(self, pc: int) -> None:
        self.pc = pc
        super().__init__("the cycle limit is reached")
