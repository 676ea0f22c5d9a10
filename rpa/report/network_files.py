"""A network compiled, and everything a user needs of it in a folder: program, data image, widths, scales."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isa.files import write_atomic
from rpa.arch.config import ArrayConfig
from rpa.compile.front import CompiledModel, compile_model
from rpa.compile.link import feature_names
from rpa.quant.widths import WidthTable
from rpa.report.network_source import NetworkSource, check_one_input

REAL = "scale * (integer - zero_point)"


def compile_source(source: NetworkSource, widths: str = "8", config: ArrayConfig | None = None, *, effort: bool = True, host: bool = True,
                   **choices: Any) -> CompiledModel:
    """Quantize a network, unless it has its own integers, and compile it. host: what `rpa.compile` means by it.

    Raises NetError, QuantError, CompileError.
    """
    check_one_input(source.graph)
    config = config or ArrayConfig.preset("default" if choices.get("place") is None else "hybrid")
    return compile_model(source.graph, source.calibration, widths=widths, config=config, effort=effort, host=host, acc_bits=config.acc_bits,
                         **choices)


def full_table(model: CompiledModel) -> WidthTable | None:
    """The widths used, with a row for every layer, to be edited; None for a model that came with its own integers."""
    if model.quantized is None:
        return None
    from rpa.quant.convert import layers_of

    table = model.quantized.table
    return WidthTable(table.default, {layer: table[layer] for layer in layers_of(model.quantized.converted.blocks)}, table.output_bits)


def border(model: CompiledModel) -> dict[str, Any]:
    """What stands for what at inputs and outputs, and what is left to do behind the outputs. For JSON."""
    tensors = feature_names(model.net)
    ends: dict[str, Any] = {"network": model.net.name, "real": REAL, "layout": "H, W, C"}
    for what, names in (("inputs", model.net.inputs), ("outputs", model.net.outputs)):
        ends[what] = {}
        for name in names:
            feature = model.net.features[name]
            ends[what][name] = {"tensor": tensors[name], "shape": list(feature.shape), "bits": feature.bits, "signed": feature.signed,
                                "low": feature.low, "high": feature.high, "scale": feature.scale, "zero_point": feature.zero_point}
    ends["host"] = [asdict(step) for step in model.net.host]
    return ends


def save(model: CompiledModel, folder: Path) -> list[Path]:
    """Write NAME.widths.toml, NAME.scales.json, NAME.weights.npy, NAME.rpa and NAME.rpb, the program last; each is whole or as it was before."""
    stem = model.compiled.program.name
    table, scales = full_table(model), json.dumps(border(model), indent=2) + "\n"
    model.compiled.program.to_bytes()           # what cannot be written fails before anything is
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if table is not None:
        written.append(folder / f"{stem}.widths.toml")
        table.save(written[-1])
    written.append(folder / f"{stem}.scales.json")
    write_atomic(written[-1], scales.encode())
    return [*model.compiled.save(folder), *written]
