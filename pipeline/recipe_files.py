"""The files that a recipe names, looked at before any work: raw files, lists, evaluation sets, tokenizer, earlier
datasets. What is wrong with them is told now, not after hours."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline import storage, take_down
from pipeline.alarms import StageError
from pipeline.deduped import against
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import DedupParams
from pipeline.documents.spark import raw_files
from pipeline.evaluation_sets import read_items
from pipeline.filtered import bad_words, rules
from pipeline.filtered.bad_words import BadWords
from pipeline.filtered.evaluation_items import EvaluationItems, evaluation_items
from pipeline.recipe import Mix
from pipeline.recipe_parts import Source
from pipeline.storage import FileInfo
from pipeline.take_down import TakeDown
from pipeline.tokenized import tokenizer
from pipeline.tokenized.tokenizer import TokenizerInfo


@dataclass(frozen=True, kw_only=True)
class RecipeFiles:
    """What the recipe names, read. `raw`: the raw files of each source. `remarks` are for the person who runs it. The
    others are None, or empty, where the recipe does not name them."""

    raw: dict[str, list[FileInfo]]
    bad_words: dict[str, BadWords]
    take_down: TakeDown | None
    items: EvaluationItems | None
    tokenizer: TokenizerInfo | None
    earlier: list[Earlier]
    remarks: tuple[str, ...]


def look(mix: Mix, written: Sequence[str], dedup: DedupParams) -> RecipeFiles:
    """Read all that the recipe names; `StageError` or `ValueError` for what cannot be used. `written` are the folders
    that a run writes: no raw text."""
    listed = _take_down(mix)
    sets = mix.decontaminate
    blind = [name for name, source in mix.sources.items() if source.url_field is None]
    remarks = []
    if listed is not None and listed.urls and blind:
        remarks.append(f"take_down: its URLs are not looked for in {', '.join(blind)}, which have no url_field")
    return RecipeFiles(
        raw={name: _raw(f"sources.{name}", source, written) for name, source in mix.sources.items()},
        bad_words=_bad_words(mix),
        take_down=listed,
        items=evaluation_items(read_items(sets.sets), sets.ngram) if sets else None,
        tokenizer=_given_tokenizer(mix),
        earlier=against.find(mix.dedup.against, dedup),
        remarks=tuple(remarks),
    )


def described(mix: Mix, json_text: str, where: str) -> TokenizerInfo:
    """A tokenizer as the recipe uses it: with the special tokens that it names."""
    choice = mix.tokenizer
    return tokenizer.describe(
        json_text,
        where=where,
        eos_token=choice.eos_token,
        bos_token=choice.bos_token,
        bos=mix.bos,
        specials_in_text=choice.specials_in_text,
    )


def _raw(place: str, source: Source, written: Sequence[str]) -> list[FileInfo]:
    files = raw_files(place, source.root, source.files, source.storage)
    for info in files:
        url = storage.join(source.root, info.path)
        if folder := next((folder for folder in written if _is_below(url, folder)), None):
            raise StageError(
                f"{place}.files: {url} is what a run has written (below {folder}), not raw text; give narrower "
                "globs, or another ROOT"
            )
    return files


def _is_below(url: str, folder: str) -> bool:
    if storage.is_local(url) and storage.is_local(folder):
        return storage.local_path(url).absolute().is_relative_to(storage.local_path(folder).absolute())
    return url.startswith(folder + "/")


def _bad_words(mix: Mix) -> dict[str, BadWords]:
    """The list of each source whose rules name one."""
    named = {name: rules.resolve(source.rules).bad_words for name, source in mix.sources.items()}
    found = {}
    for name, file in named.items():
        if file is not None:
            where = f"sources.{name}.rules: c4.bad_words = {file}"
            found[name] = bad_words.parse(_bytes(file, where), where)
    return found


def _take_down(mix: Mix) -> TakeDown | None:
    if mix.take_down is None:
        return None
    where = f"take_down = {mix.take_down}"
    listed = take_down.parse(_text(mix.take_down, where), where)
    if listed.urls and all(source.url_field is None for source in mix.sources.values()):
        raise StageError(f"{where} lists {len(listed.urls)} URLs, and no source has a url_field to find them by")
    return listed


def _given_tokenizer(mix: Mix) -> TokenizerInfo | None:
    """The tokenizer that the recipe names by file or on the hub; None where it is to be trained."""
    choice = mix.tokenizer
    if choice.hub is not None:
        return described(mix, tokenizer.from_hub(choice.hub), f"tokenizer.hub = {choice.hub}")
    if choice.file is None:
        return None
    where = f"tokenizer.file = {choice.file}"
    return described(mix, _text(choice.file, where), where)


def _text(url: str, where: str) -> str:
    try:
        return _bytes(url, where).decode()
    except UnicodeDecodeError as error:
        raise StageError(f"{where}: it is not UTF-8 text: {error}; save it as plain UTF-8") from error


def _bytes(url: str, where: str) -> bytes:
    try:
        return storage.read(url)
    except Exception as error:  # fsspec's back ends raise anything
        raise StageError(f"{where}: it cannot be read: {error}; give the path or URL of a file") from error
