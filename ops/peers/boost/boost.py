r"""What tools that are not ours make of our vectors: boosted trees and logistic regression.

Reads a file of `phalanx-agent features export` and judges XGBoost and scikit-learn's logistic
regression as `phalanx-sim learn` judges its settings, on the days of docs/learn.md: training days,
days in which labels come in, judged days. A fraud counts in training where it was known before the
first judged day, any other as genuine; rows without a label are left out. Cards whose fraud was
known are not judged: those with a fraud from the first training day on, once the delay has passed.

`pooled` is one model on all rows. With --deal, a file of `phalanx-sim learn --save-deal`, rows are
dealt to banks as each seed of the comparison deals them, and `local` is a model for each bank. To
the export the whole feed is one bank, so the risk counts of `local` are everybody's too. Cards that
the comparison keeps for choosing thresholds do not train then, and each bank decides where F1 is
best on its own of them, by the same smoothed rule; --labels shows the labels of a share of the
customers, the same ones. Without --deal all cards train, and nothing is told of banks.

Each seed draws the rows and columns of every tree anew. Trees have fine bins and an even base
score: with coarse ones XGBoost blurs the amount from which on the Handbook's payments are frauds.

Held against the Handbook: on the book's own 15 features, logistic regression judges 58,264 payments
with 385 frauds to AUC .8703, AP .6055 and card precision .2914; its table has .871, .606 and .291.

examples, from the project's root:
  python3 -m venv target/boost
  target/boost/bin/pip install -r ops/peers/boost/requirements.txt
  target/boost/bin/python ops/peers/boost/boost.py vectors.parquet --train-day 17737 --seeds 3
  target/boost/bin/python ops/peers/boost/boost.py vectors.parquet --train-day 17737 --seeds 3 \
    --deal deal.csv --labels 0.1 --json
  target/boost/bin/python ops/peers/boost/boost.py --book --train-day 17737 \
    ../shared/data/handbook/transactions_transformed_eval.parquet
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

CARDS_A_DAY = 100
DAY_MS = 86_400_000
OWN_COLUMNS = ["txn_id", "ts", "day", "card", "fraud", "known_at"]
# The raw columns of the book's file; those after them are its features.
BOOK_RAW = 9
BOOK_DELAY_DAYS = 7
# As in simulations/src/learn/measures.rs: how wide a threshold is, in logits.
BLUR = 0.5
MEASURES = ["auc", "ap", "cp100", "bank_mean_ap", "worst_bank_ap", "f1"]


class Refused(Exception):
    """The file is not what is asked for; says what was found and what was expected."""


class Days:
    """How many days of each kind, and the first of each."""

    def __init__(self, arguments, held):
        self.train, self.delay = arguments.train_days, arguments.delay_days
        self.test = arguments.test_days
        length = self.train + self.delay + self.test
        if held["min"] is None:
            raise Refused("found no row, expected payments")
        first, last = held["min"], held["max"]
        wanted = arguments.train_day
        self.train_from = last + 1 - length if wanted is None else wanted
        self.train_to = self.train_from + self.train
        self.test_from = self.train_to + self.delay
        self.test_to = self.test_from + self.test
        if self.train_from < first or self.test_to > last + 1:
            raise Refused(
                f"found days {first} to {last}, expected {length} days from day "
                f"{self.train_from} on"
            )


class Rows:
    """The payments of the days, by column; a label is 1, 0, or NaN where there is none."""

    def __init__(self, arguments):
        path = arguments.file
        if arguments.book:
            table = book(path)
            held = table["day"]
        else:
            names = pq.read_schema(path).names
            lacking = [name for name in OWN_COLUMNS if name not in names]
            if lacking:
                raise Refused(f"found no column {lacking[0]}, expected a file of features export")
            table, held = None, pq.read_table(path, columns=["day"])["day"]
        self.days = Days(arguments, pc.min_max(held).as_py())
        first, last = self.days.train_from, self.days.test_to
        if table is None:
            table = pq.read_table(path, filters=[("day", ">=", first), ("day", "<", last)])
        else:
            table = table.filter((pc.field("day") >= first) & (pc.field("day") < last))
        self.features = [name for name in table.column_names if name not in OWN_COLUMNS]
        self.day = table["day"].to_numpy()
        self.card = table["card"].to_numpy()
        self.label = pc.cast(table["fraud"], pa.float64()).to_numpy()
        self.known_at = pc.fill_null(table["known_at"], 0).to_numpy()
        columns = [table[name].to_numpy() for name in self.features]
        self.x = np.column_stack(columns).astype(np.float32, copy=False)

    def training(self):
        """Which rows are of the training days and have a label, and all rows' labels as they were
        known before the judged days."""
        rows = (self.day < self.days.train_to) & ~np.isnan(self.label)
        known = self.known_at < self.days.test_from * DAY_MS
        return rows, (self.label == 1) & known

    def judged(self):
        """Which rows are judged, as numbers."""
        first = {}
        for card, day in zip(self.card[self.label == 1], self.day[self.label == 1]):
            first[card] = min(day, first.get(card, day))
        never = np.iinfo(np.int32).max
        since = np.array([first.get(card, never) for card in self.card], dtype=np.int64)
        is_known = since < self.day - self.days.delay
        is_judged = (self.day >= self.days.test_from) & ~np.isnan(self.label) & ~is_known
        return np.flatnonzero(is_judged)


def book(path):
    """The book's file with the columns of an export, its own features, and its own delay."""
    table = pq.read_table(path)
    names = table.column_names
    lacking = [name for name in ["TX_DATETIME", "CUSTOMER_ID", "TX_FRAUD"] if name not in names]
    if lacking or len(names) <= BOOK_RAW:
        raise Refused(f"found columns {', '.join(names[:3])} …, expected those of the book's file")
    ts = table["TX_DATETIME"].cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy()
    columns = {
        "txn_id": table["TRANSACTION_ID"].cast(pa.string()),
        "ts": pa.array(ts),
        "day": pa.array((ts // DAY_MS).astype(np.int32)),
        "card": table["CUSTOMER_ID"],
        "fraud": table["TX_FRAUD"].cast(pa.bool_()),
        "known_at": pa.array(ts + BOOK_DELAY_DAYS * DAY_MS),
    }
    for name in ["TX_AMOUNT", *names[BOOK_RAW:]]:
        columns[name] = table[name].cast(pa.float32())
    return pa.table(columns)


class Deal:
    """Whose payments the rows are in one seed: bank by row, whether the card is held out, and
    whether its customer has labels. Without a file all rows are of one bank, and no card is held
    out."""

    def __init__(self, rows, file, seed, share):
        if file is None:
            self.bank = np.zeros(len(rows.card), dtype=np.int64)
            self.is_held_out = np.zeros(len(rows.card), dtype=bool)
            self.is_shown = ~self.is_held_out
            return
        names = [f"bank_{seed}", f"lot_{seed}", "held_out"]
        lacking = [name for name in names if name not in file.column_names]
        if lacking:
            raise Refused(f"found no column {lacking[0]} in the deal, expected --seeds as in learn")
        # Line by line the cards from 0 on.
        if rows.card.max() >= file.num_rows:
            raise Refused("found a card that the deal lacks, expected the deal of the same feed")
        bank, lot, held_out = (file[name].to_numpy()[rows.card] for name in names)
        self.bank, self.is_held_out, self.is_shown = bank, held_out == 1, lot < share


def card_precision(k, day, card, score, fraud):
    """As `card_precision_at` in model/src/evaluation.rs: the mean of the days' shares of frauds
    among the k cards of highest score; a card found on one day is left out of later ones."""
    found, total = set(), 0.0
    days = np.unique(day)
    for of_day in days:
        rows = day == of_day
        best, is_fraud = {}, {}
        for c, s, f in zip(card[rows].tolist(), score[rows].tolist(), fraud[rows].tolist()):
            best[c] = max(s, best.get(c, -np.inf))
            is_fraud[c] = f or is_fraud.get(c, False)
        ranked = sorted((c for c in best if c not in found), key=lambda c: (-best[c], c))
        caught = [c for c in ranked[:k] if is_fraud[c]]
        total += len(caught) / k
        found.update(caught)
    return total / len(days)


def threshold(score, fraud):
    """As in simulations/src/learn/measures.rs: where F1 is best when every score counts on both
    sides of a threshold by how far it lies from it; even odds where there is no fraud."""
    best, at = 0.0, 0.0
    if fraud.any():
        for step in np.arange(-100, 101) / 10:
            above = 1 / (1 + np.exp(np.clip((step - score) / BLUR, -700, 700)))
            f1 = 2 * above[fraud].sum() / (above.sum() + fraud.sum())
            if f1 > best:
                best, at = f1, step
    return at


def f1(score, fraud, at):
    """F1 of deciding fraud from a threshold on."""
    alarm = score >= at
    return 2 * (alarm & fraud).sum() / (alarm.sum() + fraud.sum())


def trees(seed, subsample):
    return XGBClassifier(
        n_estimators=150, learning_rate=0.06, max_depth=4, subsample=subsample,
        colsample_bytree=subsample, tree_method="hist", max_bin=4096, base_score=0.5,
        random_state=seed,
    )


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


class Flat:
    """What a bank can do that knows frauds only, or none: every payment is as likely as another."""

    def decision_function(self, x):
        return np.zeros(len(x))


def fitted(model, x, y):
    return model.fit(x, y) if 0 < y.sum() < len(y) else Flat()


def scores(model, x):
    """Log odds: probabilities of equal rank would run into one near 0 and 1."""
    if len(x) == 0:
        return np.zeros(0)
    if isinstance(model, XGBClassifier):
        return model.predict(x, output_margin=True)
    return model.decision_function(x)


def measures(rows, judged, score, bank, thresholds):
    """The measures of the comparison; those of banks are none where no rows are dealt."""
    fraud = rows.label[judged] == 1
    found = {
        "auc": float(roc_auc_score(fraud, score)),
        "ap": float(average_precision_score(fraud, score)),
        "cp100": card_precision(CARDS_A_DAY, rows.day[judged], rows.card[judged], score, fraud),
    }
    if thresholds is None:
        return {name: found.get(name) for name in MEASURES}
    of_banks, decided = [], []
    for number, at in thresholds.items():
        own = bank[judged] == number
        if fraud[own].any():
            of_banks.append(float(average_precision_score(fraud[own], score[own])))
            decided.append(float(f1(score[own], fraud[own], at)))
    found["bank_mean_ap"], found["worst_bank_ap"] = float(np.mean(of_banks)), min(of_banks)
    found["f1"] = float(np.mean(decided))
    return found


def of_seed(rows, judged, deal, make, is_dealt):
    """One seed of one kind of model: pooled, and where rows are dealt, a model for each bank."""
    in_training, known = rows.training()
    shown = in_training & deal.is_shown
    learnt, kept = shown & ~deal.is_held_out, shown & deal.is_held_out
    banks = np.unique(deal.bank).tolist() if is_dealt else []

    def cut(model, number):
        own = kept & (deal.bank == number)
        return threshold(scores(model, rows.x[own]), known[own])

    whole = fitted(make(), rows.x[learnt], known[learnt])
    thresholds = {number: cut(whole, number) for number in banks} if is_dealt else None
    score = scores(whole, rows.x[judged])
    found = {"pooled": measures(rows, judged, score, deal.bank, thresholds)}
    if is_dealt:
        score, thresholds = np.zeros(len(judged)), {}
        for number in banks:
            own = learnt & (deal.bank == number)
            model = fitted(make(), rows.x[own], known[own])
            thresholds[number] = cut(model, number)
            place = deal.bank[judged] == number
            score[place] = scores(model, rows.x[judged[place]])
        found["local"] = measures(rows, judged, score, deal.bank, thresholds)
    return found


def summary(by_seed):
    """Means and sample standard deviations over seeds; 0 with one of them."""
    means, spreads = {}, {}
    for name, values in by_seed.items():
        is_known = None not in values
        means[name] = float(np.mean(values)) if is_known else None
        spread = float(np.std(values, ddof=1)) if is_known and len(values) > 1 else 0.0
        spreads[name] = spread if is_known else None
    return means, spreads


def judge(arguments):
    rows = Rows(arguments)
    file = None if arguments.deal is None else pyarrow.csv.read_csv(arguments.deal)
    judged = rows.judged()
    in_training, known = rows.training()
    frauds = int((rows.label[judged] == 1).sum())
    counts = [("training", int(known[in_training].sum()), int(in_training.sum()))]
    for what, count, of in [*counts, ("judged", frauds, len(judged))]:
        if not 0 < count < of:
            raise Refused(f"found {count} frauds in {of} {what} rows, expected some and not all")
    by_seed = {}
    for seed in range(1, arguments.seeds + 1):
        deal = Deal(rows, file, seed, arguments.labels)
        kinds = {"": lambda: trees(seed, arguments.subsample), "_logistic": logistic}
        for kind, make in kinds.items():
            for name, found in of_seed(rows, judged, deal, make, file is not None).items():
                values = by_seed.setdefault(name + kind, {name: [] for name in MEASURES})
                for measure in MEASURES:
                    values[measure].append(found[measure])
    settings, spread = {}, {}
    for name, values in by_seed.items():
        settings[name], spread[name] = summary(values)
    days = rows.days
    return {
        "dataset": Path(arguments.file).stem,
        "banks": 1 if file is None else len(pc.unique(file["bank_1"])),
        "split": "none" if file is None else Path(arguments.deal).stem,
        "labels": arguments.labels,
        "seeds": arguments.seeds,
        "weeks": 1,
        "settings": settings,
        "spread": spread,
        "by_seed": by_seed,
        "days": {"train_from": days.train_from, "test_from": days.test_from,
                 "train": days.train, "delay": days.delay, "test": days.test},
        "columns": len(rows.features),
        "training": {"payments": counts[0][2], "frauds": counts[0][1]},
        "judged": {"payments": len(judged), "frauds": frauds},
        "subsample": arguments.subsample,
    }


def table(of):
    days, lines = of["days"], []
    for what, length, day in [
        ("training", days["train"], days["train_from"]),
        ("judged", days["test"], days["test_from"]),
    ]:
        rows = f"{of[what]['payments']} payments, {of[what]['frauds']} frauds"
        lines.append(f"{what:<15} {rows}, {length} days from day {day} on")
    lines.append(f"{of['columns']} columns; mean and spread over seeds: {of['seeds']}")
    lines.append(" ".join(f"{name:<15}" for name in ["setting", *MEASURES]).rstrip())
    for name, means in of["settings"].items():
        spread = of["spread"][name]
        cells = [
            "–" if means[m] is None else f"{means[m]:.4f} ± {spread[m]:.4f}" for m in MEASURES
        ]
        lines.append(" ".join(f"{cell:<15}" for cell in [name, *cells]).rstrip())
    return "\n".join(lines)


def share(text):
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected a share above 0, at most 1")
    return value


def count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected 1 or more")
    return value


def delay(text):
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"found {text}, expected 0 or more")
    return value


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", help="what `phalanx-agent features export` wrote")
    parser.add_argument(
        "--book", action="store_true",
        help="the file is the Handbook's transactions_transformed_eval.parquet: its own features",
    )
    parser.add_argument(
        "--train-day", type=int, metavar="DAY",
        help="first training day, days since 1970-01-01; without it the file's last days",
    )
    for name, kind, what in [
        ("train", count, "training days"),
        ("delay", delay, "days until a label is trusted"),
        ("test", count, "judged days"),
    ]:
        parser.add_argument(
            f"--{name}-days", type=kind, default=7, metavar="DAYS", help=f"{what} (default 7)"
        )
    parser.add_argument("--seeds", type=count, default=3, help="how many seeds (default 3)")
    parser.add_argument(
        "--deal", metavar="FILE", help="who banks where, of `phalanx-sim learn --save-deal`"
    )
    parser.add_argument(
        "--labels", type=share, default=1.0, metavar="SHARE",
        help="share of the customers that have labels, by --deal (default 1)",
    )
    parser.add_argument(
        "--subsample", type=share, default=0.8, metavar="SHARE",
        help="share of the rows and columns that each tree sees; 1: nothing is drawn (default .8)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    try:
        if arguments.labels < 1 and arguments.deal is None:
            raise Refused("found --labels without --deal, expected both")
        found = judge(arguments)
    except (Refused, OSError, pa.ArrowInvalid) as error:
        sys.exit(f"boost.py: {arguments.file}: {error}")
    print(json.dumps(found, indent=2) if arguments.json else table(found))


if __name__ == "__main__":
    main()
