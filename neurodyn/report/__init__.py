"""From a cross-validation to numbers, tables and one page that opens anywhere: see README.md."""

from neurodyn.report.figures import study_pictures
from neurodyn.report.page import render_page
from neurodyn.report.pictures import Picture, save_drawings
from neurodyn.report.summary import WITHOUT_TARGET, comparisons, differences, finding, on_one, summary_of
from neurodyn.report.tables import ScoreRow, score_rows

__all__ = [
    "WITHOUT_TARGET",
    "Picture",
    "ScoreRow",
    "comparisons",
    "differences",
    "finding",
    "on_one",
    "render_page",
    "save_drawings",
    "score_rows",
    "study_pictures",
    "summary_of",
]
