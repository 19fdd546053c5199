"""What the commands print in a terminal: tables, progress bars, errors; and how they read lists of values."""

import ast
import re
import signal
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .core.checks import require, require_name
from .jupyter.lessons import find, home, lesson_parameters, lessons, title

console = Console(highlight=False)
aside = Console(stderr=True, highlight=False)       # bars and errors, so that only results go into a pipe
METRICS = ("crps", "energy", "variogram", "rmse", "spread", "coverage90")
# names of the library, known here before torch is imported
SCORES = (*METRICS, "maximum90", "integral90")
PATTERNS = ("random", "grid", "block", "lines", "clusters", "border", "frames", "sensors", "tracks", "outline")
BUDGETS = ("smoke", "lesson", "reference")


def show_error(error: Exception) -> None:
    """Print an error in four parts in a red frame, on standard error."""
    frame = Panel(Text(str(error)), border_style="red", title="refused", title_align="left")
    aside.print(frame)


@contextmanager
def interruptible(message: Callable[[], str]):
    """On Ctrl-C print a message and leave with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(message())
        raise typer.Exit(130) from None


@contextmanager
def bar(title: str, unit: str):
    """A progress bar; yields progress(done, total)."""
    with phases(title, unit) as progress:
        yield lambda done, total: progress(title, done, total)


@contextmanager
def phases(title: str, unit: str = ""):
    """A progress bar of several phases; yields progress(words, done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
               TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=aside) as shown:
        task = shown.add_task(title, total=None)
        yield lambda words, done, total: shown.update(task, description=words, completed=done, total=total)


@contextmanager
def training(title: str, resumed: bool):
    """A bar with stage and loss; yields the watcher. The first Ctrl-C stops between two steps."""
    asked = []

    def ask(number, frame):
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)      # the second stops at once

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
               TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TimeRemainingColumn())
    before = signal.signal(signal.SIGINT, ask)
    try:
        with Progress(*columns, console=aside) as shown:
            task = shown.add_task(f"{title}{', resumed' if resumed else ''}", total=1.0, note="")

            def watch(step):
                note = f"{step.stage}, step {step.index}, loss {step.loss:.3f}"
                shown.update(task, completed=step.progress, note=note)
                if asked:
                    raise KeyboardInterrupt

            yield watch
            shown.update(task, completed=1.0)
    finally:
        signal.signal(signal.SIGINT, before)


def show_parameters(notebook: str) -> None:
    """Print the parameters of a lesson."""
    found = lesson_parameters(find(notebook, home() / "notebooks")).values()
    console.print(_table("parameter", "type", "default", "meaning",
                         rows=[(p.name, p.type, repr(p.default), p.help) for p in found]))


def show_inventory() -> None:
    """Print approaches, problems, baselines, lessons and weights."""
    from . import approaches, baselines, problems, store

    cards = {name: approaches.card(name) for name in approaches.names()}
    docs = {node.name.lower(): re.split(r"(?<=[.:;])\s", ast.get_docstring(node) or "")[0]
            for path in Path(baselines.__file__).parent.glob("*.py")
            for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}
    parts = {
        "approaches": (("approach", "", "idea"), [(n, str(card.order), card.idea) for n, card in cards.items()]),
        "problems": (("problem", "in", "what", "exact posterior"), [
            (n, f"{len(card.axes)}D", card.title, card.exact) if (card := problems.card(n)) else
            (n, "any", "Your own data: an array, or a file of numbers or a picture", "none")
            for n in problems.names()]),
        "baselines": (("baseline", "what"), [(n, docs[n.replace("_", "")]) for n in baselines.names()]),
        "lessons": (("lesson", "question"), [(path.stem, title(path)) for path in lessons(home() / "notebooks")]),
        "weights": (("weights of", "on", "file", "kB"),
                    [(*pair, p.name, f"{p.stat().st_size / 1000:.0f}") for pair, p in store.shipped().items()]),
    }
    for part, (columns, rows) in parts.items():
        console.print(_table(*columns, title=part, rows=rows))


def show_table(table) -> None:
    """Print the ratio table: for each contestant a line for each number of observations, then mean and worst."""
    full = table.summary(intervals=True)
    tasks = len(table.rows) // (len(table.contestants) * len(table.counts))
    shown = _table("", "m", "CRPS", "95 %", *METRICS[1:-1], "coverage", title=(
        f"{table.problem}: ratio to {table.reference}, {tasks} tasks at each m, {table.draws} draws"))
    for (name, m), row in full.iterrows():
        first = m == table.counts[0]
        if first and name != table.contestants[0]:
            shown.add_section()
        values = [f"{row[k]:.3f}" if row[k] == row[k] and row[k] < 1000 else "–" for k in METRICS]
        shown.add_row(name if first else "", str(m), values[0], f"{row['crps_low']:.3f}–{row['crps_high']:.3f}",
                      *values[1:], style="bold" if m == "mean" else None)
    console.print(shown)
    best = "below 1.00 is only chance" if table.reference == "exact" else "below 1.00 is better than the reference"
    console.print(f"Lower is better: {best}. Spread should be 1.00, coverage of 90 % intervals 0.90.", style="dim")


def show_worth(table) -> None:
    """Print an ablation: the CRPS of each arm and rival as a ratio to the reference, and to the full approach."""
    from .evaluate.ablation import worth

    found = worth(table)
    ratios = [column for column in found if not column.endswith((" low", " high"))]
    shown = _table("", *(part for column in ratios for part in (column, "95 %")), title=(
        f"{table.problem}: CRPS, {table.rows['task'].nunique()} tasks at each m, {table.draws} draws"))
    for name, row in found.iterrows():
        shown.add_row(name, *(part for column in ratios for part in (
            f"{row[column]:.3f}", f"{row[f'{column} low']:.3f}–{row[f'{column} high']:.3f}")))
    console.print(shown)


def show_ranking(table) -> None:
    """Print the ranking: a block for each problem, the best first; then what was left out and what failed."""
    ranking = table.ranking()
    others = [m for m in METRICS[1:] if m in ranking]
    for problem, rows in ranking.groupby("problem", sort=False):
        first = rows.iloc[0]
        shown = _table("", "contestant", "CRPS", "95 %", "worst", "at", *others, title=(
            f"{problem}: ratio to {first['to']}, {first['cases']} cases of {first['tasks']} tasks"))
        for row in rows.to_dict("records"):
            shown.add_row(str(row["rank"]), row["contestant"], _digits(row["crps"]),
                          f"{_digits(row['low'])}–{_digits(row['high'])}", _digits(row["worst"]), row["where"],
                          *(_digits(row[m]) for m in others),
                          style="bold" if row["contestant"] == row["to"] else None)
        console.print(shown, "")
    console.print("Ratios to the reference (bold) on the same tasks, averaged over patterns and sizes; lower is better."
                  " Spread should be 1, coverage 0.90.", style="dim")
    for line in table.left_out:
        console.print(Text(line), style="dim")
    for line in table.failed:
        aside.print(Text(line, style="red"))


def _digits(value: float) -> str:
    """Two decimals, fewer of large numbers."""
    return "–" if value != value else f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def show_findings(findings) -> int:
    """Print the findings of `nfdlab doctor`; returns 1 if something is wrong, else 0."""
    width = max(len(f.what) for f in findings)
    for f in findings:
        mark = ("✓", "green") if f.right else ("✗", "red")
        note = f"  ({f.note})" if f.note else ""
        console.print(Text.assemble(mark, f"  {f.what:{width}}  {f.found}", (note, "dim")), soft_wrap=True)
    wrong = sum(not f.right for f in findings)
    verdict = f"[red]{wrong} of {len(findings)} need attention.[/]" if wrong else "[green]All is well.[/]"
    console.print(verdict)
    return int(wrong > 0)


def show_devices(rows, machine: str) -> int:
    """Print the table of `nfdlab doctor --device` and the machine that it is of; returns 1 if a picture is not the
    CPU's, else 0."""
    from .evaluate.devices import DRAWS, SAME

    console.print(_table(
        "", "difference", "sampling, ms", "on the CPU", "decoding, ms", "on the CPU",
        rows=[(f"{r.approach} on {r.problem}", Text(f"{r.apart:.1e}", "" if r.same else "red"),
               *(_digits(t) for t in (*r.sampling, *r.decoding))) for r in rows]))
    wrong = sum(not r.same for r in rows)
    console.print(f"{machine}; {DRAWS} draws of each, few particles.", style="dim", soft_wrap=True)
    console.print(f"[red]{wrong} of {len(rows)} pictures differ by more than {SAME:g} of their scale.[/]" if wrong else
                  f"[green]The same pictures to {SAME:g} of their scale.[/]")
    return int(wrong > 0)


def show_latencies(rows) -> None:
    """Print how long panels take to answer."""
    names = "another scale, ms", "another task: first picture, ms", "last picture, ms"
    console.print(_table("panel", *(part for name in names for part in (name, "on the CPU")), rows=[
        (f"{r.approach} on {r.problem}", *(_digits(t) for t in (*r.scale, *r.first, *r.final))) for r in rows]))
    console.print("Without a browser, which adds its own: a median of some moves.", style="dim", soft_wrap=True)


def read_names(text: str | None, known, what: str) -> tuple[str, ...] | None:
    """"a, b" -> ("a", "b"): at least one, and each of `known` or a weights file."""
    if text is None:
        return None
    names = _words(text)
    require(len(names) > 0, must=f"At least one {what}.", came=repr(text), why="The command goes through a list.",
            do=f"One of: {', '.join(known)}.")
    return tuple(n if n.endswith(".safetensors") else require_name(n, known, what) for n in names)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def read_shares(text: str | None) -> tuple[float, ...] | None:
    """"0.01, 0.1" -> (0.01, 0.1)."""
    return _read(text, float, 1.0, must="--shares: numbers up to 1, with commas between.",
                 why="Each is a share of a grid's cells that is kept.", do="--shares 0.01,0.05,0.2")


def read_counts(text: str | None) -> tuple[int, ...] | None:
    """"1,3,5" -> (1, 3, 5)."""
    return _read(text, int, float("inf"), must="--counts: whole numbers with commas between.",
                 why="Each is a number of observations, with rows of its own in the table.", do="--counts 1,3,5,10,20")


def _read(text: str | None, kind: type, most: float, **refusal: str) -> tuple | None:
    """Numbers of a kind, at least one, from zero to `most`; None for None."""
    if text is None:
        return None
    try:
        values = tuple(map(kind, _words(text)))
    except ValueError:
        values = ()
    require(len(values) > 0 and all(0 <= v <= most for v in values), came=repr(text), **refusal)
    return values


def _table(*columns: str, title: str | None = None, rows=()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False,
                  padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("", "contestant"))        # names stay whole
    for row in rows:
        table.add_row(*row)
    return table
