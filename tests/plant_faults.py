"""Plant each fault of tests/faults in a copy of the repository, one at a time, and expect its test to go red.

    python tests/plant_faults.py                      all of them, two at a time
    python tests/plant_faults.py laws unit/fields     the lists laws.toml and unit/fields.toml
    python tests/plant_faults.py laws -k heun         faults whose file, test or reason holds the word
    python tests/plant_faults.py --list

A fault is `file`, `find` (a text that occurs once; left out, the file is new), `replace`, `test` and `why`. First every
test runs on the copy as it is and must be green; then a fault counts as seen if its test fails, not if it cannot run.
The working tree is never touched. Exit code 1 if a fault survives, no longer fits, or its test was not green before.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

TOP = Path(__file__).resolve().parents[1]
LISTS = TOP / "tests" / "faults"
HANGS, FAILED = -1, 1                       # pytest's exit code when a test ran and failed; others say it could not run
PATIENCE = 600                   # seconds for one test
ENDED = 64                       # added to pytest's exit code, since Python's own for a crash is 1 too
HEAVY = ["torch", "pytest", "scipy.stats", "scipy.spatial", "scipy.interpolate", "pandas", "matplotlib.pyplot",
         "plotly.graph_objects", "nbformat", "jupytext", "ipywidgets", "safetensors.torch", "typer.testing",
         "PIL.Image"]
FORKS = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Fault:
    """One entry of a list."""

    part: str
    file: str
    replace: str
    test: str
    why: str
    find: str | None = None


def faults(parts: list[str], word: str = "") -> list[Fault]:
    """The entries of the lists, of all if none is named, that hold the word."""
    have = {path.relative_to(LISTS).with_suffix("").as_posix(): path for path in sorted(LISTS.rglob("*.toml"))}
    unknown = set(parts) - set(have)
    if unknown:
        sys.exit(f"No list {', '.join(sorted(unknown))}; there are {', '.join(have)}.")
    found = [Fault(part, **entry) for part in parts or have
             for entry in tomllib.loads(have[part].read_text(encoding="utf-8"))["fault"]]
    return [f for f in found if word.lower() in f"{f.part} {f.file} {f.test} {f.why}".lower()]


def copy(where: Path, committed: bool = False) -> Path:
    """The repository as it is now, without what git ignores, or as it was committed, in a repository of its own."""
    if committed:
        subprocess.run(["git", "clone", "-q", TOP, where], check=True)
        return where
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True,
                            check=True).stdout.splitlines()
    for name in listed:
        if (TOP / name).is_file():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, where / name)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", where, *command], check=True)
    return where


def run(where: Path, tests: list[str], *options: str) -> tuple[int, str]:
    """Pytest in a copy: exit code and output. A process forked from one that has imported what is heavy."""
    said = where.with_name(f"{where.name}.said")
    arguments = ["-q", "-p", "no:cacheprovider", "--durations=0", "--tb=line", "-m", "", "-n", "0", "-W",
                 "ignore::pytest.PytestAssertRewriteWarning", *options, *tests]        # plugins were imported before
    process = FORKS.Process(target=_pytest, args=(str(where), str(said), arguments))
    process.start()
    process.join(PATIENCE * len(tests))
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        return HANGS, f"no end after {PATIENCE * len(tests)} s"
    text = said.read_text(encoding="utf-8", errors="replace") if said.exists() else ""
    return process.exitcode - ENDED, text            # a fork that broke, not its test, ends with less than ENDED


def _pytest(where: str, said: str, arguments: list[str]) -> None:
    """What the fork does: the copy is what is imported, its output goes into a file. No compiled files are written,
    so that a planted line is always read."""
    os.setsid()                                      # with all it starts, one group to be stopped
    os.chdir(where)
    sys.path.insert(0, where)
    os.environ["PYTHONPATH"], sys.dont_write_bytecode = where, True
    with open(said, "wb") as file:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
    import pytest

    code = pytest.main(arguments)
    sys.stdout.flush()
    os._exit(ENDED + int(code))


def green(where: Path, tests: list[str]) -> tuple[set[str], str]:
    """The tests that pass on the copy as it is, and what was said if not all do."""
    code, said = run(where, tests, "-rfE")
    if code not in (0, FAILED):                      # one that cannot be collected stops them all
        return {test for test in tests if run(where, [test])[0] == 0}, said
    red = tuple(line.split()[1] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR ")))
    return {test for test in tests if not any(r == test or r.startswith(f"{test}[") for r in red)}, said if red else ""


def plant(fault: Fault, where: Path) -> str:
    """What became of one fault in a copy: seen, SURVIVED, or why it could not be planted. The copy is restored."""
    path = where / fault.file
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if (fault.find is None) != (before is None):
        return "STALE: the file is there already" if fault.find is None else "STALE: no such file"
    if fault.find is not None and before.count(fault.find) != 1:
        return f"STALE: found {before.count(fault.find)} times"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fault.replace if fault.find is None else before.replace(fault.find, fault.replace),
                        encoding="utf-8")
        code, said = run(where, [fault.test], "-x")
    finally:
        path.unlink() if before is None else path.write_text(before, encoding="utf-8")
    if code == FAILED:
        return "seen"
    return "SURVIVED" if code == 0 else "HANGS" if code == HANGS else f"CANNOT RUN: {' '.join(said.split())[-160:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="LIST", help="names of lists; all by default")
    parser.add_argument("-k", dest="word", default="", help="only faults that hold this word")
    parser.add_argument("-j", dest="jobs", type=int, choices=(1, 2), default=2, help="how many at a time")
    parser.add_argument("--committed", action="store_true", help="plant in the last commit, not in files as they are")
    parser.add_argument("--list", action="store_true", help="show them, plant nothing")
    options = parser.parse_args()
    chosen, began = faults(options.parts, options.word), time.perf_counter()
    if options.list or not chosen:
        print("\n".join(f"{f.part:18} {f.file:40} {f.why}" for f in chosen) or "No such fault.")
        return int(not chosen)
    os.environ.update({"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"})
    FORKS.set_forkserver_preload(HEAVY)
    with tempfile.TemporaryDirectory(prefix="faults") as scratch:
        copies: SimpleQueue[Path] = SimpleQueue()
        for i in range(options.jobs):
            copies.put(copy(Path(scratch, str(i)), options.committed))
        tests = sorted({f.test for f in chosen})

        def whole(part: list[str]) -> tuple[set[str], str]:
            where = copies.get()
            found = green(where, part)
            copies.put(where)
            return found

        with ThreadPoolExecutor(options.jobs) as pool:
            found = list(pool.map(whole, [tests[i::8] for i in range(min(8, len(tests)))]))
        good, said = set().union(*(g for g, _ in found)), "".join(text for _, text in found)

        def one(fault: Fault) -> str:
            if fault.test not in good:
                return "NOT GREEN BEFORE"
            where = copies.get()
            try:
                return plant(fault, where)
            finally:
                copies.put(where)

        wide, outcomes = max(len(f.file) for f in chosen), []
        with ThreadPoolExecutor(options.jobs) as pool:
            for fault, outcome in zip(chosen, pool.map(one, chosen), strict=True):
                print(f"{fault.part:18}  {fault.file:{wide}}  {outcome:8}  {fault.why}", flush=True)
                if outcome != "seen":
                    print(f"{'':18}  {'':{wide}}            {fault.test}", flush=True)
                outcomes.append(outcome)
    if said:
        print(f"\nNot green before anything was planted:\n{said[-3000:]}")
    count = outcomes.count("seen")
    print(f"\n{count} of {len(outcomes)} faults seen, {time.perf_counter() - began:.0f} s")
    return int(count < len(outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
