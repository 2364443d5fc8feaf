#!/usr/bin/python3
"""Trains the demo model. Interrupt and start it again as you like: it goes on from its last checkpoint.

    train.py --out DIR [--tokens N]

DIR gets state.pth (weights, optimizer, progress) and loss.csv. Everything follows from the seed: the documents, their
order, the initial weights and, with the same PyTorch build on the same kind of processor and the same number of
processes, every step.
"""
import argparse
import csv
import ctypes
import pathlib
import time

import torch
from torch.nn import functional

import corpus
import model
import packing


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "tokenizer.model")
    parser.add_argument("--tokens", type=int, default=20_000_000,
                        help="how many to train on; the learning rate falls towards the last")
    parser.add_argument("--batch_tokens", type=int, default=4096)
    parser.add_argument("--learning_rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="each computes a share of every batch on one core")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 matrix products")
    for field, value in vars(model.Shape()).items():
        if isinstance(value, int) and field != "vocab_size":
            parser.add_argument("--" + field, type=int, default=value)
    return parser.parse_args()


def optimizer_of(network):
    decayed = [w for w in network.parameters() if w.dim() == 2]
    others = [w for w in network.parameters() if w.dim() != 2]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                             betas=(0.9, 0.95), eps=1e-8)


def rate(tokens, budget, peak):
    """Warm-up, then the peak, and over the last 40 % of the budget a straight line to (almost) nothing. So the beginning
    does not depend on the budget: a run may be stopped, and go on with another one."""
    return peak * max(0.01, min(1.0, tokens / 200_000, (1 - tokens / budget) / 0.4))


def loss_sum(network, batch, bf16):
    """The sum of the losses over the batch's targets."""
    ids, documents, targets = batch
    learned = (targets >= 0).flatten().nonzero()[:, 0]
    # A few sizes only: for each new one oneDNN would generate code.
    learned = functional.pad(learned, (0, -len(learned) % 256))
    wanted = targets.flatten()[learned]
    wanted[int((targets >= 0).sum()):] = -1
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = network(ids, documents, learned)
    return functional.cross_entropy(logits.float(), wanted, ignore_index=-1, reduction="sum")


class Shared:
    """What the processes share: their gradients, one flat row each, and a barrier."""

    def __init__(self, processes, size):
        self.processes = processes
        self.gradients = torch.zeros(processes, size).share_memory_()
        self.losses = torch.zeros(processes).share_memory_()
        self.barrier = torch.multiprocessing.get_context("fork").Barrier(processes)

    def add_up(self, rank, network, loss):
        """Replaces the gradients by the sum over the processes, the same in each. Returns the summed loss."""
        at = 0
        for weight in network.parameters():
            self.gradients[rank, at:at + weight.numel()] = weight.grad.flatten()
            at += weight.numel()
        self.losses[rank] = loss
        self.barrier.wait()
        total = self.gradients.sum(0)
        loss = self.losses.sum().item()
        self.barrier.wait()
        at = 0
        for weight in network.parameters():
            weight.grad.copy_(total[at:at + weight.numel()].view_as(weight))
            at += weight.numel()
        return loss


def take(batch, rank, processes):
    """This process's rows."""
    return tuple(part[rank::processes] for part in batch)


def run(rank, arguments, network, shared):
    """One of the processes: they hold the same weights, each computes the gradient of its rows, and takes the same
    step."""
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    first, bf16 = rank == 0, not arguments.float32
    encoder = corpus.Encoder(arguments.tokenizer)
    optimizer = optimizer_of(network)
    state_path = arguments.out / "state.pth"
    done = {"steps": 0, "tokens": 0, "seconds": 0.0}
    if state_path.exists():
        state = torch.load(state_path)
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["done"]
    log = Log(arguments.out / "loss.csv", done["steps"]) if first else None

    encoded = (encoder.encode(document) for document in corpus.documents(arguments.seed))
    batches = packing.batches(encoded, arguments.batch_tokens, arguments.seed)
    for _ in range(done["steps"]):
        next(batches)
    held = (encoder.encode(document) for document in corpus.documents(arguments.seed + 1000, held_out=True))
    held = [batch for _, batch in zip(range(8), packing.batches(held, arguments.batch_tokens, 0, pool=1000))]

    started, before, saved, losses, learned = time.monotonic(), done["seconds"], time.monotonic(), 0.0, 0
    while done["tokens"] < arguments.tokens:
        for group in optimizer.param_groups:
            group["lr"] = rate(done["tokens"], arguments.tokens, arguments.learning_rate)
        batch = next(batches)
        targets = int((batch[2] >= 0).sum())
        loss = loss_sum(network, take(batch, rank, arguments.processes), bf16) / targets
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        losses += shared.add_up(rank, network, loss.item())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        learned += 1
        done = {"steps": done["steps"] + 1, "tokens": done["tokens"] + int((batch[1] >= 0).sum()),
                "seconds": before + time.monotonic() - started}
        if first and done["steps"] % 20 == 0:
            held_loss = None
            if done["steps"] % 200 == 0:
                with torch.no_grad():
                    held_loss = sum(loss_sum(network, b,
                                             bf16).item() for b in held) / sum(int((b[2] >= 0).sum()) for b in held)
            log.write(done, group["lr"], losses / learned, held_loss, done["tokens"] / arguments.tokens)
            losses, learned = 0.0, 0
        if first and (time.monotonic() - saved > 120 or done["tokens"] >= arguments.tokens):
            temporary = state_path.with_suffix(".new")
            torch.save({"model": network.state_dict(), "optimizer": optimizer.state_dict(), "done": done,
                        "shape": vars(network.shape)}, temporary)
            temporary.rename(state_path)
            saved = time.monotonic()


class Log:
    """loss.csv, and the same for people."""

    def __init__(self, path, steps):
        rows = list(csv.reader(open(path)))[1:] if path.exists() else []
        self.file = open(path, "w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow(["step", "tokens", "seconds", "rate", "training_loss", "held_out_loss"])
        # Not the steps after the last checkpoint: they will be taken again.
        self.writer.writerows(row for row in rows if int(row[0]) <= steps)

    def write(self, done, lr, loss, held_loss, share):
        held_text = "" if held_loss is None else f"{held_loss:.4f}"
        self.writer.writerow([done["steps"], done["tokens"], f"{done['seconds']:.1f}", f"{lr:.6f}", f"{loss:.4f}",
                              held_text])
        self.file.flush()
        print(f"{100 * share:5.1f} %  step {done['steps']}  {done['tokens']:,} tokens  "
              f"{done['tokens'] / done['seconds']:.0f}/s  "
              f"loss {loss:.4f} {held_text}", flush=True)


def keep_memory():
    """Tells glibc not to give freed memory back to the system: fetching it again page by page took a fifth of the time."""
    mmap_threshold, trim_threshold = -3, -1
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(mmap_threshold, 1 << 30)
    libc.mallopt(trim_threshold, (1 << 31) - 1)


def main():
    arguments = parse()
    keep_memory()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    fields = {f: getattr(arguments, f) for f in vars(model.Shape()) if hasattr(arguments, f)}
    network = model.Llama(model.Shape(vocab_size=corpus.Encoder(arguments.tokenizer).size, **fields))
    count = sum(w.numel() for w in network.parameters())
    print(f"{count:,} parameters", flush=True)
    shared = Shared(arguments.processes, count)
    workers = [torch.multiprocessing.get_context("fork").Process(target=run, args=(rank, arguments, network, shared),
                                                                 daemon=True)
               for rank in range(1, arguments.processes)]
    for worker in workers:
        worker.start()
    run(0, arguments, network, shared)
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
