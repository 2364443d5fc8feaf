"""Batches of whole documents, packed into rows with little left over."""
import random

import torch

LENGTHS = 128, 256, 512  # Tokens of a row. A document goes into a row of the least length that holds it.


class _Rows:
    """Rows of `length` tokens while they fill."""

    def __init__(self, length):
        self.length, self.rows = length, []
        self.rooms = {}  # Free tokens -> rows with that many.

    def place(self, document, open_new):
        """Puts the document into the fullest row that has room, else into a new one if allowed. Whether it could."""
        size = len(document[0])
        room = next((r for r in range(size, self.length + 1) if self.rooms.get(r)), None)
        if room is None and not open_new:
            return False
        if room is None:
            self.rows.append([])
            row, room = self.rows[-1], self.length
        else:
            row = self.rooms[room].pop()
        row.append(document)
        self.rooms.setdefault(room - size, []).append(row)
        return True


def _pack(documents):
    """Rows for each of LENGTHS. Long rows are filled up with shorter documents."""
    assert all(len(d[0]) <= LENGTHS[-1] for d in documents)
    documents = sorted(documents, key=lambda d: -len(d[0]))
    result = {}
    for length, shorter in zip(LENGTHS[::-1], LENGTHS[-2::-1] + (0,)):
        rows = _Rows(length)
        documents = [d for d in documents if not rows.place(d, open_new=len(d[0]) > shorter)]
        result[length] = rows.rows
    return result


def _batch(rows, length):
    ids, targets = torch.zeros(len(rows), length, dtype=torch.long), torch.full((len(rows), length), -1)
    numbers = torch.full((len(rows), length), -1)
    for row, documents in enumerate(rows):
        at = 0
        for number, (inputs, wanted) in enumerate(documents):
            end = at + len(inputs)
            ids[row, at:end], targets[row, at:end] = torch.tensor(inputs), torch.tensor(wanted)
            numbers[row, at:end] = number
            at = end
    return ids, numbers, targets


def batches(encoded, tokens, seed, pool=4000):
    """(ids, documents, targets), each [rows, length] and `tokens` together, without end, from encoded documents."""
    rng = random.Random(seed)
    waiting = {length: [] for length in LENGTHS}  # Rows that did not fill a batch yet.
    while True:
        documents = [d for _, d in zip(range(pool), encoded)]
        groups = []
        for length, rows in _pack(documents).items():
            rng.shuffle(rows)
            rows, count = waiting[length] + rows, tokens // length
            whole = len(rows) // count * count
            groups += [(rows[i:i + count], length) for i in range(0, whole, count)]
            waiting[length] = rows[whole:]
        rng.shuffle(groups)
        for group in groups:
            yield _batch(*group)
