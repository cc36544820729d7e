"""Pretraining as one would write it in Python PyTorch, to hold ours against.

The same network on the standard schema, the same contrast, Adam and batches as `model` has; no
`torch.compile`, no CUDA. Prints rows trained on a second, and processor time of all threads a row.
`cargo xtask bench pretrain` runs it in turn with `model/benches/pretrain.rs`, and refuses to
compare where the two train another number of parameters.

    python3 ops/peers/pytorch/pretrain.py --steps 100 --threads 1,2
"""

import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional

# Inputs of the encoder in the standard schema: fields of the payment, then the card's history, then
# what is derived from both (ops/config/schemas/standard.toml).
GROUPS = {
    "amount": [0],
    "gap": [1],
    "time": [2, 3, 4, 5],
    "visits": [6, 7],
    "category": list(range(8, 22)),
}
FLAGS = GROUPS["category"]
AMOUNT = 0
CONTEXT = list(range(22, 28))
LOG_MEAN, LOG_SPREAD, MEAN, MEDIAN, MAX = range(23, 28)
DERIVED = list(range(28, 32))
INPUTS = 32
PERIODIC = [column for column in range(INPUTS) if column not in FLAGS]
AMOUNT_SCALE = 0.95
SPREAD_CENTER, SPREAD_SCALE = 0.75, 0.15

# The network of `model/src/network.rs`, and the contrast of `model/src/contrast.rs`.
WIDTH, FREQUENCIES, EMBEDDED = 32, 3, 6
COPIES = 3
SHIFT_SHARE, SHIFT_SD = 0.6, 1.5
PLAIN = 2

CARDS, EACH = 400, 50
BATCH = 256
RATE, RATE_END = 3e-3, 6e-5
WARM_UP = 10


class Encoder(nn.Module):
    """A payment to z, and z to one energy for each field group."""

    def __init__(self):
        super().__init__()
        self.frequencies = nn.Parameter(0.3 * torch.randn(len(PERIODIC), FREQUENCIES))
        self.periodic = nn.Linear(2 * FREQUENCIES, EMBEDDED)
        self.hidden = nn.Linear(INPUTS + len(PERIODIC) * EMBEDDED, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.energy = nn.Linear(WIDTH, len(GROUPS))

    def forward(self, inputs):
        angles = 2 * math.pi * inputs[:, PERIODIC].unsqueeze(-1) * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], -1)
        embedded = self.periodic(waves).relu().flatten(1)
        z = self.hidden(torch.cat([inputs, embedded], 1)).relu()
        return self.energy(self.out(z).relu())


def derive(rows):
    """Recomputes the amount against the card's history."""
    amount = rows[..., AMOUNT]
    for column, past in zip(DERIVED, [MEAN, MEDIAN, MAX]):
        rows[..., column] = amount - rows[..., past]
    deviation = (rows[..., LOG_SPREAD] * SPREAD_SCALE + SPREAD_CENTER).clamp_min(0.05)
    rows[..., DERIVED[3]] = AMOUNT_SCALE / 2 * (amount - rows[..., LOG_MEAN]) / deviation
    return rows


def population(generator):
    """Payments that keep to their cards' habits within .3 sd, and whose they are."""
    habits = torch.randn(CARDS, INPUTS, generator=generator)
    cards = torch.arange(CARDS).repeat(EACH)
    rows = habits[cards] + 0.3 * torch.randn(len(cards), INPUTS, generator=generator)
    rows[:, FLAGS] = (habits[cards][:, FLAGS] > 1).float()
    rows[:, CONTEXT] = habits[cards][:, CONTEXT]
    rows[:, [LOG_MEAN, MEAN, MEDIAN, MAX]] = habits[cards][:, [AMOUNT]]
    return derive(rows), cards


def strangers(cards):
    """For each row of the batch, the place of one of another card."""
    other = torch.randint(len(cards), cards.shape)
    while (same := cards[other] == cards).any():
        other[same] = torch.randint(len(cards), (int(same.sum()),))
    return other


def versions(rows, cards):
    """The true rows, the same with another card's context, and perturbed copies a group."""
    swapped = rows.clone()
    swapped[:, CONTEXT] = rows[strangers(cards)][:, CONTEXT]
    made = [rows.unsqueeze(0), swapped.unsqueeze(0)]
    for group, fields in GROUPS.items():
        copies = rows.repeat(COPIES, 1, 1)
        other = rows[torch.randint(len(rows), (COPIES, len(rows)))]
        replaced = other[..., fields]
        if group == "amount":
            shifted = copies[..., fields] + SHIFT_SD * torch.randn(copies[..., fields].shape)
            is_shifted = torch.rand(COPIES, len(rows), 1) < SHIFT_SHARE
            replaced = torch.where(is_shifted, shifted, replaced)
        copies[..., fields] = replaced
        made.append(copies)
    return derive(torch.cat(made))


def contrast(energies):
    """Cross-entropy of the true row among its rivals, summed over groups."""
    true = torch.zeros(energies.shape[1], dtype=torch.long)
    loss = 0
    for group in range(len(GROUPS)):
        first = PLAIN + group * COPIES
        own = energies[..., group].T
        rivals = torch.cat([own[:, :PLAIN], own[:, first : first + COPIES]], 1)
        loss = loss + functional.cross_entropy(rivals, true)
    return loss


def train(table, cards, steps):
    """Pretrains a fresh network; wall and processor seconds, parameters, and the last loss."""
    encoder = Encoder()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=RATE_END)
    wall, cpu = time.perf_counter(), time.process_time()
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < BATCH:
            order = torch.randperm(len(table))
        batch, order = order[:BATCH], order[BATCH:]
        made = versions(table[batch], cards[batch])
        energies = encoder(made.flatten(0, 1)).unflatten(0, made.shape[:2])
        loss = contrast(energies)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return wall, cpu, parameters, loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", default="1,2", help="counts, with commas between")
    parser.add_argument("--json", action="store_true", help="one object a line")
    arguments = parser.parse_args()
    table, cards = population(torch.Generator().manual_seed(1))
    for threads in map(int, arguments.threads.split(",")):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        train(table, cards, WARM_UP)
        wall, cpu, parameters, loss = train(table, cards, arguments.steps)
        rows = arguments.steps * BATCH
        found = {
            "side": "python",
            "torch": torch.__version__,
            "threads": threads,
            "batch": BATCH,
            "steps": arguments.steps,
            "parameters": parameters,
            "rows_s": round(rows / wall, 1),
            "cpu_us_row": round(cpu * 1e6 / rows, 2),
            "loss": round(loss, 4),
        }
        if arguments.json:
            print(json.dumps(found), flush=True)
        else:
            print(
                f"{threads} threads: {found['rows_s']:.0f} rows/s, "
                f"{found['cpu_us_row']:.1f} us of processor a row, loss {loss:.3f}"
            )


if __name__ == "__main__":
    main()
