"""Why the event loop gave up: the program is stepped then."""

from __future__ import annotations

from rpa.emu.fast import future as F
from rpa.emu.fast.events import FAULT, LATE, PROBLEM, RACE

_STORES = {F.S_A: "a", F.S_W: "w", F.S_P: "p", F.S_X: "x", F.S_O: "o", F.S_MEM: "mem", F.S_ACC: "acc0", F.S_ACC + 1: "acc1",
           F.S_NV_ACC: "nv_acc0", F.S_NV_ACC + 1: "nv_acc1"}
_PROBLEMS = {
    F.A_RANGE: "a run reads outside the A banks", F.W_RANGE: "a run reads outside the W banks",
    F.MEM_READ: "an ld reads outside memory", F.MEM_READ_ALIGN: "an ld reads unaligned", F.BANK_RANGE: "an ld writes outside its bank",
    F.BANK_ALIGN: "an ld writes its bank unaligned", F.O_READ: "a command reads outside the O banks",
    F.P_RANGE: "a drain reads outside the P banks", F.O_WRITE: "a drain writes outside the O banks",
    F.MEM_WRITE: "an st writes outside memory", F.MEM_WRITE_ALIGN: "an st writes unaligned",
    F.X_RANGE: "the nv engine reads outside the X bank"}


def reason(why: int, w: F.Scratch) -> str:
    """Text for what `events.run_events` returned, from the scratch arrays that it worked with."""
    if why == RACE:
        store = int(w.reach[F.R_LOW])
        access = w.news[w.news[:, F.P_STORE] == store][0]
        return f"two engines use the same words of `{_STORES[store]}` in cycles {access[F.P_LOW]}..{access[F.P_HIGH]}"
    if why == PROBLEM:
        return _PROBLEMS[int(w.reach[F.R_PROBLEM])]
    if why == LATE:
        return "a command of the nv engine outlasts the cycle limit"
    return "a fault of a datapath" if why == FAULT else "a fault while engines are at work"
