"""The page of an explanation: what the network looks like, and for each claim figure, number, control and verdict."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from neurodyn.mechanism.explain import Explanation
from neurodyn.mechanism.finding import Finding
from neurodyn.plotting import mechanism as plots
from neurodyn.plotting import orbits
from neurodyn.report.page import fill_template
from neurodyn.report.pictures import Picture, new_figure
from neurodyn.report.portrait import portrait_pictures

FIGURES = {
    "collapse": (orbits.plot_collapse,),
    "rotation": (plots.plot_rotation,),
    "phase": (orbits.plot_phase,),
    "residency": (plots.plot_residency,),
    "sensitivity": (plots.plot_sensitivity,),
    "kick_neurons": (plots.plot_kick_neurons, plots.plot_ablation),
    "intervention": (plots.plot_interventions,),
    "resonance": (plots.plot_resonance, plots.plot_epochs, plots.plot_eigenvalues),
    "subspaces": (orbits.plot_subspaces,),
}
"""By the claim; one that is not here is drawn as its number beside the control."""

_MARKS = {True: "holds", False: "fails", None: "open"}


class Drawn(NamedTuple):
    """The figures of an explanation: of the network, and of the claims (None where there is nothing to draw)."""

    network: list[Picture]
    claims: list[Picture | None]

    @property
    def pictures(self) -> list[Picture]:
        """All of them, in the order of the page."""
        return [*self.network, *(picture for picture in self.claims if picture is not None)]


def draw_explanation(explanation: Explanation) -> Drawn:
    """Draw every figure of an explanation, once for its page and for what is saved beside it."""
    return Drawn(portrait_pictures(explanation.portrait), [picture_of(finding) for finding in explanation.findings])


def render_explanation(
    explanation: Explanation,
    *,
    title: str,
    facts: Mapping[str, str],
    versions: Mapping[str, str],
    drawn: Drawn | None = None,
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
    drawn
        Its figures; drawn if None.
    """
    drawn = drawn or draw_explanation(explanation)
    claims = [_claim(*both) for both in zip(explanation.findings, drawn.claims, strict=True)]
    values = {
        "title": title,
        "sentence": explanation.sentence,
        "claims": claims,
        "facts": facts,
        "versions": versions,
    }
    return fill_template("mechanism.html.j2", values, drawn.network)


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


def _claim(finding: Finding, picture: Picture | None) -> dict[str, Any]:
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
        "picture": picture,
    }
