"""The command line, `nfdlab`. Each command reads its arguments, calls the library and prints the result.

Heavy packages are imported inside the commands, so that `nfdlab --help` answers at once.
"""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option
from typer.core import TyperCommand, TyperGroup


class RefusalGroup(TyperGroup):
    """Commands whose errors in four parts are printed alone, in red, with exit code 2; others keep their traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except Exception as error:
            if "\n  why:" not in str(error) or os.environ.get("NFDLAB_TRACEBACK"):
                raise
            from .terminal import show_error

            show_error(error)
            raise typer.Exit(2) from error


class NameValue(TyperCommand):
    """A command whose option -p takes a name and a value, `-p keep 0.1`, as papermill's does."""

    def parse_args(self, ctx, args):
        joined, rest = [], iter(args)
        for word in rest:
            name = next(rest, "") if word in ("-p", "--parameter") else ""
            value = next(rest, "") if name and "=" not in name else None
            joined += [word, name if value is None else f"{name}={value}"] if name else [word]
        return super().parse_args(ctx, joined)


app = typer.Typer(cls=RefusalGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  epilog="NFDLAB_TRACEBACK=1 shows where a refusal came from.",
                  help="Neural fields married to diffusion models, on sparse data, beside the exact posterior.")
Approach = Annotated[str, Argument(help="An approach, as `nfdlab list` names it.")]
Problem = Annotated[str, Argument(help="A problem, as `nfdlab list` names it.")]
Seed = Annotated[int, Option(min=0, help="Same seed, same numbers.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, …")]
Threads = Annotated[int | None, Option(min=1, help="Cores to use; all by default.")]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(ctx: typer.Context, browser: Annotated[bool, Option(help="Open a browser, or only print the address.")] = True,
        port: Annotated[int | None, Option(help="By default the first free one from 8888 on.")] = None,
        edit: Annotated[bool, Option("--edit", help="Open the lessons themselves, to change them.")] = False):
    """Open JupyterLab on your copies of the lessons, in my_lessons. Further options go to JupyterLab as they are."""
    from .jupyter import lab as jupyterlab
    from .jupyter.lessons import home
    from .terminal import console

    if not edit:
        console.print("\n".join(jupyterlab.copy_lessons(home())))
    raise typer.Exit(jupyterlab.start(*jupyterlab.command(home(), edit=edit, browser=browser, port=port,
                                                          extra=ctx.args)))


@app.command("list")
def list_():
    """List approaches, problems, baselines, lessons and weights."""
    from .terminal import show_inventory

    show_inventory()


@app.command(cls=NameValue)
def run(notebook: Annotated[str | None, Argument(help="05_sparse_conditional, its beginning 05, or a path.")] = None,
        parameter: Annotated[list[str] | None, Option(
            "-p", "--parameter", metavar="NAME VALUE", help="Set a parameter of the lesson; repeat at will.")] = None,
        out: Annotated[Path, Option("-o", "--out", file_okay=False, help="Folder for the report.")] = Path("reports"),
        timeout: Annotated[int, Option(help="Seconds that one cell may take.")] = 1800,
        every: Annotated[bool, Option("--all", help="All lessons, and a page that leads to them. The same command "
                                                    "goes on after a stop.")] = False,
        jobs: Annotated[int | None, Option(min=1, help="With --all: lessons at once; one a core by default.")] = None):
    """Run a lesson from top to bottom and write a report that opens anywhere, with no network."""
    from .jupyter import lessons
    from .terminal import bar, console, interruptible, show_parameters

    if (notebook is None) != every:
        raise typer.BadParameter("one lesson, nfdlab run 05, or nfdlab run --all")
    try:
        given = dict(p.split("=", 1) for p in parameter or ())
    except ValueError:
        show_parameters(notebook or "00")
        raise typer.BadParameter("-p takes a name and a value: -p seed 3") from None
    if every:
        return run_every(given, out, jobs, timeout)
    lessons.validate(lessons.lesson_parameters(lessons.find(notebook, lessons.home() / "notebooks")), given)

    from . import report

    with (interruptible(lambda: "Stopped; no report was written."),
          bar(f"running {Path(notebook).stem}", "cells") as progress):
        written = report.run(notebook, given, out, progress=progress, timeout=timeout)
    console.print(f"[bold]{written.html}[/]  {written.html.stat().st_size / 1e6:.1f} MB, {written.seconds:.0f} s",
                  soft_wrap=True)
    console.print(f"{written.notebook}  the same as a notebook, executed", style="dim", soft_wrap=True)


@app.command()
def gallery(out: Annotated[Path, Option("-o", "--out", file_okay=False, help="Folder of the site.")] = Path("site"),
            jobs: Annotated[int | None, Option(min=1, help="Lessons at once; one a core by default.")] = None):
    """All lessons, executed, as a static site for those who only look. The same command goes on after a stop."""
    run_every({}, out, jobs, 1800)


def run_every(given: dict, out: Path, jobs: int | None, timeout: int) -> None:
    """Run all lessons and say where the page is that leads to their reports."""
    from .course import run_all
    from .terminal import bar, console, interruptible

    with (interruptible(lambda: "Stopped; reports that are there are kept."),
          bar("running all lessons", "lessons") as progress):
        page = run_all(given, out, jobs=jobs, timeout=timeout, progress=progress)
    console.print(f"[bold]{page}[/]", soft_wrap=True)


@app.command()
def train(approach: Approach, problem: Problem,
          budget: Annotated[str, Option(help="smoke (seconds), lesson (two minutes), reference (ships).")] = "lesson",
          seconds: Annotated[float | None, Option(
              min=0.1, help="Train this long instead; below 600, smaller networks.")] = None,
          seed: Seed = 0, device: Device = "auto", threads: Threads = None,
          resume: Annotated[bool, Option(help="Go on from a checkpoint of the same name, if there is one.")] = True,
          tasks: Annotated[int | None, Option(
              min=0, help="Measure scores over so many tasks and keep them with the weights (reference: 100).")] = None,
          half: Annotated[bool, Option("--half", help="Save in half precision: half the file.")] = False,
          out: Annotated[Path | None, Option("-o", "--out", help="The weights file, ….safetensors.")] = None):
    """Fit an approach to a problem and save its weights. Ctrl-C keeps a checkpoint to resume from."""
    from . import approaches, problems
    from .core.checks import require, require_name
    from .terminal import BUDGETS, bar, console, interruptible, training

    require_name(approach, approaches.names(), "approach"), require_name(problem, problems.names(), "problem")
    require_name(budget, BUDGETS, "budget"), check_device(device)
    out = out or Path(f"{approach}--{problem}.safetensors")
    require(out.suffix == ".safetensors", must="-o: a file name ending in .safetensors.", came=str(out),
            why="The weights are written there when training ends.", do=f"-o {out.with_suffix('.safetensors')}")

    import torch

    import nfdlab

    from .core.types import Budget
    from .evaluate.stamp import stamp
    from .evaluate.steps import with_fewest_steps

    use_threads(threads)
    checkpoint = out.with_suffix(".checkpoint")
    if not resume:
        checkpoint.unlink(missing_ok=True)
    size = Budget.named(budget, checkpoint)
    size = size if seconds is None else Budget(seconds=seconds, checkpoint=checkpoint)
    kept = f"{checkpoint} is kept; the same command goes on from there."
    with (interruptible(lambda: kept if checkpoint.exists() else "Nothing to keep yet."),
          training(f"{approach} on {problem}", checkpoint.exists()) as watch):
        fitted = nfdlab.train(approach, problem, budget=size, seed=seed, device=device, watch=watch)
    nfdlab.save(fitted, out)
    checkpoint.unlink(missing_ok=True)
    tasks = (100 if budget == "reference" else 0) if tasks is None else tasks
    if tasks and budget == "reference":
        with bar(f"choosing the steps of {approach} on {problem}", "tasks") as progress:
            fitted = with_fewest_steps(fitted, problems.get(problem), progress=progress)
    if tasks:
        with bar(f"scoring {approach} on {problem}", "tasks") as progress:
            stamp(fitted, problems.get(problem), tasks=tasks, progress=progress)
    nfdlab.save(fitted, out, dtype=torch.float16 if half else torch.float32)
    console.print(f"[bold]{out}[/]  {out.stat().st_size / 1e6:.2f} MB")
    if budget != "smoke":
        beside_rivals(approach, fitted, problems.get(problem), tasks=10, draws=32, seed=seed)
    console.print(f'nfdlab.load("{out}") in Python, or nfdlab score {out} {problem} here.', style="dim")


@app.command()
def score(approach: Annotated[str, Argument(help="An approach with shipped weights, or a weights file.")],
          problem: Problem,
          counts: Annotated[str | None, Option(help="Numbers of observations: 1,3,5.")] = None,
          tasks: Annotated[int, Option(min=1, help="Fresh tasks for each number of observations.")] = 50,
          draws: Annotated[int, Option(min=2, help="Draws a task.")] = 64,
          pattern: Annotated[str, Option(help="random, grid, block, lines, clusters, frames, …")] = "random",
          noise: Annotated[float, Option(min=0.0, help="Standard deviation of the observation noise.")] = 0.05,
          prior: Annotated[str | None, Option(help="white or gaussian: weights of the pair with that prior.")] = None,
          seed: Seed = 0, device: Device = "auto", threads: Threads = None,
          baselines: Annotated[bool, Option(help="Score the classical baselines on the same tasks.")] = True,
          out: Annotated[Path | None, Option("-o", "--out", help="Write every task's scores as csv.")] = None):
    """Score an approach as a ratio to the exact posterior on the same tasks; 1.00 is the best possible."""
    from . import problems, store
    from .core.checks import require_name
    from .terminal import PATTERNS, console, read_counts

    names = (approach, None, prior) if approach.endswith(".safetensors") else (approach, problem, prior)
    require_name(problem, problems.names(), "problem"), store.find(*names), check_device(device)
    pattern, sizes = require_name(pattern.lower(), PATTERNS, "pattern"), read_counts(counts)

    import nfdlab

    from .observation.patterns import ALL

    use_threads(threads)
    label = Path(approach).stem + ("" if prior is None else f"--{prior}")
    table = beside_rivals(label, nfdlab.load(*names, device=device), problems.get(problem), baselines, counts=sizes,
                          pattern=ALL[pattern], tasks=tasks, draws=draws, noise_std=noise, seed=seed)
    if out is not None:
        console.print(f"{table.to_csv(out)}  {len(table.rows)} rows", style="dim")


@app.command()
def render(approach: Annotated[str, Argument(help="An approach with shipped weights, or a weights file.")],
           problem: Problem,
           side: Annotated[int, Option(min=1, help="Cells an axis; in 2D 16384 of them are a gigabyte.")] = 1024,
           count: Annotated[int, Option(min=0, help="Observations of a held-out function; 0: the prior.")] = 0,
           half: Annotated[bool, Option("--half", help="Write half precision: half the file.")] = False,
           seed: Seed = 0, device: Device = "auto", threads: Threads = None,
           out: Annotated[Path | None, Option("-o", "--out", help="The file, ….npy.")] = None):
    """Render one draw on a grid of any size to a .npy file, in little memory. Resumes after a stop."""
    from . import problems, store
    from .core.checks import require, require_name
    from .terminal import bar, console, interruptible

    names = [approach] if approach.endswith(".safetensors") else [approach, problem]
    require_name(problem, problems.names(), "problem"), store.find(*names), check_device(device)
    out = out or Path(f"{Path(approach).stem}--{problem}.npy")
    require(out.suffix == ".npy", must="-o: a file name ending in .npy.", came=str(out),
            why="Values are written there, as numpy reads them.", do=f"-o {out.with_suffix('.npy')}")

    from .core.rng import child
    from .fields.rendering import render_to_file
    from .observation.observing import observe
    from .observation.patterns import Random

    use_threads(threads)
    source, model = problems.held_out(problems.get(problem)), store.load(*names, device=device)
    truth = source.draw(1, seed=child(seed, "render", "truth"))
    seen = observe(truth, Random(count=count), noise_std=0.05, seed=child(seed, "render", "seen"))
    draw = model.draw(seen, 1, seed=child(seed, "render", "draw"))
    kept = f"Stopped; {out} is kept, and the same command goes on from there."
    with (interruptible(lambda: kept if out.exists() else "Nothing to keep yet."),
          bar(f"{approach} on {problem}", "cells") as progress):
        values = render_to_file(draw, (side,) * draw.d, out, dtype="float16" if half else "float32", progress=progress)
    console.print(f"[bold]{out}[/]  {out.stat().st_size / 1e6:.1f} MB, {values.dtype} {values.shape}", soft_wrap=True)
    console.print(f'np.load("{out}", mmap_mode="r") reads what is asked of it, no more.', style="dim", soft_wrap=True)


@app.command()
def ablate(approach: Annotated[str, Argument(help="An approach with shipped weights, or a weights file.")],
           problem: Problem,
           tasks: Annotated[int, Option(min=1, help="Fresh tasks for each number of observations.")] = 30,
           draws: Annotated[int, Option(min=2, help="Draws a task.")] = 32,
           other: Annotated[str | None, Option(help="Weights of the same pair with the other prior.")] = None,
           seed: Seed = 0, device: Device = "auto", threads: Threads = None):
    """Score an approach with its network, its field or its diffusion taken away, to see who does the work."""
    from . import problems, store
    from .core.checks import require_name
    from .terminal import bar, console, show_worth

    names = [approach] if approach.endswith(".safetensors") else [approach, problem]
    require_name(problem, problems.names(), "problem"), store.find(*names), check_device(device)
    if other is not None:
        store.find(other)

    from .evaluate import ablation

    use_threads(threads)
    model, source = store.load(*names, device=device), problems.get(problem)
    beside = None if other is None else store.load(other, device=device)
    with bar(f"{approach} on {problem}", "tasks") as progress:
        table = ablation.ablate(model, source, tasks=tasks, draws=draws, seed=seed, other=beside, progress=progress)
    show_worth(table)
    if len(names) == 2:
        command = f"nfdlab ablate {approach} {problem} --tasks {tasks} --draws {draws} --seed {seed}"
        console.print(str(ablation.keep(table, approach, command)), style="dim", soft_wrap=True)


@app.command()
def bench(contestants: Annotated[str | None, Option(help="Names or weights files; all by default.")] = None,
          problems: Annotated[str | None, Option(help="Names with commas; all by default.")] = None,
          patterns: Annotated[str, Option(help="random, grid, block, lines, clusters, frames, …")] = "random",
          counts: Annotated[str | None, Option(help="Numbers of observations: 1,3,5.")] = None,
          shares: Annotated[str | None, Option(help="Or shares of a grid's cells: 0.01,0.05.")] = None,
          seeds: Annotated[int, Option(min=1, help="How many seeds, each with its own tasks.")] = 1,
          tasks: Annotated[int, Option(min=1, help="Tasks for each pattern, size and seed.")] = 20,
          draws: Annotated[int, Option(min=2, help="Draws a task.")] = 64,
          noise: Annotated[float, Option(min=0.0, help="Standard deviation of the observation noise.")] = 0.05,
          scores: Annotated[str | None, Option(help="crps,energy,…; all by default; variograms cost most.")] = None,
          jobs: Annotated[int | None, Option(min=1, help="Processes; one a core by default.")] = None,
          out: Annotated[Path, Option("-o", "--out", help="The folder for table, ranking, picture.")] = Path("bench"),
          force: Annotated[bool, Option("--force", help="Compute everything anew.")] = False):
    """Score all contestants on all problems: a table, a ranking, a picture. The same command resumes after a stop."""
    from . import approaches, baselines, store
    from . import problems as places
    from .core.checks import require
    from .terminal import (
        PATTERNS,
        SCORES,
        bar,
        console,
        interruptible,
        read_counts,
        read_names,
        read_shares,
        show_ranking,
    )

    everyone = [*baselines.names(), *approaches.names(), *store.variants(), "exact", "exact_again"]
    who, where = read_names(contestants, everyone, "contestant"), read_names(problems, places.names(), "problem")
    how, which = read_names(patterns, PATTERNS, "pattern"), read_names(scores, SCORES, "score")
    sizes, parts = read_counts(counts), read_shares(shares)
    require(sizes is None or parts is None, must="--counts or --shares, one of the two.", came="both",
            why="Each is a way to say how much is seen.", do="Leave one out.")

    from .evaluate import bench as benches
    from .panels.plots import benchmark

    kept = f"Stopped; what is finished is kept in {out}; the same command resumes from there."
    with interruptible(lambda: kept), bar("bench", "cells") as progress:
        table = benches.bench(
            who, where, patterns=how, seeds=seeds, tasks=tasks, counts=sizes, shares=parts, draws=draws, jobs=jobs,
            noise_std=noise, scores=which or SCORES, out=out, force=force, progress=progress)
    show_ranking(table)
    (out / "bench.png").write_bytes(benchmark(table.ranking()).png())
    console.print(f"{out / 'bench.csv'}  {len(table.rows)} rows, with ranking.csv and bench.png", style="dim")
    raise typer.Exit(int(bool(table.failed)))


@app.command("bake-off")
def bake_off(seconds: Annotated[float, Option(min=1.0, help="Seconds of one core to train each.")] = 60.0,
             tasks: Annotated[int, Option(min=1, help="Tasks for each problem, pattern and number.")] = 12,
             jobs: Annotated[int | None, Option(min=1, help="Processes; one a core by default.")] = None,
             out: Annotated[Path, Option("-o", "--out", help="The folder for all that is made.")] = Path("bake_off")):
    """Train all approaches equally long on six problems, score them, say which to take. Resumes after a stop."""
    from .evaluate import bake_off as bakes
    from .evaluate import guide
    from .terminal import console, interruptible, phases

    kept = f"Stopped; what is finished is kept in {out}; the same command resumes from there."
    with interruptible(lambda: kept), phases("bake-off") as progress:
        found = bakes.run(out, seconds=seconds, tasks=tasks, jobs=jobs, progress=progress)
    for branch in guide.branches(found):
        console.print(f"{branch.need}: [bold]{branch.take}[/], {branch.because}", soft_wrap=True)
    console.print(f"{out / 'scores.csv'}  {len(found.bench.rows)} rows, with costs.csv and pictures.npz", style="dim")


@app.command()
def sync(check: Annotated[bool, Option("--check", help="Only say what is stale; exit code 1 if anything.")] = False,
         source: Annotated[str, Option("--from", help="py, or ipynb after editing notebooks alone.")] = "py"):
    """Make notebooks agree with their .py files, and tables and links between lessons with what they tell of."""
    from . import pairs, tables
    from .jupyter.lessons import home, lessons
    from .terminal import console

    root, folder = home(), home() / "notebooks"
    fresh = f"{len(lessons(folder))} pairs and the tables"
    if check:
        stale = pairs.check(folder) + tables.check(root)
        console.print("\n".join([*stale, "Run `nfdlab sync`."]) if stale else f"{fresh} are fresh.")
        raise typer.Exit(int(bool(stale)))
    changed = tables.sync(root) + pairs.sync(folder, source)
    console.print("\n".join(f"wrote {p.name}" for p in changed) or f"{fresh} were fresh already.")


@app.command()
def doctor(device: Annotated[str | None, Option(
        help="Compare a device with the CPU instead, minutes: cuda, cuda:1, mps, xpu; cpu is only timed.")] = None):
    """Check the installation, kernel, weights and lessons; exit code 1 if something is wrong."""
    from . import doctor as checks
    from .terminal import bar, show_devices, show_findings, show_latencies

    if device is None:
        raise typer.Exit(show_findings(checks.examine()))
    check_device(device)

    from .evaluate.devices import compared
    from .panels.latency import latencies
    from .training import resolve_device

    resolve_device(device)
    with bar(f"{device} beside the CPU", "pairs") as progress:
        rows = list(compared(device, progress=progress))
    with bar(f"panels on {device}", "panels") as progress:
        answers = list(latencies(device, progress=progress))
    versions = ", ".join(checks.packages().found.split(", ")[:2])
    code = show_devices(rows, f"{device}: {checks.device().found}, {versions}")
    show_latencies(answers)
    raise typer.Exit(code)


def check_device(device: str) -> None:
    """Refuse what names no device; whether this machine has it, torch will say."""
    from .core.checks import require

    require(re.fullmatch(r"auto|(cpu|cuda|mps|xpu)(:\d+)?", device) is not None, came=repr(device),
            must="--device: auto, cpu, cuda, cuda:1, mps or xpu.", why="No device of torch has that name.",
            do="--device auto")


def beside_rivals(label: str, model, problem, baselines: bool = True, **setting):
    """Score a model on a problem, beside the classical baselines if asked; print the table and the skill, return the
    table. `setting` goes to `evaluate.table.compare`."""
    from . import baselines as classical
    from .evaluate.skill import skill
    from .evaluate.table import compare
    from .terminal import bar, console, show_table

    contestants = {label: model, **{n: classical.get(n, problem) for n in classical.names() if baselines}}
    with bar(f"{label} on {problem.card.name}", "tasks") as progress:
        table = compare(contestants, problem, progress=progress, **setting)
    show_table(table)
    if baselines:
        console.print(f"Skill in CRPS: {skill(table)}.", soft_wrap=True)
    return table


def use_threads(threads: int | None) -> None:
    """Set how many cores torch uses; None leaves it to torch."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def main():
    """The entry point. A request to end (TERM, HUP) unwinds as an exit, so that folders, kernels and workers go too."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)                 # Windows has no HUP
        if number is not None:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    app(prog_name="nfdlab")
