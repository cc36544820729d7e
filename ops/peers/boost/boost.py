"""What tools that are not ours make of our vectors: boosted trees and logistic regression.

Reads a file of `phalanx-agent features export` and prints AUC, average precision and card precision
at 100 of XGBoost and of scikit-learn's logistic regression, on the days of docs/learn.md: seven
training days, seven days in which labels come in, seven judged days. A fraud counts in training
where it was known before the first judged day, any other as genuine; rows without a label are left
out. Cards whose fraud was known are not judged: those with a fraud from the first training day on,
once seven days have passed. All rows are one pool; of a bank alone, give a file of its own feed.

Each seed draws the rows and columns of every tree anew. Logistic regression draws nothing, so its
spread is 0. All cards train, also those that `phalanx-sim learn` keeps for choosing thresholds.

Held against the Handbook: on the book's own 15 features, --train-day 17737, logistic regression
judges 58,264 payments with 385 frauds to AUC .8703, AP .6055 and card precision .2914; the book's
table has .871, .606 and .291.

example, from the project's root:
  python3 -m venv target/boost
  target/boost/bin/pip install -r ops/peers/boost/requirements.txt
  target/boost/bin/python ops/peers/boost/boost.py vectors.parquet --train-day 17737 --seeds 3
"""

import argparse
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

TRAIN_DAYS, DELAY_DAYS, TEST_DAYS = 7, 7, 7
LENGTH_DAYS = TRAIN_DAYS + DELAY_DAYS + TEST_DAYS
CARDS_A_DAY = 100
DAY_MS = 86_400_000
OWN_COLUMNS = ["txn_id", "ts", "day", "card", "fraud", "known_at"]


class Refused(Exception):
    """The file is not what is asked for; says what was found and what was expected."""


class Rows:
    """The payments of the 21 days, by column; a label is 1, 0, or NaN where there is none."""

    def __init__(self, path, train_day):
        names = pq.read_schema(path).names
        lacking = [name for name in OWN_COLUMNS if name not in names]
        if lacking:
            raise Refused(f"found no column {lacking[0]}, expected a file of features export")
        self.features = [name for name in names if name not in OWN_COLUMNS]
        self.train_day = first_day(path, train_day)
        self.test_day = self.train_day + TRAIN_DAYS + DELAY_DAYS
        wanted = [("day", ">=", self.train_day), ("day", "<", self.test_day + TEST_DAYS)]
        table = pq.read_table(path, filters=wanted)
        self.day = table["day"].to_numpy()
        self.card = table["card"].to_numpy()
        self.label = pc.cast(table["fraud"], pa.float64()).to_numpy()
        self.known_at = pc.fill_null(table["known_at"], 0).to_numpy()
        columns = [table[name].to_numpy() for name in self.features]
        self.x = np.column_stack(columns).astype(np.float32, copy=False)

    def training(self):
        """Vectors and labels of the training days, as they were known before the judged days."""
        rows = (self.day < self.train_day + TRAIN_DAYS) & ~np.isnan(self.label)
        known = self.known_at[rows] < self.test_day * DAY_MS
        return self.x[rows], (self.label[rows] == 1) & known

    def judged(self):
        """Which rows are judged, as numbers."""
        first = {}
        for card, day in zip(self.card[self.label == 1], self.day[self.label == 1]):
            first[card] = min(day, first.get(card, day))
        never = np.iinfo(np.int32).max
        since = np.array([first.get(card, never) for card in self.card], dtype=np.int64)
        is_known = since < self.day - DELAY_DAYS
        return np.flatnonzero((self.day >= self.test_day) & ~np.isnan(self.label) & ~is_known)


def first_day(path, train_day):
    """The first training day: the one named, or else the last that has all days after it."""
    held = pc.min_max(pq.read_table(path, columns=["day"])["day"]).as_py()
    if held["min"] is None:
        raise Refused("found no row, expected payments")
    first, last = held["min"], held["max"]
    wanted = last + 1 - LENGTH_DAYS if train_day is None else train_day
    if wanted < first or wanted + LENGTH_DAYS > last + 1:
        raise Refused(
            f"found days {first} to {last}, expected {LENGTH_DAYS} days from day {wanted} on"
        )
    return wanted


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


def trees(seed, subsample):
    return XGBClassifier(
        n_estimators=150, learning_rate=0.06, max_depth=4, subsample=subsample,
        colsample_bytree=subsample, tree_method="hist", random_state=seed,
    )


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def scores(model, x):
    """Log odds: probabilities of equal rank would run into one near 0 and 1."""
    if isinstance(model, XGBClassifier):
        return model.predict(x, output_margin=True)
    return model.decision_function(x)


def measures(rows, judged, score):
    fraud = rows.label[judged] == 1
    return {
        "auc": float(roc_auc_score(fraud, score)),
        "ap": float(average_precision_score(fraud, score)),
        "cp100": card_precision(CARDS_A_DAY, rows.day[judged], rows.card[judged], score, fraud),
    }


def summary(of_seeds):
    """Mean and sample standard deviation over seeds; 0 with one of them."""
    found = {}
    for name in of_seeds[0]:
        values = [of[name] for of in of_seeds]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        found[name] = {"mean": float(np.mean(values)), "spread": spread, "seeds": values}
    return found


def judge(arguments):
    rows = Rows(arguments.file, arguments.train_day)
    x, y = rows.training()
    judged = rows.judged()
    frauds = int((rows.label[judged] == 1).sum())
    for what, count, of in [("training", y.sum(), len(y)), ("judged", frauds, len(judged))]:
        if not 0 < count < of:
            raise Refused(f"found {count} frauds in {of} {what} rows, expected some and not all")
    seeds = list(range(1, arguments.seeds + 1))
    models = {
        "xgboost": [trees(seed, arguments.subsample) for seed in seeds],
        "logistic": [logistic()] * len(seeds),
    }
    found = {}
    for name, of_seeds in models.items():
        fitted = {}
        for model in of_seeds:
            # One that draws nothing is fitted once.
            if id(model) not in fitted:
                model.fit(x, y)
                fitted[id(model)] = measures(rows, judged, scores(model, rows.x[judged]))
        found[name] = summary([fitted[id(model)] for model in of_seeds])
    return {
        "train_day": rows.train_day,
        "test_day": rows.test_day,
        "columns": len(rows.features),
        "training": {"payments": len(y), "frauds": int(y.sum())},
        "judged": {"payments": len(judged), "frauds": frauds},
        "seeds": seeds,
        "subsample": arguments.subsample,
        "models": found,
    }


def table(of):
    lines = []
    for what, day in [("training", of["train_day"]), ("judged", of["test_day"])]:
        count = of[what]
        rows = f"{count['payments']} payments, {count['frauds']} frauds"
        lines.append(f"{what:<9} {rows}, 7 days from day {day} on")
    lines.append(f"{of['columns']} columns; mean and spread over seeds: {len(of['seeds'])}")
    lines.append(f"{'model':<9} {'auc':<15} {'ap':<15} {'cp100':<15}".rstrip())
    for name, found in of["models"].items():
        cells = [f"{value['mean']:.4f} ± {value['spread']:.4f}" for value in found.values()]
        lines.append(f"{name:<9} " + " ".join(cells))
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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", help="what `phalanx-agent features export` wrote")
    parser.add_argument(
        "--train-day", type=int, metavar="DAY",
        help="first training day, days since 1970-01-01; without it the file's last 21 days",
    )
    parser.add_argument("--seeds", type=count, default=3, help="how many seeds (default 3)")
    parser.add_argument(
        "--subsample", type=share, default=0.8, metavar="SHARE",
        help="share of the rows and columns that each tree sees; 1: nothing is drawn (default .8)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    try:
        found = judge(arguments)
    except (Refused, OSError, pa.ArrowInvalid) as error:
        sys.exit(f"boost.py: {arguments.file}: {error}")
    print(json.dumps(found, indent=2) if arguments.json else table(found))


if __name__ == "__main__":
    main()
