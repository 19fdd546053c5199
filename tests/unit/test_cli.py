"""The command line: arguments reach the library, and refusals are one framed message."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lesson_text import lesson, write
from typer.testing import CliRunner

import nfdlab
from nfdlab import cli, pairs, report, store, tables, terminal
from nfdlab.core.types import Budget, Step
from nfdlab.jupyter import kernel, lab, lessons


@pytest.fixture
def nfd(monkeypatch):
    """Runs `nfdlab ...`, in a wide terminal without colours."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    return lambda *words: CliRunner().invoke(cli.app, [str(w) for w in words])


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with two lessons and places for tables, as home; of the tables those that are made at once."""
    quick = ("approaches", "lessons", "cards", "problems")                # all of them are made in tests/house
    monkeypatch.setattr(tables, "TABLES", {name: tables.TABLES[name] for name in quick})
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks", "00_start_here", "1")
    write(tmp_path / "notebooks", "05_deep", "2")
    for name, (file, _) in tables.TABLES.items():
        with open(tmp_path / file, "a", encoding="utf-8") as text:
            text.write(f"<!-- {name}: begin -->\n<!-- {name}: end -->\n")
    monkeypatch.setattr(lessons, "home", lambda: tmp_path)
    monkeypatch.setattr("nfdlab.terminal.home", lambda: tmp_path)
    return tmp_path


REFUSED = [("score", "nothing", "gp1d"), ("score", "sparse_conditional", "gp9d"),
           ("score", "sparse_conditional", "step1d"), ("score", "lost.safetensors", "gp1d"),
           ("score", "sparse_conditional", "gp1d", "--counts", "1,x"),
           ("score", "sparse_conditional", "gp1d", "--pattern", "randon"),
           ("score", "sparse_conditional", "gp1d", "--device", "tpu"),
           ("render", "nothing", "gp1d"), ("render", "sparse_conditional", "step1d"),
           ("render", "sparse_conditional", "gp1d", "-o", "draw.png"),
           ("render", "sparse_conditional", "gp1d", "--device", "tpu"),
           ("train", "sparse_conditional", "gp1d", "--budget", "huge"),
           ("train", "sparse_conditional", "gp1d", "--device", "cuda:x"),
           ("train", "sparse_conditional", "gp1d", "-o", "w.bin"), ("train", "nothing", "gp1d"),
           ("bench", "--problems", "gp9d"), ("bench", "--contestants", "nearst"), ("bench", "--scores", "crsp"),
           ("bench", "--shares", "0.1,x"), ("bench", "--shares", "2"), ("bench", "--counts", "3", "--shares", "0.1"),
           ("bench", "--patterns", ""), ("run", "77"), ("run", "00", "-p", "sead", "3"),
           ("run", "00", "-p", "seed", "x")]
HEAVY = {"torch", "numpy", "scipy", "pandas", "matplotlib", "plotly", "joblib", "IPython", "ipykernel", "jupyterlab",
         "jupyter_client", "jupytext", "nbformat", "papermill", "nbconvert"}


def python(code: str) -> tuple[str, float]:
    """What a fresh Python prints, and the seconds of CPU that it takes."""
    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    before = used()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, used() - before


def test_help_list_and_refusals_load_nothing_heavy():
    """A name or an option is checked against what files and cards say, before the library that they lead to."""
    code = f"""
import sys
from typer.testing import CliRunner
from nfdlab import cli
said = [CliRunner().invoke(cli.app, words) for words in (["--help"], ["list"])]
assert all(s.exit_code == 0 for s in said), said
print(said[0].output, said[1].output)
for words in {REFUSED}:
    refused = CliRunner().invoke(cli.app, words)
    assert refused.exit_code == 2 and "do:" in refused.stderr, (words, refused)
    assert not {HEAVY} & set(sys.modules), words
"""
    out, _ = python(code)
    for name in ("lab", "list", "run", "train", "score", "render", "bench", "sync", "doctor",
                 *nfdlab.approaches.names()):
        assert f" {name} " in out or f"\n{name} " in out, name


@pytest.fixture(scope="module")
def torch_seconds():
    """Seconds of CPU to import torch here: what a command must not cost before it has something to compute."""
    return python("import torch")[1]


@pytest.mark.parametrize("words", [("list",), ("score", "nothing", "gp1d"), ("run", "05", "-p", "sead", "3"),
                                   ("train", "sparse_conditional", "gp1d", "--bogus")])
def test_an_answer_costs_less_than_half_of_importing_torch(words, torch_seconds):
    """Relative, as machines differ: on two busy cores torch took 2.3 s of CPU and an answer 0.5 s."""
    code = f"from typer.testing import CliRunner as Run; from nfdlab import cli; Run().invoke(cli.app, {words})"
    assert python(code)[1] < torch_seconds / 2


def test_what_is_known_before_torch_is_what_the_library_knows():
    from nfdlab.evaluate.bench import SCORES

    assert set(terminal.SCORES) == set(SCORES) and list(terminal.PATTERNS) == list(nfdlab.patterns.ALL)
    for name in terminal.BUDGETS:
        Budget.named(name)
    for name in nfdlab.approaches.names():
        assert nfdlab.approaches.card(name) == nfdlab.approaches.get(name).card
    for name in nfdlab.problems.names():
        card = nfdlab.problems.card(name)
        if name != "arrays":
            problem = nfdlab.problems.get(name)
            assert (card.name, card.title, card.axes, card.exact) == (
                problem.card.name, problem.card.title, problem.card.axes, problem.card.exact)
            assert len(card.axes) == problem.d
    assert nfdlab.problems.card("arrays") is None


@pytest.mark.parametrize("words", REFUSED)
def test_refusals_are_one_frame_and_exit_code_2(nfd, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = nfd(*words)
    assert result.exit_code == 2 and "Traceback" not in result.stderr
    assert result.stderr.count("╭") == 1 and all(f" {part}:" in result.stderr for part in ("came", "why", "do"))
    assert not list(tmp_path.iterdir())


def test_traceback_on_request_and_for_accidents(nfd, monkeypatch):
    monkeypatch.setenv("NFDLAB_TRACEBACK", "1")
    assert isinstance(nfd("score", "nothing", "gp1d").exception, KeyError)
    monkeypatch.delenv("NFDLAB_TRACEBACK")
    monkeypatch.setattr(store, "shipped", lambda: 1 / 0)
    assert isinstance(nfd("list").exception, ZeroDivisionError)


def test_lab_starts_this_python_on_the_first_lesson_with_its_token_on(repository, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    words, environment = lab.command(repository, edit=True, browser=False, port=9999, extra=["--debug"])
    assert words[:3] == [sys.executable, "-m", "jupyterlab"] and words[-1] == "--debug" and "--no-browser" in words
    assert f"--ServerApp.root_dir={repository}" in words and "--ServerApp.port=9999" in words
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" not in words       # not there yet
    pairs.sync(repository / "notebooks")
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in lab.command(repository, edit=True)[0]
    lab.copy_lessons(repository)
    assert "--LabApp.default_url=/lab/tree/my_lessons/00_start_here.ipynb" in lab.command(repository)[0]
    assert "--ServerApp.ip=localhost" in words and not any("token" in w.lower() or "password" in w for w in words)
    for extra in (["--ip", "0.0.0.0"], ["--ServerApp.ip=0.0.0.0"], ["--port=7"], ["--ServerApp.port", "7"]):
        words, _ = lab.command(repository, port=9999, extra=extra)
        assert words[-len(extra):] == extra and len([w for w in words if "ip" in w.split("=")[0].lower()[-3:]]) == 1
        assert len([w for w in words if w.split("=")[0].lower().endswith("port")]) == 1, "ours gave way"
    for extra in (["--ip=0.0.0.0", "--ServerApp.token="], ["--ip", "0.0.0.0", "--IdentityProvider.token=''"]):
        with pytest.raises(ValueError, match="A token"):
            lab.command(repository, extra=extra)
    assert lab.command(repository, extra=["--IdentityProvider.token="]), "on this machine alone it may be left out"
    first, second = environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert second == "mine" and Path(first, "labconfig", "default_setting_overrides.json").is_file()


def test_what_a_learner_saved_is_never_written_over(repository):
    """A copy follows the lesson until it is saved; then a lesson that changes is put beside it, once a change."""
    source, mine = repository / "notebooks", repository / "my_lessons"
    pairs.sync(source)
    assert len(lab.copy_lessons(repository)) == 1
    (source / "pictures").mkdir()
    (source / "pictures" / "a.png").write_bytes(b"a")
    (mine / "05_deep.ipynb").write_text("mine", encoding="utf-8")
    assert len(lab.copy_lessons(repository)) == 1 and (mine / "05_deep.ipynb").read_text(encoding="utf-8") == "mine"
    assert (mine / "pictures" / "a.png").read_bytes() == b"a" and len(list(mine.glob("*.ipynb"))) == 2
    for name in ("00_start_here", "05_deep"):
        (source / f"{name}.ipynb").write_text("newer", encoding="utf-8")
    for again in range(2):
        lines = lab.copy_lessons(repository)[1:]
        assert [line for line in lines if "05_deep.new.ipynb" in line] == ([] if again else lines) and len(lines) < 2
    shown = {path.name: path.read_text(encoding="utf-8") for path in mine.glob("*.ipynb")}
    assert shown == {"00_start_here.ipynb": "newer", "05_deep.ipynb": "mine", "05_deep.new.ipynb": "newer"}
    (mine / "05_deep.new.ipynb").write_text("mine too", encoding="utf-8")
    (source / "05_deep.ipynb").write_text("newest", encoding="utf-8")
    assert "05_deep.new1.ipynb" in lab.copy_lessons(repository)[1]
    assert (mine / "05_deep.new.ipynb").read_text(encoding="utf-8") == "mine too"
    (mine / "05_deep.ipynb").unlink()
    lab.copy_lessons(repository)
    assert (mine / "05_deep.ipynb").read_text(encoding="utf-8") == "newest"


def test_lab_hands_further_options_on(nfd, repository, monkeypatch):
    seen = []
    monkeypatch.setattr(lab, "start", lambda words, environment: seen.append(words) or 7)
    assert nfd("lab", "--no-browser", "--port", "8765", "--ServerApp.log_level=ERROR").exit_code == 7
    assert seen[0][-1] == "--ServerApp.log_level=ERROR" and "--ServerApp.port=8765" in seen[0]


def test_the_kernel_named_python3_is_this_python_whatever_others_installed(tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["/elsewhere/python"], "display_name": "theirs", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert kernel.python3_by_name() == "/elsewhere/python"                      # what we guard against
    manager = kernel.ThisEnvironment()
    assert manager.get_kernel_spec("python3").argv[0] == sys.executable
    assert manager.get_all_specs()["python3"]["spec"]["argv"][0] == sys.executable
    from nfdlab.doctor import kernel as examined

    ours, theirs = examined()
    assert ours.right and sys.executable in ours.found and "nfdlab lab" in theirs.note


def test_run_reads_names_and_values(nfd, repository, monkeypatch):
    seen = []

    def fake(notebook, given, out, *, progress, timeout):
        progress(3, 3)
        seen.append((notebook, given, out, timeout))
        made = repository / "made.html"
        made.write_text("x")
        return report.Report(made, made, 1.0)

    monkeypatch.setattr(report, "run", fake)
    result = nfd("run", "05", "-p", "seed", "-3", "-p", "keep", "0.1", "-p", "budget=smoke", "-o", repository / "o")
    assert result.exit_code == 0 and "made.html" in result.output
    assert seen == [("05", {"seed": "-3", "keep": "0.1", "budget": "smoke"}, repository / "o", 1800)]


def test_run_refuses_unknown_parameters_and_lessons(nfd, repository, monkeypatch):
    monkeypatch.setattr(report, "home", lambda: repository)
    monkeypatch.setattr(report, "execute", lambda *a, **k: pytest.fail("it ran"))
    result = nfd("run", "05", "-p", "sead", "3", "-o", repository / "o")
    assert result.exit_code == 2 and "Did you mean 'seed'" in result.stderr
    assert nfd("run", "06", "-o", repository / "o").exit_code == 2 and not (repository / "o").exists()


def test_train_passes_what_was_typed_and_saves(nfd, tmp_path, monkeypatch):
    seen, resumed, scored = {}, [], []
    monkeypatch.setattr(cli, "beside_rivals", lambda label, fitted, problem, **setting: scored.append(
        (fitted, setting["tasks"])))

    def fake(approach, problem, *, budget, seed, device, watch):
        seen.update(approach=approach, problem=problem, budget=budget, seed=seed, device=device)
        resumed.append(budget.checkpoint.exists())
        watch(Step(1, "stage", 0.5, 1.0, 0.5))
        return "fitted"

    monkeypatch.setattr(nfdlab, "train", fake, raising=False)
    monkeypatch.setattr(nfdlab, "save", lambda fitted, path, **how: Path(path).write_text(fitted), raising=False)
    out = tmp_path / "w.safetensors"
    out.with_suffix(".checkpoint").write_text("old")
    words = ("train", "sparse_conditional", "gp1d", "--seed", 4, "--device", "cpu", "-o", out)
    assert nfd(*words).exit_code == 0 and out.read_text() == "fitted" and scored == [("fitted", 10)]
    assert nfd(*words, "--budget", "smoke").exit_code == 0 and len(scored) == 1
    seen.clear(), resumed.clear(), out.with_suffix(".checkpoint").write_text("old")
    assert nfd(*words).exit_code == 0
    assert seen == {"approach": "sparse_conditional", "problem": "gp1d", "seed": 4, "device": "cpu",
                    "budget": Budget.named("lesson", out.with_suffix(".checkpoint"))}
    assert not out.with_suffix(".checkpoint").exists(), "removed once the weights are there"
    out.with_suffix(".checkpoint").write_text("old")
    assert nfd(*words, "--seconds", 9, "--no-resume").exit_code == 0
    assert seen["budget"].seconds == 9 and resumed == [True, False]


def test_a_save_that_fails_costs_no_training(nfd, tmp_path, monkeypatch):
    """The checkpoint outlives it, and the same command goes on from there."""
    out = tmp_path / "w.safetensors"

    def full(fitted, path, **how):
        raise OSError("no space left on device")

    monkeypatch.setattr(nfdlab, "train", lambda *names, budget, **rest: budget.checkpoint.write_text("whole"),
                        raising=False)
    monkeypatch.setattr(nfdlab, "save", full, raising=False)
    assert nfd("train", "sparse_conditional", "gp1d", "-o", out).exit_code != 0
    assert out.with_suffix(".checkpoint").read_text() == "whole" and not out.exists()


def test_ctrl_c_stops_training_between_steps_and_says_how_to_go_on(nfd, tmp_path, monkeypatch):
    out, steps = tmp_path / "w.safetensors", []

    def fake(*names, budget, watch, **rest):
        for i in range(1, 4):
            if i == 1:
                os.kill(os.getpid(), signal.SIGINT)
            steps.append(i)                                    # the step under way is finished
            budget.checkpoint.write_text("saved")
            watch(Step(i, "stage", 0.5, 1.0, 0.1 * i))

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(nfdlab, "train", fake, raising=False)
    result = nfd("train", "sparse_conditional", "gp1d", "-o", out)
    assert result.exit_code == 130 and "goes on from there" in result.output and steps == [1]
    assert not out.exists() and out.with_suffix(".checkpoint").exists() and signal.getsignal(signal.SIGINT) is before


def test_score_evaluates_all_contestants_on_the_same_tasks(nfd, tmp_path, monkeypatch):
    oracle = nfdlab.problems.get("gp1d").oracle()
    monkeypatch.setattr(nfdlab, "load", lambda *names, device: oracle, raising=False)
    csv, mine = tmp_path / "t.csv", tmp_path / "mine.safetensors"
    mine.touch()
    result = nfd("score", mine, "gp1d", "--counts", "0,3", "--tasks", 2, "--draws", 8, "--out", csv)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "ratio to exact, 2 tasks" in lines[0]
    rows = [line.split()[0] for line in lines if line[:1].isalpha()]
    end = rows.index("Lower")                            # after the table; on a narrow screen a sentence has two lines
    assert rows[1:end] == ["mine", *nfdlab.baselines.names(), "exact"] and rows[end + 1] == "Skill"
    assert len(csv.read_text().splitlines()) == 1 + 2 * 2 * (end - 1)
    alone = nfd("score", mine, "gp1d", "--counts", "3", "--tasks", 2, "--draws", 8, "--no-baselines")
    assert "kriging" not in alone.output and "Skill" not in alone.output and "mine" in alone.output


def test_render_writes_one_draw_and_goes_on_after_a_stop(nfd, tmp_path, monkeypatch):
    """The exact posterior for a model: its draw, given what was asked for, in the precision asked for."""
    problem, drawn, out = nfdlab.problems.get("gp2d"), [], tmp_path / "draw.npy"

    class Model:
        def draw(self, seen, n, *, seed):
            drawn.append((seen and seen.m, n, seed))
            return problem.oracle().draw(seen, n, seed=seed)

    monkeypatch.setattr(store, "load", lambda *names, device: Model())
    words = ("render", "score_field", "digits2d", "--side", 40, "-o", out, "--seed", 3, "--device", "cpu")
    assert nfd(*words).exit_code == 0 and np.load(out).shape == (1, 40, 40, 1) and np.load(out).dtype == np.float32
    whole, (_, _, seed) = out.read_bytes(), drawn[0]
    np.testing.assert_allclose(np.load(out), nfdlab.render(problem.oracle().draw(None, 1, seed=seed), (40, 40)),
                               atol=1e-5)
    result = nfd(*words)
    assert result.exit_code == 0 and "draw.npy" in result.output and out.read_bytes() == whole
    assert nfd(*words, "--count", 7, "--half").exit_code == 2 and out.read_bytes() == whole
    out.unlink()
    assert nfd(*words, "--count", 7, "--half").exit_code == 0 and np.load(out).dtype == np.float16
    assert drawn == [(0, 1, seed), (0, 1, seed), (7, 1, seed), (7, 1, seed)]

    def stopped(fields, shape, path, **how):
        Path(path).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("nfdlab.fields.rendering.render_to_file", stopped)
    result = nfd(*words)
    assert result.exit_code == 130 and "goes on from there" in result.output


def test_sync_and_its_check(nfd, repository):
    assert nfd("sync", "--check").exit_code == 1
    result = nfd("sync")
    assert result.exit_code == 0 and "wrote 05_deep.ipynb" in result.output and "wrote README.md" in result.output
    assert nfd("sync", "--check").exit_code == 0
    approaches = repository / "APPROACHES.md"
    approaches.write_text(approaches.read_text(encoding="utf-8").replace("| 5 |", "| 6 |"), encoding="utf-8")
    result = nfd("sync", "--check")
    assert result.exit_code == 1 and "APPROACHES.md: tables" in result.output and "ipynb" not in result.output
    assert "wrote APPROACHES.md" in nfd("sync").output and nfd("sync", "--check").exit_code == 0
    (repository / "notebooks" / "05_deep.py").write_text(lesson("x = 3"), encoding="utf-8")
    result = nfd("sync", "--check")
    assert result.exit_code == 1 and "05_deep.ipynb: cells differ" in result.output and "nfdlab sync" in result.output
    assert nfd("sync", "--from", "nowhere").exit_code == 2
    approaches.write_text("no place for a table", encoding="utf-8")
    refused = nfd("sync")
    assert refused.exit_code == 2 and "a place for the table 'cards'" in refused.stderr


def test_list_names_everything_there_is(nfd, repository, monkeypatch):
    monkeypatch.setattr(store, "shipped", lambda: {("sparse_conditional", "gp1d"): Path(__file__)})
    out = nfd("list").output
    for name in (*nfdlab.approaches.names(), *nfdlab.problems.names(), *nfdlab.baselines.names(), "05_deep",
                 "A small lesson", Path(__file__).name):
        assert name in out, name


def test_doctor_finds_what_is_wrong(nfd, repository, tmp_path, monkeypatch):
    torn = tmp_path / "sparse_conditional--gp1d.safetensors"
    torn.write_bytes(b"torn")
    monkeypatch.setattr("nfdlab.doctor.home", lambda: repository)
    monkeypatch.setattr(store, "shipped", lambda: {("sparse_conditional", "gp1d"): torn})
    sick = nfd("doctor")
    assert sick.exit_code == 1 and "2 of" in sick.output and "nfdlab sync" in sick.output and "torn" in sick.output
    pairs.sync(repository / "notebooks")
    about = {"approach": "sparse_conditional", "problem": "gp1d"}
    monkeypatch.setattr(store, "about", lambda path: about)
    well = nfd("doctor")
    assert well.exit_code == 0 and "All is well" in well.output
    assert f"{sys.executable}\n" in well.output, "a path that can be copied, in one line"
    about["problem"] = "gp2d"
    assert nfd("doctor").exit_code == 1


def test_threads_are_set_before_anything_is_computed(nfd, tmp_path, monkeypatch):
    import torch

    (tmp_path / "a.safetensors").touch()

    order = []
    monkeypatch.setattr(torch, "set_num_threads", lambda n: order.append(n))
    monkeypatch.setattr(nfdlab, "load", lambda *names, device: order.append("load"), raising=False)
    nfd("score", tmp_path / "a.safetensors", "gp1d", "--threads", 1)
    assert order == [1, "load"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_is_told_to_end_leaves_no_folder_and_no_kernel(number, tmp_path):
    """A lesson that sleeps; the request comes while its kernel is at work. Killed, it leaves them for a second or two.
    """
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pid = f"pathlib.Path({str(tmp_path / 'kernel')!r}).write_text(str(os.getpid()))"
    path = write(tmp_path, "99_sleep", "# %%\nimport os, time, pathlib\n" + pid + "\ntime.sleep(600)")
    done = subprocess.Popen([sys.executable, "-c", "from nfdlab.cli import main; main()", "run", str(path), "-o",
                             str(tmp_path / "out")], env={**os.environ, "TMPDIR": str(scratch)},
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while not (tmp_path / "kernel").exists() and time.monotonic() - began < 90 and done.poll() is None:
        time.sleep(0.2)
    kernel = int((tmp_path / "kernel").read_text())
    assert list(scratch.iterdir())
    done.send_signal(number)
    killed = number == signal.SIGKILL
    assert done.wait(30) == (-number if killed else 128 + number)
    for _ in range(100 if killed else 0):
        if not list(scratch.iterdir()):
            break
        time.sleep(0.1)
    assert not list(scratch.iterdir())
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.kill(kernel, 0)
            time.sleep(0.1)


def test_run_takes_one_lesson_or_all_of_them(nfd, repository, monkeypatch, tmp_path):
    for words in ((), ("00", "--all")):
        assert nfd("run", *words).exit_code == 2
    asked = []
    monkeypatch.setattr("nfdlab.course.run_all", lambda *given, **more: asked.append((given, more)) or tmp_path / "a")
    assert nfd("run", "--all", "-p", "seed", "3", "--jobs", "2", "-o", tmp_path / "out").exit_code == 0
    (given, more), = asked
    assert given == ({"seed": "3"}, tmp_path / "out") and more["jobs"] == 2
