#!/usr/bin/python3
"""Draws the loss curve of a run: plot_loss.py DIR/loss.csv OUT.svg (Debian's python3-matplotlib)."""
import csv
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "loss"  # The same file for the same run.
from matplotlib import pyplot  # noqa: E402


def main(log, out):
    rows = list(csv.DictReader(open(log)))
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2))
    millions = [int(row["tokens"]) / 1e6 for row in rows]
    axes.plot(millions, [float(row["training_loss"]) for row in rows], linewidth=0.8,
              label="training (mean of 20 steps)")
    held = [(m, float(row["held_out_loss"])) for m, row in zip(millions, rows) if row["held_out_loss"]]
    axes.plot(*zip(*held), marker=".", linewidth=0.8, label="held out")
    axes.set(xlabel="million tokens", ylabel="nats per learned token", yscale="log")
    axes.set_yticks(ticks := [0.15, 0.2, 0.3, 0.5, 1, 2, 4, 8], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
