"""Documents: the raw files of each source, read."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline import alarms, storage
from pipeline.documents import spark as stage
from pipeline.documents.cuts import Content
from pipeline.documents.spark import DocumentsParams
from pipeline.flow.runner import Runner
from pipeline.manifest import Dataset
from pipeline.recipe import Mix
from pipeline.recipe_files import RecipeFiles
from pipeline.storage import FileInfo


def make(runner: Runner, mix: Mix, named: RecipeFiles) -> dict[str, Dataset]:
    """The documents of each source."""
    return {name: _of_source(runner, mix, name, files) for name, files in named.raw.items()}


def _of_source(runner: Runner, mix: Mix, name: str, files: Sequence[FileInfo]) -> Dataset:
    source = mix.sources[name]
    params = DocumentsParams(
        source=name, root=source.root, files=source.files, storage=source.storage, read=source.read
    )
    contents = _contents(runner, params, files)
    wanted = stage.spec(params, contents)
    found = runner.ensure(
        wanted,
        sum(info.bytes for info in files),
        lambda: stage.build(runner.spark, params, files, contents, wanted, runner.root),
    )
    alarms.raise_unless_acknowledged(stage.alarms(found, mix.max_quarantined), mix.acknowledge)
    return found


def _contents(runner: Runner, params: DocumentsParams, files: Sequence[FileInfo]) -> dict[str, Content]:
    """What the raw files hold. Size and stamp only decide whether a file must be read again."""
    url = storage.join(runner.root, "documents", params.source, "_raw_contents.json")
    known = _known(url)
    root = str(storage.local_path(params.root).absolute()) if storage.is_local(params.root) else params.root
    key = {info.path: f"{root}/{info.path}" for info in files}
    stamps = {info.path: {"bytes": info.bytes, "stamp": info.stamp} for info in files}
    fresh = [info for info in files if not stamps[info.path].items() <= known.get(key[info.path], {}).items()]
    if fresh:
        runner.may_make("documents", params.source)
        with runner.progress(f"reading {params.source}", sum(info.bytes for info in fresh)):
            found = stage.look(runner.spark, params, fresh)
        known |= {key[path]: stamps[path] | asdict(content) for path, content in found.items()}
        storage.write(url, json.dumps(known, indent=1, sort_keys=True).encode())
    own = {info.path: known[key[info.path]] for info in files}
    return {path: Content(digest=one["digest"], lines=tuple(one["lines"])) for path, one in own.items()}


def _known(url: str) -> dict[str, dict[str, Any]]:
    """What earlier runs have found in raw files, by their full path."""
    if not storage.exists(url):
        return {}
    try:
        known = json.loads(storage.read(url))
        for one in known.values():
            Content(digest=str(one["digest"]), lines=tuple(map(int, one["lines"])))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise alarms.StageError(
            f"{url} is damaged ({type(error).__name__}: {error}); delete it, then the raw files are read anew"
        ) from error
    return dict(known)
