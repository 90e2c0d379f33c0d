"""Language identifiers that ship their model inside a PyPI package: speed on one core, and how often they are right.

`python -m bench.language`, after `pip install py3langid pycld2 cld3-py lingua-language-detector`; those that are not
installed are left out. The texts: see `pipeline.filtered.language`, where the figures of one run are kept.
"""

import ast
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from bench.measure import Case, Cost, apart, interleaved, timed
from bench.table import figure, show
from pipeline.filtered import language
from tests.filtered.language_sentences import SENTENCES, STARTS

Identify = Callable[[Sequence[str]], list[str]]  # ISO 639-1 codes of texts


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many docstrings, and how often the sentences are repeated where they are timed."""

    n_docstrings: int = 1000
    repeats: int = 20
    rounds: int = 3


FULL = Sizes()


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    sentences = [(code, text) for code, texts in SENTENCES.items() for text in texts]
    docstrings = [("en", text) for text in standard_library_docstrings(sizes.n_docstrings)]
    makers = {name: make for name, (module, make) in CANDIDATES.items() if find_spec(module)}
    loads = {name: apart(lambda make=make: make()(["Which language is this?"])) for name, make in makers.items()}  # type: ignore[misc]
    candidates = {name: make() for name, make in makers.items()}
    timings = [
        interleaved({name: _case(identify, texts) for name, identify in candidates.items()}, sizes.rounds)
        for texts in (docstrings, sentences * sizes.repeats)
    ]
    show(
        f"language: {len(sentences)} sentences, {len(docstrings):,} docstrings; shares that are right",
        ["", "sentences", "4 words", "docstrings", "docstrings MB/s", "sentences/s", "load s", "load MB"],
        [
            [name]
            + [f"{_right(identify, texts):.1%}" for texts in (sentences, STARTS, docstrings)]
            + [figure(_cpu_rate(timings[0][name]) / 1e6)]
            + [figure(_cpu_rate(timings[1][name]) * len(sentences) * sizes.repeats / timings[1][name].amount)]
            + [figure(loads[name].wall_seconds), figure(loads[name].peak_bytes / 1e6)]
            for name, identify in candidates.items()
        ],
    )


def standard_library_docstrings(n: int) -> list[str]:
    """The first docstrings of at least 200 characters, in the order of the standard library's paths, tests left out."""
    found: list[str] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" in path.parts or "/test" in str(path) or "lib2to3" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                found += [text] if len(text) >= 200 else []
        if len(found) >= n:
            break
    return found[:n]


def _case(identify: Identify, texts: Sequence[tuple[str, str]]) -> Case:
    only = [text for _, text in texts]
    n_bytes = sum(len(text.encode()) for text in only)
    return lambda: timed(lambda: identify(only), amount=n_bytes)


def _cpu_rate(cost: Cost) -> float:
    return cost.amount / cost.cpu_seconds


def _right(identify: Identify, texts: Sequence[tuple[str, str]]) -> float:
    found = identify([text for _, text in texts])
    return sum(code == expected for code, (expected, _) in zip(found, texts, strict=True)) / len(texts)


def _ours() -> Identify:
    return lambda texts: language.identify(pa.array(texts))[0]


def _fasttext() -> Identify:
    model = language._model()
    return lambda texts: [model.predict(text.replace("\n", " "))[0][0].removeprefix("__label__") for text in texts]


def _py3langid() -> Identify:
    classify = import_module("py3langid").classify
    return lambda texts: [classify(text)[0] for text in texts]


def _pycld2() -> Identify:
    detect = import_module("pycld2").detect
    return lambda texts: [detect(text)[2][0][1].split("-")[0] for text in texts]


def _cld3() -> Identify:
    find = import_module("gcld3").NNetLanguageIdentifier(0, 4096).FindLanguage
    return lambda texts: [find(text=text).language.split("-")[0] for text in texts]


def _lingua() -> Identify:
    builder = import_module("lingua").LanguageDetectorBuilder.from_all_languages()
    detect = builder.with_preloaded_language_models().build().detect_language_of
    return lambda texts: [found.iso_code_639_1.name.lower() if (found := detect(text)) else "und" for text in texts]


CANDIDATES: dict[str, tuple[str, Callable[[], Identify]]] = {
    "identify (ours)": ("fasttext", _ours),
    "lid.176.ftz, texts as they are": ("fasttext", _fasttext),
    "py3langid": ("py3langid", _py3langid),
    "pycld2": ("pycld2", _pycld2),
    "cld3-py": ("gcld3", _cld3),
    "lingua": ("lingua", _lingua),
}

if __name__ == "__main__":
    main()
