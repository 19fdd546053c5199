"""Rules of the house, cheap and strict: what every module of the library keeps to, and every file of the repository."""

import ast
import importlib.util
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "nfdlab"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
TALK = {"jupyter/exercises.py", "cli.py", "terminal.py", "doctor.py"}   # may print
RANDOM = {"stream", "normals", "uniforms", "seeded", "white", "choose", "rand", "randn", "randint", "randperm",
          "multinomial", "bernoulli", "normal_", "uniform_", "default_rng", "random"}
FLOATS = {f"torch.{name}" for name in ("empty", "eye", "full", "linspace", "ones", "rand", "randn", "zeros")}
VERBS = {"draw", "fit", "path", "moments", "oracle", "posterior", "coords", "observe", "held_out", "ask"}
FORBIDDEN = {
    r"\.cuda\(": "a device is passed, never assumed", r"\bglobals\(\)": "names are written where they are made",
    r"import \*": "imports name what they take",
    r"warnings\.(filter|simplefilter)": "warnings are mended, not silenced",
    r"NotImplementedError|\bTODO\b|\bFIXME\b|\bXXX\b": "what is shipped is finished",
    r"manual_seed\(|np\.random\.seed|\brandom\.seed\(": "randomness has one source, core/rng.py",
    r"\bpickle\b(?!s can)": "loading executes no code",
}
BUT = {("__init__.py", "globals()"), ("panels/sliders.py", "NotImplementedError"),       # IPython's word for "not me"
       ("core/rng.py", "manual_seed("), ("problems/files.py", "pickle")}                 # refuses them
# words of the first edition's dialect, and the standard term for them: neither in identifiers nor in prose
DIALECT = {word: term for words, term in [
    ("hear hears heard listen listens listener mishear mishears", "condition on observations"),
    ("believe believes believed belief beliefs", "posterior"), ("dots", "observations"), ("told", "given, conditioned"),
    ("voice voices vote votes", "log_weights of mixture components"), ("loud louder loudness", "amplitude"),
    ("settle settles settled", "precompute, mcmc"), ("recall remember remembers", "prepare, evaluate"),
    ("steer steers steered steering", "guide"), ("dream dreams dreamt", "draw of the prior"), ("luck", "noise, chance"),
    ("doubt doubts", "epistemic uncertainty"), ("gossip whisper", "attention"), ("keen", "importance sampled"),
    ("codes", "latents"), ("kriged", "gp"),
] for word in words.split()}
PLAIN = {"told", "dots", "codes"}                        # in prose they are English: "16 unless told", "ISO codes"
# whole identifiers of the first edition
OLD_NAMES = set("""Visit Evaluated Heard Given Known Told Coded Cascaded Pushed Carried Tokened Framed Folded Joined
    Keen Sensor Belief Spread Gossip Waves Preconditioned TokenDenoiser FrameDenoiser DenoisedField cloud alone kinds
    """.split())
SPOKEN = {("jupyter/lab.py", "'listens' in a docstring or comment"),                       # a server does
          ("core/acquisition.py", "'settles' in a docstring or comment"),                  # B. Settles 2009
          ("jupyter/lessons.py", "kinds")}                                                 # of parameters


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


def first_sentence(text: str) -> str:
    """The first paragraph of a docstring up to its first full stop; empty where there is none."""
    found = re.match(r".*?\.(?=\s|$)", " ".join(text.split("\n\n")[0].split()))
    return found[0] if found else ""


def unexplained(tree: ast.Module) -> list[str]:
    """Docstrings of a module and of what is public in it that do not open with a sentence."""
    found = [] if first_sentence(ast.get_docstring(tree) or "") else ["the module: one idea, said in one sentence"]
    return found + [where for where, node in public(tree.body)
                    if ast.get_docstring(node) and not first_sentence(ast.get_docstring(node))]


def long_functions(tree: ast.Module) -> list[str]:
    """Functions of more than 40 lines, whatever is defined inside them included."""
    return [f"{node.name}: {node.end_lineno - node.lineno + 1} lines" for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 40]


def namesakes(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Class names that occur more than once, and where."""
    found = defaultdict(list)
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name)
    return {name: where for name, where in found.items() if len(where) > 1}


def identifiers(tree: ast.Module) -> set[str]:
    """What a module names: classes, functions, arguments, variables, attributes, fields and keywords of calls."""
    keys = {ast.ClassDef: ("name",), ast.FunctionDef: ("name",), ast.Name: ("id",), ast.Attribute: ("attr",),
            ast.arg: ("arg",), ast.keyword: ("arg",), ast.alias: ("name", "asname")}
    return {getattr(node, key) or "" for node in ast.walk(tree) for key in keys.get(type(node), ())}


def prose(text: str, tree: ast.Module) -> str:
    """Docstrings and comments of a module."""
    docs = [ast.get_docstring(node) or "" for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return "\n".join([*docs, *(token.string for token in tokenize.generate_tokens(io.StringIO(text).readline)
                               if token.type == tokenize.COMMENT)])


def words_of(identifier: str) -> set[str]:
    """The words that an identifier is made of: `LogWeights` and `log_weights` are log and weights."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def dialect(text: str) -> list[str]:
    """Words of DIALECT in the identifiers, docstrings and comments of a module; strings of random streams may keep
    theirs, as they are part of the draws."""
    tree = ast.parse(text)
    names = identifiers(tree)
    found = [f"{name}: a name of an earlier edition" for name in names & OLD_NAMES]
    found += [f"{name}: say {DIALECT[word]}" for name in names for word in words_of(name) & set(DIALECT)]
    spoken = {word.lower() for word in re.findall(r"[A-Za-z]+", prose(text, tree))}
    return sorted(found + [f"{word!r} in a docstring or comment: say {DIALECT[word]}" for word in spoken & set(DIALECT)
                           if word not in PLAIN])


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_idea_and_says_it_in_a_sentence(name):
    """The first sentence of its docstring; so do public classes, functions and methods."""
    assert unexplained(TREES[name]) == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("approaches/")])
def test_functions_in_approaches_are_short(name):
    assert long_functions(TREES[name]) == []


def test_a_class_name_is_unique_in_the_package():
    assert namesakes(TREES) == {}


@pytest.mark.parametrize("name", MODULES)
def test_names_are_the_fields_terms(name):
    found = dialect(MODULES[name].read_text(encoding="utf-8"))
    found += [f"{word}: say {DIALECT[word]}" for word in words_of(name) & set(DIALECT)]
    assert [line for line in found if (name, line.partition(":")[0]) not in SPOKEN] == []


@pytest.mark.parametrize("text,rule", [
    ("x = 1\n", unexplained), ('"""Parts of things"""\n', unexplained),
    ('"""Parts."""\ndef f():\n    """what it gives"""\n', unexplained),
    ("def f():\n" + 40 * "    x = 1\n", long_functions),
    ("class A:\n    def f(self):\n        def g():\n" + 39 * "            x = 1\n", long_functions)])
def test_a_broken_rule_is_seen(text, rule):
    assert rule(ast.parse(text))


def test_two_classes_of_one_name_are_seen():
    a, b = (ast.parse(f"class {name}:\n    class Inner{name}: ...\n") for name in "AB")
    assert namesakes({"a": a, "b": b}) == {} and namesakes({"a": a, "b": b, "c": a}) == {
        "A": ["a", "c"], "InnerA": ["a", "c"]}


@pytest.mark.parametrize("text", [
    "def f(told): ...\n", "class BeliefNetwork: ...\n", "x.log_votes = 1\n", "f(dots=1)\n", "class Coded: ...\n",
    "from a import loudness\n", "class A:\n    voices: int = 3\n", '"""Tokens hear each other."""\n',
    "x = 1            # how loud each is\n"])
def test_a_word_of_the_dialect_is_seen(text):
    assert dialect(text)


@pytest.mark.parametrize("text", ['x = child(seed, "belief")\n', '"""16 unless told."""\n',
                                  "class EvaluatedFields: ...\n"])
def test_a_stream_of_random_numbers_keeps_its_name(text):
    assert dialect(text) == []


@pytest.mark.parametrize("name", MODULES)
def test_capabilities_are_declared(name):
    """No `hasattr` finds out what a model, a problem or a pattern can do; protocols say it. The machine
    may be asked."""
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


@pytest.mark.parametrize("name", MODULES)
def test_no_tensor_follows_the_default_dtype(name):
    """Torch's factories are called with a dtype, or from core/single.py; a program may have set another default."""
    bare = [ast.unparse(node) for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)
            and ast.unparse(node.func) in FLOATS and not {"dtype", "out"} & {k.arg for k in node.keywords}]
    assert bare == []


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"core/rng.py", "core/checks.py", "cli.py"}))
def test_randomness_has_a_seed_that_is_named(name):
    """A public function that draws takes `seed` as a keyword, or a generator from someone who did, or belongs to an
    object that holds one of them (the `run` of a training)."""
    found = []
    for where, node in public(TREES[name].body):
        if isinstance(node, ast.ClassDef):
            continue
        positional = [a.arg for a in node.args.posonlyargs + node.args.args]
        keyword = [a.arg for a in node.args.kwonlyargs]
        if "seed" in positional and positional != ["seed"]:
            found.append(f"{where}: seed is passed by name, write *, seed")
        given = {"seed", "rng", "noise"} & {*keyword, *positional} or from_run(where, node)
        if calls(node) & RANDOM and not given:
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


FAULTS = sorted((TOP / "tests" / "faults").rglob("*.toml"))


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_every_fault_can_still_be_planted(path):
    """Each text to be replaced occurs once, and each test named is there, in the folder that the list is for;
    `tests/plant_faults.py` does the rest."""
    stale, folder = [], path.relative_to(TOP / "tests" / "faults").with_suffix("")
    for fault in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]:
        target, (file, name) = TOP / fault["file"], fault["test"].split("::")
        times = target.read_text(encoding="utf-8").count(fault["find"]) if "find" in fault else 1 - target.exists()
        test = (TOP / file).read_text(encoding="utf-8")
        if TOP / file != TOP / "tests" / folder / Path(file).name:
            stale.append(f"{fault['why']}: belongs to the list of {file}")
        if times != 1 or not fault["why"] or f"def {name.partition('[')[0]}(" not in test:
            stale.append(f"{fault['file']}: {fault['why']}: found {times} times, tested by {fault['test']}")
    assert not stale


def test_ruff_is_content():
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", TOP],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
