"""The studies by name: what each reruns, of whom, and whether the figures bear the claim out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import signature

Row = dict[str, object]


@dataclass(frozen=True)
class Study:
    """One published result, rerun."""

    name: str
    module: str
    claim: str
    verdict: Callable[[list[Row]], list[str]]
    """What the rows say of it."""
    details: tuple[str, ...] = ()
    """Columns that a table on a screen has no room for."""

    def run(self, **options: object) -> list[Row]:
        """Rows of the study; for `options` see there. Raises FlashError, DataError."""
        found: list[Row] = import_module(self.module).run(**options)
        return found

    def shown(self, rows: list[Row]) -> list[Row]:
        """Rows without :attr:`details`."""
        return [{key: value for key, value in row.items() if key not in self.details} for row in rows]

    @property
    def options(self) -> tuple[str, ...]:
        """Keywords of the module's `run`."""
        return tuple(signature(import_module(self.module).run).parameters)


def _number(row: Row, key: str) -> float:
    value = row[key]
    assert isinstance(value, int | float)
    return float(value)


def _says(what: str, figure: float, bound: float, *, at_least: bool = True, unit: str = "%") -> str:
    met = figure >= bound if at_least else figure <= bound
    return f"{what}: {figure:.4g} {unit}, claimed {'at least' if at_least else 'at most'} {bound:g} {unit}: {'yes' if met else 'NO'}"


def _sweep(rows: list[Row]) -> list[str]:
    return [_says(f"W{row['W']}A{row['A']}", _number(row, "accuracy [%]"), _number(row, "published [%]")) for row in rows if row["published [%]"]]


def _sparsity(rows: list[Row]) -> list[str]:
    verdict = []
    for row in rows:
        if row["published saved [%]"] is not None:
            where = f"{row['network']}, {row['cell bits']}-bit cells"
            bound, factor = _number(row, "published saved [%]"), _number(row, "published efficiency [x]")
            verdict += [_says(f"{where}: ADC energy saved, by driven rows", _number(row, "ADC saved [%]"), bound),
                        _says(f"{where}: the same with a bound for each bit line from its cells", _number(row, "saved, cells known [%]"), bound),
                        _says(f"{where}: efficiency, by driven rows", _number(row, "efficiency [x]"), factor, unit="x")]
    return verdict


def _lenet(rows: list[Row]) -> list[str]:
    return [_says("of the software's accuracy", _number(row, "of the software [%]"), _number(row, "published [%]"))
            for row in rows if row["published [%]"] is not None]


def _resnet(rows: list[Row]) -> list[str]:
    return [_says(f"{row['network']}: below float", _number(row, "below float [%]"), _number(row, "published [%]"), at_least=False)
            for row in rows if row["published [%]"] is not None]


def _wires(rows: list[Row]) -> list[str]:
    least = min(_number(row, "own line better [x]") for row in rows if _number(row, "current lost [%]") <= 20)
    return [_says("own-line form against the mean-factor form, least of all arrays that lose at most 20 %", least, 3.0, unit="x"),
            _says("exact form, least of all arrays", min(_number(row, "exact better [x]") for row in rows), 3.0, unit="x")]


STUDIES = {study.name: study for study in (
    Study("sweep", "rpa.flash.study.sweep", "W4A3 is the best compromise: 98.82 % on MNIST (Bao et al. 2022)", _sweep),
    Study("sparsity", "rpa.flash.study.sparsity",
          "sparsity-aware conversion: ADC energy -79 / -53 %, efficiency x2.98 / x1.15 at W8A8 / W4A3 (Bao et al. 2022)", _sparsity,
          ("ADC bits", "bits decided [%]", "all before [nJ]", "all after [nJ]", "ADC share before [%]", "drivers after [nJ]", "array after [nJ]",
           "adc after [nJ]", "digital after [nJ]", "buffers after [nJ]")),
    Study("resnet", "rpa.flash.study.resnet",
          "4-bit asymmetric training: the NOR array is 2.25 % below float on CIFAR-10 (Chen and Huang 2021)", _resnet),
    Study("lenet", "rpa.flash.study.lenet", "LeNet on chip: 99.6 % of the software's accuracy (Han et al. 2025)", _lenet,
          ("images", "chips", "float, same images [%]")),
    Study("wires", "rpa.flash.study.wires", "correction of weights leaves at least 3 times less than the mean-factor form (CoMN)", _wires),
)}
