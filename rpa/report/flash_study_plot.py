"""One picture of each study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

Row = dict[str, Any]
COLOUR, PALE, PUBLISHED = "#3b6ea5", "#b9cde0", "#c2542d"


def picture(name: str, claim: str, rows: Sequence[Row]) -> bytes:
    """A PNG of the rows of a study (`rpa.flash.study.catalogue`)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasAgg(figure)
    _DRAW[name](figure, rows)
    figure.suptitle(claim, fontsize=11)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _values(rows: Sequence[Row], key: str) -> list[Any]:
    return [row[key] for row in rows]


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _sweep(figure, rows: Sequence[Row]) -> None:
    """Accuracy as a map, and along the activations for each width of weights with error bars."""
    weights, acts = (sorted({row[key] for row in rows}) for key in "WA")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    table = [[next((row["accuracy [%]"] for row in rows if (row["W"], row["A"]) == (w, a)), float("nan")) for a in acts] for w in weights]
    image = left.imshow(table, origin="lower", cmap="viridis", vmin=max(90, min(map(min, table))), vmax=100, aspect="auto")
    for y, line in enumerate(table):
        for x, value in enumerate(line):
            left.text(x, y, f"{value:.1f}", ha="center", va="center", fontsize=7, color="white" if value < 97 else "black")
    left.set(xticks=range(len(acts)), xticklabels=acts, yticks=range(len(weights)), yticklabels=weights, xlabel="bits of activations",
             ylabel="bits of weights", title="accuracy on chips [%]")
    figure.colorbar(image, ax=left, shrink=0.8)
    for w in weights:
        mine = [row for row in rows if row["W"] == w]
        right.errorbar(_values(mine, "A"), _values(mine, "accuracy [%]"), _values(mine, "spread [%]"), capsize=3, label=f"W{w}")
    published = [row for row in rows if row["published [%]"] is not None]
    right.plot(_values(published, "A"), _values(published, "published [%]"), "*", color=PUBLISHED, markersize=12, label="published W4A3")
    right.set(xlabel="bits of activations", ylabel="accuracy on chips [%]", title="standard deviation over chips",
              ylim=(max(90, right.get_ylim()[0]), 100))
    right.legend(fontsize=8)
    _plain(right)


def _sparsity(figure, rows: Sequence[Row]) -> None:
    cases = list(dict.fromkeys((row["network"], row["cell bits"]) for row in rows))
    figure.set_size_inches(11, 4 * -(-len(cases) // 2))
    for axes, (network, bits) in zip(figure.subplots(-(-len(cases) // 2), 2, squeeze=False).ravel(), cases, strict=False):
        mine = [row for row in rows if (row["network"], row["cell bits"]) == (network, bits)]
        places, before = range(len(mine)), _values(mine, "ADC before [nJ]")
        axes.bar([at - 0.27 for at in places], before, 0.27, color=PALE, label="all bits, always")
        for offset, key, colour, label in ((0.0, "ADC saved [%]", COLOUR, "aware of driven rows"),
                                           (0.27, "saved, cells known [%]", "black", "and of each bit line's cells")):
            bars = axes.bar([at + offset for at in places], [full * (1 - row[key] / 100) for full, row in zip(before, mine, strict=True)], 0.27,
                            color=colour, label=label)
            axes.bar_label(bars, [f"-{row[key]:.0f}" for row in mine], fontsize=7)
        title = f"{network}, {bits}-bit cells: efficiency x{mine[-1]['efficiency [x]']:.2f}"
        if mine[-1]["published saved [%]"] is not None:
            title += f"\npublished: -{mine[-1]['published saved [%]']:g} %, x{mine[-1]['published efficiency [x]']:g}"
        axes.set(xticks=places, xticklabels=_values(mine, "layer"), ylabel="ADC energy per image [nJ]; saved [%]")
        axes.set_title(title, fontsize=10)
        axes.legend(fontsize=8)
        _plain(axes)


def _bars(figure, rows: Sequence[Row], label: Callable[[Row], str], lines: Sequence[tuple[float, str, str]]) -> None:
    axes = figure.subplots()
    values = [row["accuracy [%]"] for row in rows]
    bars = axes.barh([label(row) for row in rows], values, xerr=[row["spread [%]"] or 0 for row in rows], color=COLOUR, capsize=3)
    axes.bar_label(bars, [f"{value:.2f} %" for value in values], fontsize=8, padding=8)
    low, high = min(values), max([*values, *(value for value, _, _ in lines)])
    room = max(0.5, 0.2 * (high - low))
    axes.set(xlim=(max(0, low - room), high + room), xlabel="accuracy [%]; standard deviation over chips")
    axes.set_xticks([tick for tick in axes.get_xticks() if low - room <= tick <= 100])
    for value, colour, text in lines:
        axes.axvline(value, color=colour, linestyle="--", label=text)
    axes.invert_yaxis()
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    _plain(axes)


def _lenet(figure, rows: Sequence[Row]) -> None:
    software = rows[0]["float, same images [%]"]
    _bars(figure, rows, lambda row: row["mitigation"],
          ((software, "grey", "float"), (software * rows[0]["published [%]"] / 100, PUBLISHED, "99.6 % of it, published")))


def _resnet(figure, rows: Sequence[Row]) -> None:
    software = rows[0]["float, same images [%]"]
    bound = next(row["published [%]"] for row in rows if row["published [%]"] is not None)
    _bars(figure, rows, lambda row: f"{row['network']}\n{row['computed by']}",
          ((software, "grey", "float"), (software - bound, PUBLISHED, f"{bound:g} % below, published")))


def _wires(figure, rows: Sequence[Row]) -> None:
    ohms = sorted({row["wire [ohm/cell]"] for row in rows})
    styles = (("no correction [%]", "grey"), ("mean factor [%]", PUBLISHED), ("own line [%]", COLOUR), ("exact [%]", "black"))
    for axes, ohm in zip(figure.subplots(1, len(ohms), sharey=True, squeeze=False)[0], ohms, strict=True):
        mine = [row for row in rows if row["wire [ohm/cell]"] == ohm]
        for key, colour in styles:
            axes.loglog([row["rows"] for row in mine], [row[key] for row in mine], "o-", color=colour, label=key.removesuffix(" [%]"), base=2)
        axes.set(title=f"{ohm:g} ohm a cell", xlabel="rows", yscale="log")
        axes.set_xticks([row["rows"] for row in mine], [str(row["rows"]) for row in mine])
        _plain(axes)
    figure.axes[0].set_ylabel("error of bit-line currents, rms [%]")
    figure.axes[0].legend(fontsize=8)


_DRAW: dict[str, Callable[[Any, Sequence[Row]], None]] = {"sweep": _sweep, "sparsity": _sparsity, "lenet": _lenet, "resnet": _resnet, "wires": _wires}
