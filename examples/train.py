"""A small GPT trained on a mix: a real loop that stops, resumes, and changes its number of ranks.

    torchrun --nproc-per-node 2 examples/train.py --mix data/mixes/demo --steps 24 --checkpoint DIR --served FILE
    python examples/train.py --mix data/mixes/demo --steps 36 --checkpoint DIR --served FILE --resume

`--steps` counts from the very start of the training, resumed or not. The gradient is the mean over the global batch,
whatever the number of ranks is: only the rounding of sums depends on it, and the samples do not depend on it at all.

`--served` collects a JSON line for each step of each rank: `position`, `source`, `sample`, and `xxh3`, the hash of each
row of `input_ids` as int64 bytes. A line `{"start": s}` says that a run began after step s: what was logged of later
steps before it is void, since the checkpoint did not hold them and they are done again. All ranks append to one file,
so it must lie on a local disk.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
import xxhash
from torch import Tensor, nn

from pipeline.loader import StreamingLoader

WIDTH, LAYERS, HEADS = 64, 2, 4  # with 16,000 tokens of vocabulary 1.2 M parameters
LEARNING_RATE, WARM_UP_STEPS = 3e-3, 8
LOGITS_TOKENS = 256  # logits in the making at a time: 16 MB for a vocabulary of 16,000; all of a row's would be 64 MB
SEED = 17


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each behind a norm and added to the stream [n, length, WIDTH]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        heads = self.qkv(self.norm_attention(x)).view(n, length, 3, HEADS, WIDTH // HEADS)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [n, HEADS, length, WIDTH / HEADS]
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(n, length, WIDTH))
        fed: Tensor = self.mlp(self.norm_mlp(x))
        return x + fed


class GPT(nn.Module):
    """Tokens [n, length] → states [n, length, WIDTH]; the embedding is also the output layer (`logits`)."""

    def __init__(self, vocab_size: int, sequence_length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, WIDTH)
        self.places = nn.Embedding(sequence_length, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        for embedding in (self.tokens, self.places):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        states: Tensor = self.norm(self.blocks(x))
        return states

    def logits(self, states: Tensor) -> Tensor:
        """States [n, WIDTH] → logits [n, vocab_size]."""
        return F.linear(states, self.tokens.weight)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if "RANK" in os.environ:  # under torchrun
        dist.init_process_group("gloo")
    with StreamingLoader(options.mix, global_batch_size=options.global_batch_size) as loader:
        train(loader, options)
    if dist.is_initialized():
        dist.destroy_process_group()


def train(loader: StreamingLoader, options: argparse.Namespace) -> None:
    torch.manual_seed(SEED)  # the same first weights on every rank
    model = GPT(loader.plan.tokenizer.vocab_size, loader.plan.sequence_length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95))
    checkpoint = Path(options.checkpoint) / "checkpoint.pt"
    done = restore(checkpoint, model, optimizer, loader) if options.resume else 0
    tell(loader, f"{loader}, {sum(p.numel() for p in model.parameters()):,} parameters, {done} steps behind it")
    log_start(options.served, loader, done)
    began = time.perf_counter()
    step = done
    for batch in loader if done < options.steps else ():
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, step / WARM_UP_STEPS)
        loss = train_step(model, optimizer, batch["input_ids"], loader.global_batch_size)
        log_served(options.served, loader, step, batch)
        last = step == options.steps
        if last or step % options.print_every == 0:
            tokens = (step - done) * loader.global_batch_size * loader.plan.sequence_length
            rate = tokens / (time.perf_counter() - began)
            tell(loader, f"step {step:4d}  loss {loss:.4f}  {rate:,.0f} tokens/s  position {loader.position}")
        if last:
            break
        if step % options.save_every == 0:
            save(checkpoint, model, optimizer, loader, step)
    save(checkpoint, model, optimizer, loader, step)
    if step < options.steps:
        tell(loader, f"the mix's budget ended after step {step}")


def train_step(model: GPT, optimizer: torch.optim.Optimizer, ids: Tensor, global_batch_size: int) -> float:
    """One step on this rank's rows [rows, length]; the mean loss of a token over the global batch."""
    n_targets = global_batch_size * (ids.shape[1] - 1)
    loss = torch.zeros(())
    for row in torch.split(ids, 1):
        loss += backward(model, row[:, :-1], row[:, 1:].flatten(), n_targets)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    sum_over_ranks([*gradients, loss])
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def backward(model: GPT, ids: Tensor, targets: Tensor, n_targets: int) -> Tensor:
    """Add the gradient of these tokens' losses / n_targets; returns that sum of losses."""
    states = model(ids).flatten(0, 1)
    cut = states.detach().requires_grad_()  # the logits' slices have a backward of their own each, the model one of all
    loss = torch.zeros(())
    for part, wanted in zip(torch.split(cut, LOGITS_TOKENS), torch.split(targets, LOGITS_TOKENS), strict=True):
        part_loss = F.cross_entropy(model.logits(part), wanted, reduction="sum") / n_targets
        part_loss.backward()  # type: ignore[no-untyped-call]
        loss += part_loss.detach()
    states.backward(cut.grad)
    return loss


def sum_over_ranks(tensors: list[Tensor]) -> None:
    """Replace each tensor by its sum over all ranks, in one message."""
    if not dist.is_initialized():
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def save(path: Path, model: GPT, optimizer: torch.optim.Optimizer, loader: StreamingLoader, step: int) -> None:
    """The first rank writes all that a resumed run needs; the file is the old one or the new one, never half of it."""
    if loader.rank != 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "loader": loader.state_dict()}
    with temporary.open("wb") as file:
        torch.save({**state, "step": step}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def restore(path: Path, model: GPT, optimizer: torch.optim.Optimizer, loader: StreamingLoader) -> int:
    """Load the checkpoint, on any number of ranks; the steps it has behind it."""
    if not path.exists():
        raise SystemExit(f"--resume: there is no {path}; start without --resume")
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    loader.load_state_dict(saved["loader"])
    return int(saved["step"])


def log_start(log: str | None, loader: StreamingLoader, step: int) -> None:
    """The first rank says after which step the log goes on; the others wait for that."""
    if log and loader.rank == 0:
        append(log, {"start": step})
    if dist.is_initialized():
        dist.barrier()


def log_served(log: str | None, loader: StreamingLoader, step: int, batch: dict[str, Any]) -> None:
    if log:
        columns = {name: batch[name].tolist() for name in ("position", "source", "sample")}
        hashes = [xxhash.xxh3_64_hexdigest(row.numpy().tobytes()) for row in batch["input_ids"]]
        append(log, {"step": step, "rank": loader.rank, "world_size": loader.world_size, **columns, "xxh3": hashes})


def append(log: str, entry: dict[str, Any]) -> None:
    """Append one line in one write, so that lines of several processes do not mix."""
    line = (json.dumps(entry) + "\n").encode()
    with open(log, "ab", buffering=0) as file:  # noqa: PTH123 (Path.open has no better way to say it)
        file.write(line)


def tell(loader: StreamingLoader, text: str) -> None:
    if loader.rank == 0:
        print(text, flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small GPT on a mix.")
    parser.add_argument("--mix", required=True, help="the folder of mix.json")
    parser.add_argument("--steps", type=int, required=True, help="train up to this step, counted from the very start")
    parser.add_argument("--checkpoint", required=True, help="the folder of the checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--global-batch-size", type=int, default=8, help="samples of a step over all ranks")
    parser.add_argument("--save-every", type=int, default=8, metavar="STEPS", help="and after the last step")
    parser.add_argument("--print-every", type=int, default=4, metavar="STEPS")
    parser.add_argument("--served", metavar="FILE", help="append what was served, as JSON lines")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
