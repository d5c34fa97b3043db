"""A configuration becomes tasks; what is wrong with it is told before any work."""

import shutil

import pytest
from sweep.conftest import CONFIG

from neurodyn.errors import InputError
from neurodyn.sweep import read_plan
from neurodyn.sweep.plan import digest_of


def test_every_combination_is_a_task(sessions):
    plan = read_plan(sessions / "config.yaml")
    tasks = plan.tasks()
    assert len(tasks) == 2 * 2 * 2 * 2 * 3
    assert len({task.key for task in tasks}) == 2 * 2 * (2 + 1) * 3  # all seeds of ridge are one task
    assert [session.name for session in plan.sessions] == ["rat0", "rat1"]
    assert {task.options.width for task in tasks if task.setting == "wide"} == {0.1}
    assert len({plan.place(task) for task in tasks}) == len(tasks)
    assert tasks[0].name == "rat0, narrow, gru, seed 0, fold 1"


def test_a_task_is_known_by_what_its_result_depends_on(sessions, tmp_path):
    keys = [task.key for task in read_plan(sessions / "config.yaml").tasks()]
    for file in sessions.iterdir():
        shutil.copy(file, tmp_path / file.name.replace("rat", "mouse"))
    (tmp_path / "config.yaml").write_text(CONFIG.replace("rat*", "mouse*").replace("narrow", "other name"))
    assert [task.key for task in read_plan(tmp_path / "config.yaml").tasks()] == keys
    (tmp_path / "config.yaml").write_text(CONFIG.replace("rat*", "mouse*").replace("gap: 1s", "gap: 2s"))
    assert not {task.key for task in read_plan(tmp_path / "config.yaml").tasks()} & set(keys)
    (tmp_path / "config.yaml").write_text(CONFIG.replace("rat*", "mouse*"))
    with open(tmp_path / "mouse0.h5", "ab") as file:
        file.write(b"\0")
    changed = [task.key for task in read_plan(tmp_path / "config.yaml").tasks()]
    assert [one == two for one, two in zip(changed, keys, strict=True)] == [False] * 24 + [True] * 24


def test_a_folder_is_known_by_its_files_and_their_names(tmp_path):
    def digest(**files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        return digest_of(folder)

    assert digest(a="12", b="3") == digest(b="3", a="12")
    assert len({digest(a="12", b="3"), digest(a="1", b="23"), digest(b="12", a="3"), digest(a="12", c="3")}) == 4


def test_a_configuration_may_lie_in_a_folder_of_any_name(sessions, tmp_path):
    folder = tmp_path / "e[1]*"
    shutil.copytree(sessions, folder)
    assert [session.name for session in read_plan(folder / "config.yaml").sessions] == ["rat0", "rat1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sesions: [rat*.h5]", "did you mean 'sessions'"),
        (CONFIG.replace("[rat*.h5]", "[cat*.h5]"), r"no file is called 'cat\*.h5'"),
        (CONFIG.replace("sessions: [rat*.h5]", ""), "there is nothing to decode"),
        (CONFIG.replace("ridge", "rigde"), "did you mean 'ridge'"),
        (CONFIG.replace("gru", "ridge"), "name one twice"),
        (CONFIG.replace("target: [position], ", ""), "no target to decode"),
        (CONFIG.replace("50ms", "-1"), "'width' in"),
        (CONFIG.replace("width: 50ms", "widht: 50ms"), "did you mean 'width'"),
        (CONFIG.replace("{width: 50ms}", "{folds: 4}"), "as many folds"),
        (CONFIG.replace("{width: 50ms}", "{target: [speed]}"), "the same target"),
        (CONFIG.replace("{width: 50ms}", "{seed: 4}"), "no option of a sweep"),
        (CONFIG.replace("{width: 50ms}", "5"), "'option: value' lines"),
        (CONFIG.replace("[0, 1]", "[0, 0]"), "different whole numbers"),
        (CONFIG.replace("[0, 1]", "[-1]"), "'seeds' in .* from 0 to"),
        (CONFIG.replace("[0, 1]", "[99999999999999]"), "'seeds' in .* from 0 to"),
        (CONFIG.replace("[gru, ridge]", "3"), "'methods' in .* names separated by commas"),
        (CONFIG.replace("narrow:", "1:").replace("wide:", "'1':"), "two settings .* the same name"),
        (CONFIG + "resources: {gru: {GPU: lots}}", "'resources' in .* are numbers"),
        (CONFIG + "resources: {gru: [1]}", "are by method"),
        (CONFIG + "resources: {wiener: {GPU: 1}}", "unknown method"),
        (CONFIG + "resources: [GPU]", "are by method"),
        ("- a list", "'key: value' lines"),
    ],
)
def test_what_is_wrong_is_told(sessions, text, message):
    path = sessions / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_plan(path)
