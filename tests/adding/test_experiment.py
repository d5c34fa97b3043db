"""An experiment is added as a folder and two lines, those of its page, and then runs like the others."""

import csv
import os
import re
import subprocess
import sys

import yaml
from adding.plug_in import ROOT, blocks, file_of


def test_its_smoke_run_leaves_what_every_experiment_does(tmp_path):
    code, config, readme, line = (text for _, text in blocks("experiment"))
    folder = (tmp_path / file_of("experiment")).parent
    folder.mkdir(parents=True)
    for name, text in (("run.py", code), ("config.yaml", config), ("README.md", readme)):
        (folder / name).write_text(text)
    name = folder.name
    assert set(yaml.safe_load(config)) == {"full", "smoke"}
    assert f"python -m experiments.{name}.run" in readme
    assert re.match(rf"\| \[{name}\]\({name}/README\.md\) \|", line)
    words = [sys.executable, "-m", f"experiments.{name}.run", "--smoke", "--out", str(tmp_path / "out")]
    # Experiments are modules of one name space, so that a folder elsewhere is found beside those that are here.
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["width"]) for row in rows] == yaml.safe_load(config)["smoke"]["widths"]
    assert all(-1 <= float(row["correlation"]) <= 1 for row in rows)
    assert (tmp_path / "out" / "table.md").read_text().count("\n") == 2 + len(rows)
    assert (folder / "README.md").read_text() == readme  # a smoke run leaves the page alone


def test_a_full_run_into_its_own_folder_fills_the_page_in(tmp_path):
    from experiments.command import fill_readme

    readme = blocks("experiment")[2][1]
    page = tmp_path / "bin_width" / "README.md"
    page.parent.mkdir()
    page.write_text(readme)
    fill_readme(page, "| width (s) | correlation |\n")
    assert "<!-- results:bin_width -->\n| width (s) | correlation |\n<!-- /results:bin_width -->" in page.read_text()
