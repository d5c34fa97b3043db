"""The page of an explanation: what the network looks like, and for each claim figure, number, control and verdict."""

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

from neurodyn.errors import import_extra
from neurodyn.mechanism.explain import Explanation
from neurodyn.mechanism.finding import Finding
from neurodyn.plotting import mechanism as plots
from neurodyn.report.figures import DPI
from neurodyn.report.page import fill_template
from neurodyn.report.portrait import portrait_pictures

FIGURES = {
    "collapse": (plots.plot_collapse,),
    "rotation": (plots.plot_rotation,),
    "phase": (plots.plot_phase,),
    "residency": (plots.plot_residency,),
    "sensitivity": (plots.plot_sensitivity,),
    "kick_neurons": (plots.plot_kick_neurons, plots.plot_ablation),
    "intervention": (plots.plot_interventions,),
    "resonance": (plots.plot_resonance, plots.plot_epochs, plots.plot_eigenvalues),
    "subspaces": (plots.plot_subspaces,),
}
"""By the claim; one that is not here is drawn as its number beside the control."""

_MARKS = {True: "holds", False: "fails", None: "open"}


def render_explanation(
    explanation: Explanation, *, title: str, facts: Mapping[str, str], versions: Mapping[str, str]
) -> str:
    """Fill the template; pictures are part of the page, so that it opens without a network.

    Parameters
    ----------
    explanation
        All findings.
    title
        Head of the page.
    facts, versions
        Numbers and packages, by name.
    """
    values = {
        "title": title,
        "sentence": explanation.sentence,
        "claims": [_claim(finding) for finding in explanation.findings],
        "facts": facts,
        "versions": versions,
    }
    return fill_template("mechanism.html.j2", values, portrait_pictures(explanation.portrait))


def draw_finding(finding: Finding) -> bytes:
    """The figure of a finding as PNG; empty where there is nothing to draw."""
    if finding.name in FIGURES and not any(finding.data.sizes.values()):
        return b""
    figures = import_extra("matplotlib.figure", "plot")
    draw = FIGURES.get(finding.name, (_against_control(finding),))
    figure = figures.Figure(figsize=(5.2 * len(draw), 3.8), layout="constrained")
    for plot, ax in zip(draw, figure.subplots(1, len(draw), squeeze=False)[0], strict=True):
        plot(finding.data, ax=ax)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _against_control(finding: Finding) -> Callable[..., Any]:
    """Draw the number of a finding and its control, in the place of a figure of the data."""
    numbers = {each.name: (each.value, each.low, each.high) for each in (finding.estimate, finding.control)}
    return lambda _, ax: plots.plot_intervals(numbers, ax=ax)


def _claim(finding: Finding) -> dict[str, Any]:
    criteria = [(_MARKS[c.holds], c.text, str(c.estimate)) for c in finding.every_criterion]
    return {
        "number": finding.number,
        "claim": finding.claim,
        "verdict": finding.verdict.value,
        "headline": finding.headline,
        "parts": [(part.name, part.verdict.value) for part in finding.parts],
        "estimate": (finding.estimate.name, str(finding.estimate)),
        "control": (finding.control.name, str(finding.control)),
        "rule": finding.rule.split(":")[0] if criteria else finding.rule,
        "criteria": criteria,
        "notes": finding.notes,
        "picture": base64.b64encode(draw_finding(finding)).decode("ascii"),
    }
