"""The block that ends a run, on this machine and on a cluster: steps, trials, figures, the gate's verdict, places."""

from typing import Any

from components.core.artifacts.evaluation import REPORT_FILE, figures_line
from components.core.artifacts.model import MODEL_FILE
from pipeline.console import table

# What a run leaves, as it is named at its end: the step, its output, and the file below that.
PLACES = {
    "report": ("evaluate", "evaluation", REPORT_FILE),
    "tensorboard": ("train", "tensorboard", ""),
    "saved_model": ("export", "exported", "saved_model"),
    "model": ("train", "model", MODEL_FILE),
    "dataset": ("preprocess", "dataset", ""),
    "data_report": ("preprocess", "data_report", ""),
}


def closing_block(summary: dict[str, Any]) -> str:
    """The text that ends a run.

    Args:
        summary: `steps`, each with name, status, cached and seconds; and, as far as they are known, `trial_table`, a
            text; `metrics`, what figures_line takes; `outcome`, a line; `artifacts`, a place by
            name.
    """
    rows = [
        (
            step["name"],
            "cached" if step["cached"] else step["status"],
            f"{step['seconds']:.1f} s" if step["seconds"] and not step["cached"] else "",
        )
        for step in summary["steps"]
    ]
    parts = ["", table(rows, ("step", "result", "time")), ""]
    if summary.get("trial_table"):
        parts += [summary["trial_table"], ""]
    if metrics := summary.get("metrics"):
        parts.append(figures_line(**metrics))
    if summary.get("outcome"):
        parts.append(summary["outcome"])
    parts += [f"{name + ':':<13}{place}" for name, place in summary.get("artifacts", {}).items()]
    return "\n".join(parts)
