"""The page of an explanation: what the network looks like, and for each claim figure, number, control and verdict."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from neurodyn.mechanism.explain import Explanation
from neurodyn.mechanism.finding import Finding
from neurodyn.plotting import mechanism as plots
from neurodyn.report.page import fill_template
from neurodyn.report.pictures import Picture, new_figure
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


def explanation_pictures(explanation: Explanation) -> list[Picture]:
    """The pictures of the network, and those of the claims that have something to draw."""
    drawn = [picture_of(finding) for finding in explanation.findings]
    return [*portrait_pictures(explanation.portrait), *(picture for picture in drawn if picture is not None)]


def picture_of(finding: Finding) -> Picture | None:
    """The figure of a finding; None where there is nothing to draw."""
    if finding.name in FIGURES and not any(finding.data.sizes.values()):
        return None
    draw = FIGURES.get(finding.name, (_against_control(finding),))
    figure = new_figure((5.2 * len(draw), 3.8))
    for plot, ax in zip(draw, figure.subplots(1, len(draw), squeeze=False)[0], strict=True):
        plot(finding.data, ax=ax)
    return Picture(f"claim {finding.number} {finding.name}", finding.claim, figure)


def _against_control(finding: Finding) -> Callable[..., Any]:
    """Draw the number of a finding and its control, in the place of a figure of the data."""
    numbers = {each.name: (each.value, each.low, each.high) for each in (finding.estimate, finding.control)}
    return lambda _, ax: plots.plot_intervals(numbers, ax=ax)


def _claim(finding: Finding) -> dict[str, Any]:
    picture = picture_of(finding)
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
        "picture": "" if picture is None else base64.b64encode(picture.png).decode("ascii"),
    }
