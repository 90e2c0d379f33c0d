"""Mixed: the plan of a mix, written beside its tokenizer."""

from pipeline import plan, storage
from pipeline.flow.runner import Runner
from pipeline.flow.tokenized import Tokenized
from pipeline.mixed import plan as mixed
from pipeline.plan import Plan, PlanTokenizer
from pipeline.recipe import Mix
from pipeline.tokenized import tokenizer as tokenizers


def make(runner: Runner, mix: Mix, tokenized: Tokenized) -> tuple[str, Plan]:
    """The folder of the mix below `mixes/`, and the plan in it."""
    url = storage.join(runner.root, "mixes", mix.name)
    info = tokenized.info
    tokenizer = PlanTokenizer(
        path=f"tokenizer-{info.fingerprint[:12]}.json",  # a plan never stands beside another's tokenizer
        fingerprint=info.fingerprint,
        vocab_size=info.vocab_size,
        eos_id=info.eos_id,
        bos_id=info.bos_id,
        pad_id=info.pad_id,
        canary_text=tokenizers.CANARY,
        canary_ids=info.canary_ids,
    )
    made = plan.certified(
        mixed.build(mix, tokenizer, info.dtype, tokenized.measured, tokenized.validation, tokenized.extents)
    )
    runner.write_once(storage.join(url, tokenizer.path), info.json_text.encode())
    runner.write_once(storage.join(url, plan.PLAN), plan.to_json(made))
    return url, made
