"""How a finished mix's tokenizer treats its sources: what their datasets tell, added up."""

from pipeline import manifest, plan
from pipeline.tokenized import quality
from pipeline.tokenized.quality import Report
from pipeline.tokenized.vocabulary import vocabulary


def report(url: str) -> Report:
    """The report of the mix at `url` (`ROOT/mixes/demo`) on all that its datasets hold, validation sets included."""
    mix = plan.load(url)
    known = vocabulary(plan.tokenizer_text(url, mix))
    by_source = {
        source.name: quality.of_datasets(
            [manifest.load(plan.resolve(url, part.path)) for part in (*source.parts, *source.validation)],
            mix.tokenizer.vocab_size,
        )
        for source in mix.sources
    }
    return quality.report(by_source, known)
