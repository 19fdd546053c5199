"""What the commands show in a terminal: tables, bars, one clean error."""

import re
import signal
from contextlib import contextmanager

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .jupyter.lessons import find, home, lesson_parameters, lessons, read, refuse

console = Console(highlight=False)
aside = Console(stderr=True, highlight=False)       # bars and errors: what is piped on is the result alone
METRICS = ("crps", "energy", "variogram", "rmse", "spread", "coverage90")


def show_error(error: Exception) -> None:
    """The four parts in a red frame, on standard error."""
    frame = Panel(Text(str(error)), border_style="red", title="refused", title_align="left")
    aside.print(frame)


@contextmanager
def bar(title: str, unit: str):
    """A progress bar; yields progress(done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
               TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=aside) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def training(title: str, resumed: bool):
    """A bar with stage and loss; yields the watcher. The first Ctrl-C stops between two steps, so nothing is torn."""
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
    """What can be set in a lesson."""
    table = _table("parameter", "type", "unless told", "meaning")
    for p in lesson_parameters(find(notebook, home() / "notebooks")).values():
        table.add_row(p.name, p.type, repr(p.default), p.help)
    console.print(table)


def show_inventory() -> None:
    """Approaches, problems, baselines, lessons and weights."""
    from . import approaches, baselines, problems, store

    table = _table("approach", "", "idea", title="approaches")
    for name in approaches.names():
        card = approaches.get(name).card
        table.add_row(name, str(card.order), card.idea)
    console.print(table)
    table = _table("problem", "in", "what", "exact posterior", title="problems")
    for name in problems.names():
        table.add_row(name, *_problem(name))
    console.print(table)
    table = _table("baseline", "what", title="baselines")
    for name in baselines.names():
        table.add_row(name, _sentence(type(baselines.get(name)).__doc__))
    console.print(table)
    table = _table("lesson", "question", title="lessons")
    for path in lessons(home() / "notebooks"):
        prose = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
        table.add_row(path.stem, next(iter(re.findall(r"^# (.+)", prose, re.M)), ""))
    console.print(table)
    table = _table("weights of", "on", "file", "kB", title="weights")
    for (approach, problem), path in store.shipped().items():
        table.add_row(approach, problem, path.name, f"{path.stat().st_size / 1000:.0f}")
    console.print(table)


def _sentence(doc: str | None) -> str:
    """The first sentence of a docstring."""
    return re.split(r"(?<=[.:;])\s", " ".join((doc or "").split()))[0]


def _problem(name: str) -> tuple[str, str, str]:
    """Dimension, title and exact answer; of the one that is made of your data, words."""
    from . import problems

    try:
        problem = problems.get(name)
    except (TypeError, ValueError):
        return "any", "Your own data: an array, or a file of numbers or a picture", "none"
    return f"{problem.d}D", problem.card.title, problem.card.exact


def show_table(table) -> None:
    """The ratio table: a block for each contestant, a line for each number of observations, then mean and worst."""
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
    best = "nothing beats 1.00 but luck" if table.reference == "exact" else "with no exact answer, go below 1.00"
    console.print(f"Lower is better: {best}. Spread should be 1.00, coverage of 90 % intervals 0.90.", style="dim")


def show_ranking(table) -> None:
    """The bench: a block for each problem, the best first; then who is not in it."""
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
    """The doctor's lines; the number of things wrong, at most 1."""
    table = _table("", "what", "found", "note")
    for f in findings:
        table.add_row("[green]✓[/]" if f.right else "[red]✗[/]", f.what, Text(f.found), Text(f.note))
    console.print(table)
    wrong = sum(not f.right for f in findings)
    verdict = f"[red]{wrong} of {len(findings)} need a look.[/]" if wrong else "[green]All is well.[/]"
    console.print(verdict)
    return int(wrong > 0)


def pattern_named(name: str):
    """A pattern's class by its name in small letters."""
    from .core.checks import require_name
    from .observation import patterns

    return patterns.ALL[require_name(name.lower(), patterns.ALL, "pattern")]


def read_names(text: str | None) -> tuple[str, ...] | None:
    """"a, b" -> ("a", "b")."""
    return None if text is None else tuple(text.replace(",", " ").split())


def read_shares(text: str | None) -> tuple[float, ...] | None:
    """"0.01, 0.1" -> (0.01, 0.1)."""
    try:
        return None if text is None else tuple(map(float, read_names(text)))
    except ValueError:
        refuse("value", "--shares: numbers with commas between.", repr(text),
               "Each is a share of a grid's cells that is kept.", "--shares 0.01,0.05,0.2")


def read_counts(text: str | None) -> tuple[int, ...] | None:
    """"1,3,5" -> (1, 3, 5)."""
    if text is None:
        return None
    words = text.replace(",", " ").split()
    if not words or not all(w.isdigit() for w in words):
        refuse("value", "--counts: whole numbers with commas between.", repr(text),
               "Each is a number of observations, with rows of its own in the table.", "--counts 1,3,5,10,20")
    return tuple(int(w) for w in words)


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False,
                  padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
