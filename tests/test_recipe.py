import re
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline import recipe
from pipeline.documents.records import Format, ReadParams
from pipeline.recipe import Mix, RecipeError
from pipeline.recipe_fields import parse_amount, parse_weight

TINY = """\
name: tiny
sequence_length: 16
budget_tokens: 1K
tokenizer: {train: {vocab_size: 300}}
sources:
  code: {root: raw/code, files: ["*.jsonl"], weight: 0.4}
  docs: {root: raw/docs, files: ["*.jsonl"], weight: 0.6}
"""


ALIASES = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))


def changed(old: str, new: str) -> str:
    """The tiny recipe with a piece of its text replaced."""
    assert TINY.count(old) == 1
    return TINY.replace(old, new)


def source(field: str) -> str:
    """The tiny recipe with one more field in the source `code`."""
    return changed("weight: 0.4", f"weight: 0.4, {field}")


def refusal(text: str) -> str:
    """What a recipe's author is told: one paragraph that begins with the file's name."""
    with pytest.raises(RecipeError) as caught:
        recipe.parse(text, "mixes/mine.yaml")
    message = str(caught.value)
    assert message.startswith("mixes/mine.yaml")
    assert "\n" not in message
    return message.removeprefix("mixes/mine.yaml").removeprefix(": ").strip()


def test_the_demo_recipe_loads() -> None:
    mix = recipe.load(Path(__file__).parent.parent / "mixes" / "demo.yaml")
    assert mix.name == "demo"
    assert set(mix.sources) == {"code", "docstrings", "docs"}
    assert sum(each.weight for each in mix.sources.values()) == 1


def test_defaults() -> None:
    mix = recipe.parse(TINY, "here")
    assert (mix.seed, mix.packing, mix.bos, mix.eos, mix.holdout, mix.stages) == (0, "concat", False, True, None, ())
    assert (mix.max_quarantined, mix.redistribute, mix.acknowledge, mix.compression) == (0.01, False, (), None)
    code = mix.sources["code"]
    assert (code.max_passes, code.max_document_bytes, code.max_rejected, code.rules) == (4, 100_000_000, 0.95, ())
    assert code.read == ReadParams(format=Format.JSONL)
    dedup = mix.dedup
    assert (dedup.threshold, dedup.ngram, dedup.bands, dedup.rows, dedup.scope) == (0.8, 5, None, None, "global")
    assert (dedup.exact, dedup.verify, dedup.max_cluster, dedup.max_source_loss) == (True, "signature", 100_000, 0.9)


def test_the_recipe_of_the_design_loads() -> None:
    text = """
name: demo
seed: 17
sequence_length: 1024
budget_tokens: 20M
tokenizer: {train: {vocab_size: 16000, sample_bytes: 50M}}
sources:
  code:
    root: data/raw/code
    files: ["*.jsonl.zst"]
    format: jsonl
    text_field: text
    url_field: url
    id_field: id
    rules: [code]
    weight: 0.4
    priority: 2
  docs:
    root: s3://bucket/docs
    storage: {anon: true}
    files: ["2024/**/*.jsonl.gz", notes.jsonl]
    rules: [gopher_quality, {gopher_repetition: {max_dup_line_share: 0.2}}, {signal: n_words, min: 20}]
    weight: 0.6
    priority: 1
    max_passes: 0.5
dedup: {threshold: 0.8, ngram: 5, bands: 14, rows: 8, max_cluster: 1K}
holdout: {documents: 200}
stages:
  - {until_tokens: 16M}
  - {weights: {code: 1/5, docs: 4/5}}
acknowledge: [max_cluster:code, max_quarantined:docs]
packing: best_fit
compression: zstd:3
"""
    mix = recipe.parse(text, "here")
    assert mix.budget_tokens == 20_000_000
    assert mix.tokenizer.train is not None
    assert mix.tokenizer.train.sample_bytes == 50_000_000
    assert mix.sources["docs"].files == ("2024/**/*.jsonl.gz", "notes.jsonl")
    assert mix.sources["code"].read == ReadParams(url_field="url", id_field="id")
    assert mix.stages[0].until_tokens == 16_000_000
    assert mix.stages[1].weights == {"code": Fraction(1, 5), "docs": Fraction(4, 5)}
    assert mix.dedup.max_cluster == 1000
    assert mix.compression == "zstd:3"


def test_fields_that_are_not_written_come_from_an_anchor() -> None:
    text = changed("  code: {", "  code: &code {").replace("  docs: {", "  docs: {<<: *code, ")
    mix = recipe.parse(text, "here")
    assert mix.sources["docs"].root == "raw/docs"
    mix = recipe.parse(TINY.replace("  code: {", "  code: &code {") + "  more: {<<: *code, weight: 1}\n", "here")
    assert (mix.sources["more"].root, mix.sources["more"].weight) == ("raw/code", Fraction(1))


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (1, 1),
        (20_000_000, 20_000_000),
        ("20M", 20_000_000),
        ("1.5B", 1_500_000_000),
        ("1e6", 1_000_000),
        ("1.5e3", 1500),
        (1e22 / 1e6, 10**16),
        (2.0, 2),
        (" 3 k ", 3000),
        ("1_000", 1000),
        ("0.001K", 1),
        ("0.1T", 10**11),
        ("1000000T", 10**18),
    ],
)
def test_amounts(value: object, amount: int) -> None:
    assert parse_amount(value) == amount


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "is not an amount; write a number with an optional K, M, B or T, as 20M"),
        (None, "is not an amount"),
        ([1], "is not an amount"),
        ("many", "is not an amount; write a positive number"),
        ("", "is not an amount"),
        ("M", "is not an amount"),
        ("20MB", "is not an amount"),
        ("20 GiB", "is not an amount"),
        (-5, "is not an amount; write a positive number"),
        ("-5M", "is not an amount; write a positive number"),
        (float("inf"), "is not an amount"),
        (float("nan"), "is not an amount"),
        (0, "must be from 1 to 1000000T"),
        ("0M", "must be from 1 to 1000000T"),
        (0.5, "must be from 1 to 1000000T"),
        (1.5, r"is 1\.5, which is not a whole number"),
        ("1.0005K", r"is 1000\.5, which is not a whole number"),
        ("1e99", "must be from 1 to 1000000T"),
        ("1e999999999", "is not an amount"),
    ],
)
def test_amounts_that_are_none(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_amount(value)


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        (0.4, Fraction(2, 5)),
        (1, Fraction(1)),
        ("1/3", Fraction(1, 3)),
        (" 2 / 5 ", Fraction(2, 5)),
        (1e-6, Fraction(1, 10**6)),
        ("1e-6", Fraction(1, 10**6)),
        (0.1 + 0.2, Fraction("0.30000000000000004")),
        ("0.5/2", Fraction(1, 4)),
        (-1, Fraction(-1)),
    ],
)
def test_weights_are_the_decimal_numbers_that_were_written(value: object, weight: Fraction) -> None:
    assert parse_weight(value) == weight


@pytest.mark.parametrize(
    "value", ["much", "", True, None, [1], "1/0", "1/-2", float("inf"), float("nan"), "1e999999999", "40%"]
)
def test_weights_that_are_none(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a number; write it as 0\.4 or 2/5"):
        parse_weight(value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight: 0.4", "weight: 0", "sources.code.weight = 0: must be above 0; leave the source out if it is not to"),
        ("weight: 0.4", "weight: -0.1", "sources.code.weight = -0.1: must be above 0; leave the source out"),
        ("weight: 0.4", "weight: much", "sources.code.weight = much: is not a number; write it as 0.4 or 2/5"),
        ("weight: 0.4", "weight: .inf", "sources.code.weight = inf: is not a number; write it as 0.4 or 2/5"),
        ("weight: 0.4", "weight: 1e400", "sources.code.weight = 1e400: must be from 1e-18 to 1e18; weights are shares"),
        ("weight: 0.4", "weight: .nan", "sources.code.weight = nan: is not a number; write it as 0.4 or 2/5"),
        ("weight: 0.4", "weight: true", "sources.code.weight = True: is not a number; write it as 0.4 or 2/5"),
        (", weight: 0.4", "", "sources.code.weight is missing; add it, as weight: 0.4"),
        ("name: tiny", "", "name is missing; add it, as name: demo"),
        ("name: tiny", "name: Tiny!", "name = Tiny!: must be made of at most 64 lower-case letters, digits"),
        ("name: tiny", f"name: {'x' * 65}", "must be made of at most 64 lower-case letters"),
        ("name: tiny", "name: 2024-12-01", "name = 2024-12-01: must be text; write it in quotes, as name: demo"),
        ("name: tiny", "name:", "name = nothing: must be text"),
        ("sequence_length: 16", "sequence_length: 1", "sequence_length = 1: must be at least 2"),
        ("sequence_length: 16", "sequence_length: 1.5", "sequence_length = 1.5: must be a whole number, as sequence"),
        ("sequence_length: 16", "sequence_length: true", "sequence_length = True: must be a whole number"),
        ("sequence_length: 16", "sequence_length: 99999999", "must be at most 16777216"),
        ("sequence_length: 16", "sequence_length: 2000", "budget_tokens: 1000 is less than one sample of sequence_"),
        ("budget_tokens: 1K", "budget_tokens: 1X", "budget_tokens = 1X: is not an amount; write a positive number"),
        ("budget_tokens: 1K", "budget_tokens: 0", "budget_tokens = 0: must be from 1 to 1000000T"),
        ("budget_tokens: 1K", "budget_tokens: -1", "budget_tokens = -1: is not an amount; write a positive number"),
        ("root: raw/code", "root: ''", "sources.code.root = '': must not be empty"),
        (
            "root: raw/code",
            "root: 5",
            "sources.code.root = 5: must be text; write it in quotes, as root: data/raw/code",
        ),
        ("  code:", "  Code:", "sources.Code = Code: must be made of at most 64 lower-case letters"),
        ("  code:", "  2024:", "sources.2024 = 2024: must be text; write it in quotes"),
        ("  code:", "  no:", "= False: must be text; write it in quotes"),
    ],
)
def test_fields_with_wrong_values(old: str, new: str, message: str) -> None:
    assert message in refusal(changed(old, new))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ('"*.jsonl"', 'sources.code.files = *.jsonl: must be a list, as files: ["*.jsonl.zst"]'),
        ("[]", 'sources.code.files = []: must not be empty, as files: ["*.jsonl.zst"]'),
        ("[5]", "sources.code.files.0 = 5: must be text; write it in quotes"),
        ("[/etc/*.txt]", "sources.code.files.0 = /etc/*.txt: must be a path or glob below the source's root, as"),
        ("[a/../../b]", "sources.code.files.0 = a/../../b: must be a path or glob below the source's root"),
        ('["**.txt"]', "sources.code.files.0 = **.txt: is not a glob: Invalid pattern"),
        ("{a: b}", "sources.code.files = {'a': 'b'}: must be a list"),
        ("!!set {a, b}", "must be a list"),
    ],
)
def test_files(files: str, message: str) -> None:
    refused = refusal(TINY.replace('files: ["*.jsonl"]', f"files: {files}", 1))
    assert message in refused
    assert ";" not in refused.replace("; write", "")  # said once


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("rules: code", "sources.code.rules = code: must be a list, as rules: [gopher_quality]"),
        (
            "rules: [cod]",
            "unknown rule set 'cod'; known are gopher_quality, gopher_repetition, c4, fineweb, code",
        ),
        ("rules: [{code: {max_line: 5}}]", "code has no limit max_line; it has max_mean_line_length, max_line_length"),
        ("rules: [{code: {max_lines: many}}]", "code.max_lines is 'many'; a limit is a number, or null to switch"),
        (
            "rules: [{signal: [n_words], min: 5}]",
            "the signal ['n_words'] is not text; write it as {signal: n_words, min",
        ),
        ("rules: {gopher_quality: {}}", "sources.code.rules = {'gopher_quality': {}}: must be a list, as rules: ["),
        ("rules: [{signal: words, min: 5}]", "unknown signal 'words'; known are n_bytes, n_chars"),
        ("rules: [code, code]", "asked for twice"),
        ("rules: [[code]]", "['code'] is no rule; write a rule set"),
        ("max_passes: 0", "sources.code.max_passes = 0: must be above 0"),
        ("max_passes: .inf", "sources.code.max_passes = inf: must be a finite number, as max_passes: 4"),
        ("max_passes: true", "sources.code.max_passes = True: must be a number, as max_passes: 4"),
        ("max_rejected: 1.5", "sources.code.max_rejected = 1.5: must be at most 1"),
        ("max_rejected: .nan", "sources.code.max_rejected = nan: must be a finite number"),
        ("max_document_bytes: 0", "sources.code.max_document_bytes = 0: must be from 1 to"),
        ("priority: 1.5", "sources.code.priority = 1.5: must be a whole number"),
        ("priority: 99999999999", "sources.code.priority = 99999999999: must be at most 2147483647"),
        ("format: csv", "sources.code.format = csv: must be 'jsonl', 'parquet' or 'text'"),
        ("storage: anon", "sources.code.storage = …: must be a group of fields, as storage: {anon: true}"),
        (
            "url_field: text",
            "sources.code: text_field, url_field and id_field must be different fields, not text, text",
        ),
        ("id_field: ''", "sources.code: text_field, url_field or id_field is empty"),
        ("format: text, url_field: u", "sources.code: url_field cannot be given: a file of format text has no fields"),
        ("languages: [en, xx]", "sources.code.languages.1 = xx: is not a language that the identification knows"),
        ("languages: []", "sources.code.languages = []: must not be empty"),
        ("min_language_score: 2", "sources.code.min_language_score = 2: must be at most 1"),
        ("wieght: 1", "unknown field sources.code.wieght; known here are files, format, id_field, languages"),
    ],
)
def test_fields_of_a_source(field: str, message: str) -> None:
    assert message in refusal(source(field))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seeds: 1",
            "unknown field seeds; known here are acknowledge, bos, budget_tokens, compression, decontaminate, dedup",
        ),
        ("take_down: ''", "take_down = '': must not be empty"),
        ("decontaminate: {sets: {}}", "decontaminate.sets = {}: must not be empty"),
        ("decontaminate: {sets: {a: {root: x}}}", "decontaminate.sets.a.files is missing"),
        (
            "decontaminate: {sets: {a: {root: x, files: ['*']}}, action: passages}",
            "decontaminate.action = passages",
        ),
        (
            "decontaminate: {sets: {a: {root: x, files: ['*'], fields: [text, text]}}}",
            "fields: text, text names a field twice; write it once",
        ),
        ("dedup: {bnads: 1}", "unknown field dedup.bnads; known here are against, bands, exact"),
        ("dedup: {against: /data/x}", "dedup.against = /data/x: must be a list, as against: [/data/deduped/code/0123"),
        ("dedup: {against: ['']}", "dedup.against.0 = '': must not be empty"),
        ("dedup: {against: [x], verify: exact}", "dedup: verify: exact cannot be used with against: of these datasets"),
        ("dedup: {threshold: 0}", "dedup.threshold = 0: must be above 0"),
        ("dedup: {threshold: 80%}", "dedup.threshold = 80%: must be a number"),
        ("dedup: {scope: local}", "dedup.scope = local: must be 'global' or 'within_source'"),
        ("dedup: [0.8]", "dedup = [0.8]: must be a group of fields, as dedup: {threshold: 0.8}"),
        ("holdout: 200", "holdout = 200: must be a group of fields, as holdout: {documents: 200}"),
        ("holdout: {documents: 0}", "holdout.documents = 0: must be at least 1"),
        ("holdout: {}", "holdout.documents is missing; add it, as documents: 200"),
        ("holdout: {documents: 1, share: 1}", "unknown field holdout.share; known here are documents"),
        ("dedup: {url: true}", "dedup.url: no source has a url_field to compare by; give one, or leave dedup.url out"),
        ("'a b\\n': 1", "unknown field a b\\n; known here are"),
        ('acknowledge: ["\\e[31mx"]', "acknowledge = \\x1b[31mx: there is no such alarm"),
        ("seed: -1", "seed = -1: must be at least 0"),
        ("packing: tight", "packing = tight: must be 'concat', 'best_fit' or 'none'"),
        ("compression: gz", "compression = gz: must be zstd, or zstd with a level, as zstd:3 (1 to 22)"),
        ("bos: 'yes'", "bos = yes: must be true or false"),
        ("max_quarantined: true", "max_quarantined = True: must be a number"),
        ("acknowledge: max_cluster:code", "must be a list, as acknowledge: [max_rejected:code]"),
        ("acknowledge: [max_rejectd:code]", "acknowledge = max_rejectd:code: there is no such alarm; known are max_"),
        ("acknowledge: [max_rejected:web]", "acknowledge = max_rejected:web: there is no such alarm"),
        ("1: 2", "1 = 1: is not the name of a field"),
        ("stages: [{untill_tokens: 5}, {}]", "unknown field stages.0.untill_tokens; known here are until_tokens, wei"),
        ("stages: [{until_tokens: 0}, {}]", "stages.0.until_tokens = 0: must be from 1 to"),
        ("stages: [{}, {}]", "stages.0: until_tokens is missing; only the last stage goes on to the end"),
        (
            "stages: [{until_tokens: 500}]",
            "stages.0.until_tokens = 500: the last stage goes on to the end of the budget",
        ),
        ("stages: [{until_tokens: 15}, {}]", "stages.0.until_tokens = 15: is less than one sample of sequence_length"),
        ("stages: [{until_tokens: 32}, {until_tokens: 47}, {}]", "stages.1.until_tokens = 47: is less than one sample"),
        ("stages: [{until_tokens: 64}, {until_tokens: 32}, {}]", "stages.1.until_tokens = 32: is less than"),
        ("stages: [{weights: {code: 1}}]", "stages.0.weights: no weight for docs; write 0 to leave a source out"),
        (
            "stages: [{weights: {code: 1, docs: 1, web: 1}}]",
            "stages.0.weights: there is no source 'web'; known are code, docs",
        ),
        ("stages: [{weights: {code: 0, docs: 0}}]", "stages.0.weights: all are 0, of code, docs; give one"),
        ("stages: [{weights: {code: -1, docs: 1}}]", "stages.0.weights.code = -1: must not be below 0"),
        ("stages: [{}]\nredistribute: true", "redistribute: has no defined meaning with stages"),
    ],
)
def test_other_fields(text: str, message: str) -> None:
    assert message in refusal(TINY + text)


def test_a_stage_may_leave_a_source_out_and_end_inside_a_sample() -> None:
    mix = recipe.parse(TINY + "stages: [{until_tokens: 31, weights: {code: 0, docs: 1}}, {}]", "here")
    assert mix.stages[0].weights == {"code": Fraction(0), "docs": Fraction(1)}


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        ("gpt2", "tokenizer = gpt2: must be a group of fields, as tokenizer: {train: {vocab_size: 16000}}"),
        ("{}", "tokenizer: needs exactly one of train, file, hub"),
        ("{file: a, hub: b}", "tokenizer: needs exactly one of train, file, hub"),
        ("{file: ''}", "tokenizer.file = '': must not be empty"),
        ("{train: {}}", "tokenizer.train.vocab_size is missing; add it, as vocab_size: 16000"),
        ("{train: {vocab_size: 256}}", "tokenizer.train.vocab_size = 256: must be at least 257: 256 bytes, EOS"),
        ("{train: {vocab_size: 16K}}", "tokenizer.train.vocab_size = 16K: must be a whole number"),
        ("{train: {vocab_size: 99999999}}", "must be at most 16777216"),
        ("{train: {vocab_size: 300, sample_bytes: 0}}", "tokenizer.train.sample_bytes = 0: must be from 1 to"),
        (
            "{train: {vocab_size: 300, kind: bpe}}",
            "unknown field tokenizer.train.kind; known here are sample_bytes, vo",
        ),
        ("{train: {vocab_size: 300}, eos_token: x}", "eos_token and bos_token name tokens of a file or hub tokenizer"),
        (
            "{filename: a}",
            "unknown field tokenizer.filename; known here are bos_token, eos_token, file, hub, specials_in_text, train",
        ),
        ("{file: a, specials_in_text: 1}", "tokenizer.specials_in_text = 1: must be"),
        ("{file: a, bos_token: <s>}", "tokenizer.bos_token = <s>: is never written without `bos: true`"),
    ],
)
def test_tokenizers(tokenizer: str, message: str) -> None:
    assert message in refusal(changed("{train: {vocab_size: 300}}", tokenizer))


def test_bos_takes_an_id_of_the_vocabulary() -> None:
    text = changed("vocab_size: 300", "vocab_size: 257")
    assert recipe.parse(text, "here").tokenizer.train is not None
    assert "must be at least 258: 256 bytes, EOS and BOS" in refusal(text + "bos: true")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ("{}", "sources = {}: must not be empty, as sources: {code: {root: …, files: …, weight: …}}"),
        ("[code]", "sources = ['code']: must be a group of fields"),
        ("", "sources = nothing: must be a group of fields"),
        ("{code: raw/code}", "sources.code = raw/code: must be a group of fields"),
        ("{code: }", "sources.code = nothing: must be a group of fields"),
    ],
)
def test_sources(sources: str, message: str) -> None:
    assert message in refusal(TINY.partition("sources:")[0] + f"sources: {sources}")


@pytest.mark.parametrize("wrong", ["HIDDEN", "[HIDDEN]", "{secret: HIDDEN: 1}", '{secret: "HIDDEN}', "{1: HIDDEN}"])
def test_credentials_are_not_shown_in_errors(wrong: str) -> None:
    assert "HIDDEN" not in refusal(changed("weight: 0.4", f"weight: 0.4, storage: {wrong}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing; a recipe holds fields, as name: …, sources: …"),
        ("- a\n- b", "holds a list; a recipe holds fields"),
        ("just words", "holds a single value; a recipe holds fields"),
        (TINY + "seed: 1\nseed: 2", "is not valid YAML: the field 'seed' is given twice, again in line 9; keep one"),
        (TINY + "dedup:\n  ngram: 5\n  rows: 8\n  ngram: 6\n", "the field 'ngram' is given twice, again in line 11"),
        (TINY + "dedup: {ngram: 5", "is not valid YAML: "),
        (TINY + "a: b: c", "is not valid YAML: mapping values are not allowed here"),
        (TINY + "\tseed: 1", "is not valid YAML: "),
        (TINY + "seed: *there", "is not valid YAML: found undefined alias"),
        (TINY + "---\n" + TINY, "is not valid YAML: expected a single document"),
        (TINY + "x: !!python/object/apply:os.getcwd []", "is not valid YAML: could not determine a constructor"),
        (
            changed("raw/code", "{{ folder }}"),
            "a field's name is not a plain word in line 6; are there braces too many",
        ),
        (TINY + "? [a, b]\n: 1", "a field's name is not a plain word in line 8"),
        (
            changed("tiny", "2024-13-01"),
            "is not valid YAML: '2024-13-01' in line 1 is no timestamp (month must be in 1..12); mend it, or quote it",
        ),
        (changed("1K", "9" * 5000), "in line 3 is a larger number than any field takes (at most 9223372036854775807)"),
        (changed("1K", "010000"), "'010000' in line 3 is 4096 for YAML, in base 8; write 4096, or quote the text"),
        (changed("1K", "1:30:00"), "'1:30:00' in line 3 is 5400 for YAML, in base 60; write 5400, or quote the text"),
        (changed("1K", "1:30.5"), "'1:30.5' in line 3 is 90.5 for YAML, in base 60"),
        (TINY + "x: " + "[" * 1_000, "is not valid YAML: its brackets or groups are nested too deep"),
        (TINY + "x: \x01", "is not valid YAML: unacceptable character"),
        (
            changed('files: ["*.jsonl"], weight: 0.4', "files: [*.jsonl], weight: 0.4"),
            'begins with * needs quotes, as "*.j',
        ),
        (TINY + "x: &x [*x]", "the value that begins in line 8 holds itself; write out what it is to hold"),
        (TINY + ALIASES, "it holds more than 100000 values; write out its aliases of aliases"),
        (TINY + "<<: 5", "expected a mapping or list of mappings for merging, but found scalar in line 8"),
        (TINY + "x: !!bool maybe", "'maybe' in line 8 is no bool; mend it, or quote it if it is text"),
        (TINY + "x: !!timestamp maybe", "'maybe' in line 8 is no timestamp; mend it"),
        (TINY + "x: !!int ''", "'' in line 8 is no int; mend it"),
        (TINY + "x: !!map maybe", "what is marked !!map in line 8 holds no fields; leave !!map out"),
        (changed("raw/code", '"\\ud800"'), "in line 6 holds a NUL or half a surrogate pair, which no file or field is"),
        (changed("raw/code", '"a\\0b"'), "in line 6 holds a NUL or half a surrogate pair"),
    ],
)
def test_what_is_no_yaml(text: str, message: str) -> None:
    assert message in refusal(text)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    message = refusal(changed("weight: 0.4", "weight: 0, rules: [cod]") + "seeds: 1")
    assert message.count("; ") >= 3
    for part in ("sources.code.weight = 0", "unknown rule set 'cod'", "unknown field seeds"):
        assert part in message


def test_long_values_are_cut() -> None:
    message = refusal(changed("name: tiny", f"name: [{'x, ' * 500}y]"))
    assert len(message) < 200
    assert "…: must be text" in message


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with pytest.raises(
        RecipeError, match=r"there is no recipe at .*/mine\.yaml; give the path of a YAML file, or a na"
    ):
        recipe.load(path)
    with pytest.raises(RecipeError, match=r"is a folder; give the path of a YAML file in it, or a name in mixes/"):
        recipe.load(tmp_path)
    path.write_bytes(TINY.encode("utf-16"))
    with pytest.raises(RecipeError, match=r"mine\.yaml is not UTF-8 text: .*; save it as plain UTF-8"):
        recipe.load(str(path))
    with pytest.raises(RecipeError, match=r"mine\.yaml/below\.yaml cannot be read: .*; give the path of a YAML file"):
        recipe.load(path / "below.yaml")
    path.write_text(changed("weight: 0.4", "weight: 0"))
    with pytest.raises(RecipeError, match=r"mine\.yaml: sources\.code\.weight = 0: must be above 0"):
        recipe.load(path)
    path.write_text(TINY)
    assert isinstance(recipe.load(path), Mix)


def test_the_recipe_of_the_readme_and_those_to_start_from_can_be_followed() -> None:
    repository = Path(__file__).parent.parent
    (shown,) = re.findall(r"```yaml\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    assert recipe.parse(shown, "README.md").name == "mine"
    for path in (repository / "mixes").glob("*.yaml"):
        assert recipe.load(path).name == path.stem
