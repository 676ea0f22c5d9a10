"""`make bench`: every benchmark, one after the other; exit code 1 if a target is missed."""

from __future__ import annotations

import sys

from benchmarks import depthwise, emulators, flash, kernels, many_runs, networks

BENCHMARKS = (kernels, emulators, many_runs, networks, depthwise, flash)


def main() -> int:
    """Run every benchmark and say which of them missed a target."""
    missed = []
    for module in BENCHMARKS:
        print(f"{module.__name__}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        if module.main():
            missed.append(module.__name__)
        print(flush=True)
    if missed:
        print(f"targets missed in {', '.join(missed)}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
