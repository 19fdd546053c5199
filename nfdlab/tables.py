"""Generated tables: what README and APPROACHES say of approaches, problems, lessons and weights, from these themselves.

A table stands between `<!-- name: begin -->` and `<!-- name: end -->`. Nothing else in those files is touched.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import indent

from PIL import Image

from . import approaches, problems, recipes, store
from .core.checks import require
from .core.files import write_text
from .jupyter.lessons import lessons, title

# the order in which each lesson builds on those before, and where a lesson says so
WAY = ("00_start_here", "00b_neural_field_primer", "00c_diffusion_primer", "00a_problems_and_rulers",
       "05_sparse_conditional", "01_latent_field", "09_modulated_field", "02_weight_diffusion", "03_score_field",
       "08_stochastic_field", "04_coarse_to_fine", "06_temporal_field", "10_sparse_features", "07_adaptive_sampling",
       "11_bake_off")
SIGNPOST = re.compile(r"^(# # [^\n]+\n#\n)(?:# \*(?:before|next): [^\n]+\*\n#\n)?", re.M)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def scores(root: Path) -> str:
    """Scores of the shipped weights, from their headers."""
    rows = []
    for (approach, problem), path in store.shipped().items():
        s = store.about(path)["scores"]
        each = " · ".join(f"{m}: {v:.2f}" for m, v in s["crps"].items() if m not in ("mean", "worst"))
        columns = (("crps", "mean"), ("crps", "worst"), ("energy", "mean"), ("variogram", "mean"), ("spread", "mean"),
                   ("coverage90", "mean"))
        rows.append([f"`{approach}`", f"`{problem}`{_to(s)}", *(f"{s[score][m]:.2f}" for score, m in columns), each,
                     str(s["tasks"])])
    return table(["approach", "problem", "CRPS", "worst m", "energy", "variogram", "spread", "coverage",
                  "CRPS at each m", "tasks"], rows)


def approach_list(root: Path) -> str:
    """Approaches by number: what each is for, its CRPS ratio on each problem that its weights ship for, its cost."""
    rows = []
    for name in approaches.names():
        card, files = approaches.card(name), [path for (a, _), path in store.shipped().items() if a == name]
        headers = [store.about(path) for path in files]
        minutes = sorted(round(about["budget"]["seconds"] / 60) for about in headers)
        size = sum(path.stat().st_size for path in files) / 1e6
        rows.append([str(card.order), f"`{name}`", card.best_for,
                     " · ".join(f"`{about['problem']}` {about['scores']['crps']['mean']:.2f}{_to(about['scores'])}"
                                for about in headers) or "–",
                     "–".join(dict.fromkeys(map(str, (minutes[0], minutes[-1])))) if minutes else "–",
                     f"{size:.1f}" if files else "–"])
    return table(["#", "approach", "what it is for", "CRPS ratio", "minutes to train", "MB of weights"], rows)


def work(root: Path) -> str:
    """Who does the work: of each pair whose ablation is kept, its skill, and its CRPS with a part taken away."""
    return "\n\n".join(_worked())


def idle(root: Path) -> str:
    """Where the network adds nothing, in a sentence."""
    return _worked()[1]


def _worked() -> tuple[str, str]:
    """The table of `work`, and the sentence of `idle`."""
    from dataclasses import replace

    from .evaluate import ablation
    from .evaluate.skill import LINEAR, skill

    rows, without, unmeasured = [], [], []
    for approach, problem in store.shipped():
        if not (ablation.folder() / f"{approach}--{problem}.csv").exists():
            unmeasured.append(f"`{approach}` on `{problem}`")
            continue
        kept = ablation.kept(approach, problem)
        of_full = replace(kept, reference=ablation.FULL)

        def ratio(table, name):
            return table.ratio("crps", name).loc["mean"].tolist() if name in table.contestants else None

        def shown(found, digits=2):
            return "–" if found is None else "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*found, d=digits)

        silent, gaussian = (ratio(of_full, name) for name in (ablation.NETWORK, ablation.GAUSSIAN))
        exact = ratio(kept, ablation.EXACT_GAUSSIAN)
        own, asked = skill(kept, ablation.FULL), [ratio(kept, name) for name in (LINEAR, "kriging")]
        classical = ["–" if found is None else f"{found[0]:.2f}" for found in asked]
        if own.nothing_to_gain or silent is not None and silent[1] <= 1:
            without.append(f"`{approach}` on `{problem}`")
        rows.append([f"`{approach}`", f"`{problem}`" + ("" if kept.reference == "exact" else f" (to {kept.reference})"),
                     shown(ratio(kept, ablation.FULL)), *classical, own.short, shown(silent),
                     shown(ratio(of_full, ablation.FIELD)),
                     shown(gaussian) + ("" if exact is None else f"; exact {exact[0]:.2f}")])
    found = table(["approach", "problem", "CRPS ratio", "best linear answer", "kriging", "skill", "network silenced",
                   "field silenced", "Gaussian draws"], rows)
    return found, f"**The network adds nothing that can be measured**: {', '.join(without) or 'nowhere'}. " \
        f"Not measured: {', '.join(unmeasured) or 'none'}."


def which(root: Path, folder: str = "notebooks/", by_data: bool = False) -> str:
    """Which one to take, by kind of data and, unless `by_data` alone, by need, from the bake-off that is kept; links to
    lessons in `folder`."""
    from .evaluate import bake_off, guide

    found, rows = bake_off.kept(), []
    for branch in [guide.by_kind(found, kind) for kind in bake_off.PROBLEMS] if by_data else guide.branches(found):
        take = f"`{branch.take}`"
        if branch.take in approaches.names():
            take = f"[{take}]({folder}{approaches.card(branch.take).order:02d}_{branch.take}.ipynb)"
        problem = bake_off.PROBLEMS.get(branch.need)
        rows.append([branch.need + (f" (`{problem}`)" if problem else ""), take,
                     ", ".join(f"`{name}`" for name in branch.also) or "–", branch.because])
    return table(["data or need", "take", "as good, as far as can be told", "because"], rows)


def extremes(root: Path) -> str:
    """Each approach's best and worst problem in the bake-off that is kept."""
    from .evaluate import bake_off, guide

    return table(["approach", "best on", "worst on"], [
        [f"`{name}`", f"`{row.iloc[0]}` {row.iloc[1]:.2f}", f"`{row.iloc[2]}` {row.iloc[3]:.2f}"]
        for name, row in guide.extremes(bake_off.kept()).iterrows()])


def rivals(root: Path) -> str:
    """The classical baselines on the problems where a network must win, as they are kept."""
    from .evaluate.ranking import kept_rivals
    from .evaluate.skill import LINEAR

    rows, others = [], ("kriging", "linear", "linear_in_time", "rbf", "nearest", "climatology")
    for pattern in ("random", "frames"):
        bench = kept_rivals(pattern)
        for problem, found in bench.ranking().groupby("problem", sort=False):
            found, sizes = found.set_index("contestant"), bench.rows.query("problem == @problem")["size"].unique()
            best, seen = found.loc[LINEAR], ", ".join(sizes) + ("" if pattern == "random" else f" of {pattern}")
            rows.append([f"`{problem}`", best["to"], seen, str(best["tasks"]),
                         f"{best['crps']:.2f} [{best['low']:.2f}, {best['high']:.2f}]", f"{best['coverage90']:.2f}",
                         *(f"{found.loc[name, 'crps']:.2f}" if name in found.index else "–" for name in others)])
    head = ["problem", "reference", "seen", "tasks", f"`{LINEAR}`", "its coverage", *(f"`{name}`" for name in others)]
    return table(head, rows)


def _to(scores: dict) -> str:
    """What ratios are to, where it is not the exact posterior."""
    return "" if scores["to"] == "exact posterior" else f" (to {scores['to']})"


def cards(root: Path) -> str:
    """Approaches as their cards say."""
    rows = []
    for name in approaches.names():
        c = approaches.card(name)
        rows.append([str(c.order), f"`{name}`", c.idea, c.best_for, c.limits, c.papers])
    return table(["#", "key", "what it is", "best for", "limits", "built on"], rows)


def problem_list(root: Path) -> str:
    """Problems with their exact posterior and the approaches that have a recipe for them."""
    rows = []
    for name in problems.names():
        card, home = problems.card(name), ", ".join(f"`{a}`" for a in recipes.homes(name))
        rows.append([f"`{name}`", f"{len(card.axes)}D", card.title, card.exact, home or "–"] if card else
                    [f"`{name}`", "any", "your own data: arrays, pictures, tables", "none", "–"])
    return table(["problem", "in", "what", "exact posterior", "approaches"], rows)


def in_order(folder: Path) -> list[Path]:
    """Lessons in the order in which each builds on those before; those that are not on the way come last."""
    place = {stem: i for i, stem in enumerate(WAY)}
    return sorted(lessons(folder), key=lambda path: place.get(path.stem, len(WAY)))


def signposted(folder: Path) -> dict[Path, str]:
    """The text of each lesson, with a line under its title that leads to the lessons before and after it."""
    order, texts = in_order(folder), {}
    for before, path, after in zip([None, *order[:-1]], order, [*order[1:], None], strict=True):
        after = None if after and after.stem not in WAY and path.stem in WAY else after     # its lesson stays as it is
        links = [f"{words} [`{p.stem}`]({p.stem}.ipynb)" for words, p in (("before:", before), ("next:", after)) if p]
        line = f"# *{' · '.join(links)}*\n#\n" if links else ""
        texts[path] = SIGNPOST.sub(lambda m, line=line: m[1] + line, path.read_text(encoding="utf-8"), count=1)
    return texts


def lesson_list(root: Path) -> str:
    """Lessons by their titles, in the order of the way."""
    rows = []
    for path in in_order(root / "notebooks"):
        heading = title(path)
        rows.append(f"- [`{path.stem}`](notebooks/{path.stem}.ipynb) {heading.partition('·')[2].strip() or heading}")
    return "\n".join(rows)


def first_pictures(root: Path) -> str:
    """The titles of each lesson's first picture, from the picture's own description."""
    rows = []
    for path in in_order(root / "notebooks"):
        picture = root / "notebooks" / "pictures" / f"{path.stem}.png"
        if picture.exists():
            with Image.open(picture) as image:
                titles = image.info.get("Description", "").split("\n")
            said = [line for line in titles if re.search(r"\d", line) and "t =" not in line]
            rows.append([f"`{path.stem}`", " · ".join(said)])
    return table(["lesson", "its first picture says"], rows)


TABLES: dict[str, tuple[str, Callable[[Path], str]]] = {
    "approaches": ("README.md", approach_list), "work": ("README.md", work), "lessons": ("README.md", lesson_list),
    "which": ("README.md", which), "cards": ("APPROACHES.md", cards), "scores": ("APPROACHES.md", scores),
    "rivals": ("APPROACHES.md", rivals), "problems": ("APPROACHES.md", problem_list),
    "extremes": ("APPROACHES.md", extremes), "idle": ("APPROACHES.md", idle),
    "pictures": ("notebooks/TEACHING.md", first_pictures),
    "which kind": ("notebooks/00_start_here.py", partial(which, folder="", by_data=True))}


def written(root: Path) -> dict[Path, str]:
    """The files that hold tables, as many as there are, with all of them made anew, and lessons with their way."""
    texts: dict[Path, str] = signposted(root / "notebooks")
    for name, (file, make) in TABLES.items():
        path, begin, end = root / file, f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if not path.exists():                        # a folder of lessons alone has no tables
            continue
        text = texts.get(path) or path.read_text(encoding="utf-8")
        require(text.count(begin) == text.count(end) == 1 and text.index(begin) < text.index(end),
                must=f"{file}: a place for the table {name!r}.", came=str(path),
                why="Tables are written between two comments, and nothing else is touched.", do=f"{begin}, {end}.")
        mark = "# " if path.suffix == ".py" else ""      # prose of a lesson
        (head, rest), made = text.split(begin), indent(make(root), mark)
        texts[path] = f"{head}{begin}\n{made}\n{mark}{end}{rest.split(end)[1]}"
    return texts


def check(root: Path) -> list[str]:
    """One line for every file whose tables are stale."""
    return [f"{path.name}: tables or links are not what cards, lessons and weights say" for path, text in
            written(root).items() if path.read_text(encoding="utf-8") != text]


def sync(root: Path) -> list[Path]:
    """Write every table; the files that changed."""
    changed = {path: text for path, text in written(root).items() if path.read_text(encoding="utf-8") != text}
    for path, text in changed.items():
        write_text(path, text)
    return list(changed)
