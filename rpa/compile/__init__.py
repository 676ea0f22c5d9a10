"""The compiler: a model of PyTorch or ONNX, or an integer network, becomes one program and one data image for an array.

`rpa.compile(model, example, widths=...)` is :func:`rpa.compile.front.compile_model`: the package itself can be called, so that the
function and the package that holds it have one name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rpa.compile.front import CompiledModel


class _Package(ModuleType):
    """A package that is also its main function."""

    def __call__(self, *args: Any, **kwargs: Any) -> CompiledModel:
        from rpa.compile.front import compile_model

        return compile_model(*args, **kwargs)


sys.modules[__name__].__class__ = _Package
