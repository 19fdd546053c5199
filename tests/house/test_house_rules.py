"""Rules of the house, cheap and strict: what every module of the library keeps to, and every file of the repository."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "nfdlab"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
TALK = {"cli.py", "terminal.py", "doctor.py"}                                    # may print
RANDOM = {"stream", "normals", "uniforms", "seeded", "white", "choose", "rand", "randn", "randint", "randperm",
          "multinomial", "bernoulli", "normal_", "uniform_", "default_rng", "random"}
VERBS = {"draw", "fit", "path", "moments", "oracle", "posterior", "coords", "observe", "held_out", "ask"}
FORBIDDEN = {
    r"\.cuda\(": "a device is passed, never assumed", r"\bglobals\(\)": "names are written where they are made",
    r"import \*": "imports name what they take",
    r"warnings\.(filter|simplefilter)": "warnings are mended, not silenced",
    r"NotImplementedError|\bTODO\b|\bFIXME\b|\bXXX\b": "what is shipped is finished",
    r"manual_seed\(|np\.random\.seed|\brandom\.seed\(": "randomness has one source, core/rng.py",
    r"\bpickle\b(?!s can)": "loading executes no code",
}
DIALECT = {"told", "heard", "hear", "voices", "votes", "cloud", "dots", "belief", "believe", "kinds", "loudness",
           "alone", "Visit", "Coded", "Heard", "Belief", "Evaluated", "Folded", "Pushed", "Cascaded", "Told", "Waves"}
BUT = {("__init__.py", "globals()"), ("panels/sliders.py", "NotImplementedError"),       # IPython's word for "not me"
       ("core/rng.py", "manual_seed("), ("problems/files.py", "pickle")}                 # refuses them


def public(body, inside=""):
    """Public functions, classes and methods: pairs of dotted name and node."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield inside + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{inside}{node.name}.")


def from_run(where: str, node) -> bool:
    """Whether a method takes its generator from a training's Run, which has the seed."""
    return where.startswith("Run.") or "run.rng(" in ast.unparse(node)


def calls(node) -> set[str]:
    """Names of what is called anywhere inside."""
    return {getattr(c.func, "id", getattr(c.func, "attr", "")) for c in ast.walk(node) if isinstance(c, ast.Call)}


def tracked() -> list[Path]:
    """The files of the repository, and those that would be if they were committed now."""
    listed = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    names = listed.stdout.splitlines() if listed.returncode == 0 else [str(p) for p in TOP.rglob("*")]
    return [TOP / name for name in names if (TOP / name).is_file()]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_one_idea_and_says_it_first(name):
    """The first sentence of a module, in at most two lines, is what it is."""
    said = (ast.get_docstring(TREES[name]) or "").split("\n\n")[0]
    assert said.endswith((".", ":")) and len(said.splitlines()) <= 3, "one idea a module, said in its first sentence"


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("approaches/")])
def test_no_function_of_an_approach_is_long(name):
    """`fit` reads like the pseudo-code of a paper: 40 lines at most, as for every function beside it."""
    long = [f"{node.name}: {node.end_lineno - node.lineno + 1} lines" for node in ast.walk(TREES[name])
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 40]
    assert not long


def test_class_names_are_unique():
    defined = [node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert sorted(defined) == sorted(set(defined))


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"legacy.py", "jupyter/lessons.py"}))
def test_names_are_the_fields_standard_terms(name):
    """Words of the first edition's private dialect are no names of classes, functions, arguments or attributes."""
    used = {node.name for node in ast.walk(TREES[name]) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    used |= {node.arg for node in ast.walk(TREES[name]) if isinstance(node, (ast.arg, ast.keyword))}
    used |= {node.attr for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)}
    used |= {node.id for node in ast.walk(TREES[name]) if isinstance(node, ast.Name)}
    assert not used & DIALECT


@pytest.mark.parametrize("name", MODULES)
def test_capabilities_are_declared(name):
    """No `hasattr` finds out what a model, a problem or a pattern can do; protocols say it. Of the machine one may ask."""
    probes = [ast.unparse(call.args[0]) for call in ast.walk(TREES[name]) if isinstance(call, ast.Call)
              and getattr(call.func, "id", "") == "hasattr" and ast.unparse(call.args[0]) not in ("os", "x")]
    assert not probes


@pytest.mark.parametrize("name", MODULES)
def test_nothing_forbidden(name):
    text = MODULES[name].read_text(encoding="utf-8")
    found = [f"{m[0]}: {why}" for pattern, why in FORBIDDEN.items() for m in re.finditer(pattern, text)
             if (name, m[0]) not in BUT]
    tree = TREES[name]
    found += [f"line {node.lineno}: a bare assert vanishes under python -O" for node in ast.walk(tree)
              if isinstance(node, ast.Assert)]
    found += [f"line {node.lineno}: a library does not print" for node in ast.walk(tree)
              if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print" and name not in TALK]
    assert not found


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"core/rng.py", "core/checks.py", "cli.py"}))
def test_randomness_has_a_seed_that_is_named(name):
    """A public function that draws takes `seed` as a keyword, or a generator from someone who did."""
    found = []
    for where, node in public(TREES[name].body):
        if isinstance(node, ast.ClassDef):
            continue
        positional = [a.arg for a in node.args.posonlyargs + node.args.args]
        keyword = [a.arg for a in node.args.kwonlyargs]
        if "seed" in positional and positional != ["seed"] and not {"draw", "request"} & {node.name}:
            found.append(f"{where}: seed is passed by name, write *, seed")
        if calls(node) & RANDOM and not {"seed", "rng", "noise"} & {*keyword, *positional} and not from_run(where, node):
            found.append(f"{where}: draws with {sorted(calls(node) & RANDOM)} and takes no seed")
    assert not found


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_explained(name):
    """Public classes and functions of a module, and methods named by the contract, have a docstring."""
    found = [where for where, node in public(TREES[name].body)
             if ("." not in where or where.rpartition(".")[2] in VERBS) and not ast.get_docstring(node)]
    assert not found


def test_what_the_package_offers_is_explained():
    """Everything reached as nfdlab.something: itself, and its public methods and properties."""
    import nfdlab

    silent = []
    for name in nfdlab.__all__[1:]:
        thing = getattr(nfdlab, name)
        members = vars(thing) if isinstance(thing, type) else {}
        silent += [name] if not thing.__doc__ else []
        silent += [f"{name}.{key}" for key, value in members.items() if not key.startswith("_")
                   and (callable(value) or isinstance(value, (property, classmethod))) and not value.__doc__]
    assert not silent


def test_no_file_knows_the_machine_it_was_written_on():
    places = "|".join(["work", "tmp", "root", "home", "Users"])
    machine = re.compile(rf"(?<![\w./$}}])/(?:{places})(?![\w-])")
    index = re.compile(r"--(?:extra-)?index" + r"-url|--find" + r"-links|--trusted" + r"-host")
    host = re.compile(r"https?://([^\s/:'\"`)>{}]*)")
    public_host = re.compile(r"localhost|127\.0\.0\.1|(?:[a-z0-9-]+\.)+(?!internal|local|corp|lan|intra|home)[a-z]{2,}")
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue                                                           # pictures, arrays, weights
        found += [f"{path.relative_to(TOP)}: {m[0]}" for m in (*machine.finditer(text), *index.finditer(text))]
        found += [f"{path.relative_to(TOP)}: host {m[1]}" for m in host.finditer(text)
                  if m[1] and not public_host.fullmatch(m[1])]
    assert not found


@pytest.mark.parametrize("path", sorted((TOP / "tests" / "faults").glob("*.toml")), ids=lambda path: path.stem)
def test_every_fault_can_still_be_planted(path):
    """Each text to be replaced occurs once, and each test named is there; `tests/plant_faults.py` does the rest."""
    stale = []
    for fault in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]:
        target, (file, name) = TOP / fault["file"], fault["test"].split("::")
        times = target.read_text(encoding="utf-8").count(fault["find"]) if "find" in fault else 1 - target.exists()
        test = (TOP / file).read_text(encoding="utf-8")
        if times != 1 or not fault["why"] or f"def {name.partition('[')[0]}(" not in test:
            stale.append(f"{fault['file']}: {fault['why']}: found {times} times, tested by {fault['test']}")
    assert not stale


def test_ruff_is_content():
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", TOP],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
