"""How hard the typology preset is, judged by tools that are not ours.

Reads files of `phalanx-sim generate --preset typology`, one for each seed, and prints the mean F1
of the banks' test splits against the truth: each bank alone, all banks pooled, and averaged by
plain FedAvg. Every threshold is the one of best F1 on that bank's own validation labels.

    python3 ops/peers/typology/judge.py data/1/transactions.parquet data/2/transactions.parquet
"""

import argparse
import json
import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

PARTIES = ["debtor", "creditor"]
TYPES = ["checking", "savings", "business"]
EARTH_RADIUS_KM = 6371.0
LOCAL_EPOCHS = 2


def distance_km(frame, party):
    lat1, lon1 = (np.radians(frame[f"{party}_home_{axis}"].astype(float)) for axis in ("lat", "lon"))
    lat2, lon2 = (np.radians(frame[f"{party}_tower_{axis}"].astype(float)) for axis in ("lat", "lon"))
    chord = np.sin((lat2 - lat1) / 2) ** 2
    chord += np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord.clip(0, 1)))


def features(frame):
    """What one payment says by itself: no history, no bank, nothing learned from the data."""
    at = pd.to_datetime(frame["timestamp"])
    columns = {"amount": np.log(frame["amount"])}
    for party in PARTIES:
        for event in ["opened", "last_active"]:
            hours = (at - pd.to_datetime(frame[f"{party}_{event}_at"])).dt.total_seconds() / 3600
            columns[f"{party}_{event}"] = np.log(hours)
        columns[f"{party}_distance"] = np.log1p(distance_km(frame, party))
        columns[f"{party}_activity"] = np.log1p(frame[f"{party}_activity_24h"])
        for kind in TYPES:
            columns[f"{party}_{kind}"] = frame[f"{party}_account_type"] == kind
    columns["hour"] = at.dt.hour
    return pd.DataFrame(columns).astype(np.float32)


def f1(truth, alarm):
    hits = np.sum(truth & alarm)
    return 2 * hits / max(np.sum(truth) + np.sum(alarm), 1)


def best_threshold(label, score):
    """The score of best F1, halfway on the scale of log odds to the next score below it."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(label[order])
    values = 2 * hits / (np.arange(1, len(order) + 1) + label.sum())
    best = np.argmax(values)
    sorted_score = np.clip(score[order].astype(float), 1e-9, 1 - 1e-9)
    odds = np.log(sorted_score / (1 - sorted_score))
    middle = (odds[best] + odds[min(best + 1, len(odds) - 1)]) / 2
    return 1 / (1 + np.exp(-middle))


class Bank:
    def __init__(self, x, frame):
        for split in ["train", "validation", "test"]:
            rows = (frame["split"] == split).to_numpy()
            setattr(self, split, x[rows])
            label = frame["is_fraud"] if split == "test" else frame["label_fraud"]
            setattr(self, f"{split}_label", label[rows].to_numpy().astype(bool))
        self.test_type = frame["fraud_type"][(frame["split"] == "test").to_numpy()]

    def judge(self, score):
        """F1 on the test, and the share found of each type."""
        alarm = score(self.test) >= best_threshold(self.validation_label, score(self.validation))
        types = {t: float(alarm[self.test_type == t].mean()) for t in self.test_type.dropna().unique()}
        return f1(self.test_label, alarm), types


def trees(x, y):
    model = XGBClassifier(
        n_estimators=200, max_depth=4, learning_rate=0.1, min_child_weight=1, max_delta_step=1,
        reg_lambda=0.1, n_jobs=1, random_state=0,
    )
    model.fit(x, y)
    return lambda rows: model.predict_proba(rows)[:, 1]


def net():
    return MLPClassifier(
        (48, 24), alpha=1e-4, batch_size=128, learning_rate_init=2e-3, max_iter=LOCAL_EPOCHS,
        random_state=0,
    )


class Scaled:
    """Columns brought to mean 0 and deviation 1, by the moments of all banks' training rows."""

    def __init__(self, banks):
        x = np.concatenate([bank.train for bank in banks])
        self.mean, self.deviation = x.mean(0), x.std(0) + 1e-6

    def __call__(self, x):
        return (x - self.mean) / self.deviation


def pooled_net(banks, scaled, epochs):
    x = scaled(np.concatenate([bank.train for bank in banks]))
    y = np.concatenate([bank.train_label for bank in banks])
    model = net().set_params(max_iter=epochs).fit(x, y)
    return lambda rows: model.predict_proba(scaled(rows))[:, 1]


def federated_net(banks, scaled, rounds):
    """FedAvg: two epochs at every bank, then the mean of all weights, for so many rounds."""
    models = [net() for _ in banks]
    mean = None
    for _ in range(rounds):
        for model, bank in zip(models, banks):
            x = scaled(bank.train)
            if mean is None:
                model.fit(x, bank.train_label)
                continue
            model.coefs_ = [w.copy() for w in mean[0]]
            model.intercepts_ = [w.copy() for w in mean[1]]
            # The optimiser keeps references to weights, so it begins anew with them.
            del model._optimizer
            for _ in range(LOCAL_EPOCHS):
                model.partial_fit(x, bank.train_label)
        layers = range(len(models[0].coefs_))
        mean = (
            [np.mean([m.coefs_[i] for m in models], axis=0) for i in layers],
            [np.mean([m.intercepts_[i] for m in models], axis=0) for i in layers],
        )
    models[0].coefs_, models[0].intercepts_ = mean
    return lambda rows: models[0].predict_proba(scaled(rows))[:, 1]


def single_columns(x, frame):
    """The best F1 that any one column reaches for each type against genuine payments."""
    found = {}
    fit, test = (frame["split"] != "test").to_numpy(), (frame["split"] == "test").to_numpy()
    for kind in sorted(frame["fraud_type"].dropna().unique()):
        of_kind = (frame["fraud_type"] == kind).to_numpy()
        rows = of_kind | ~frame["is_fraud"].to_numpy()
        best = (0.0, "none")
        for column in x.columns:
            values = x[[column]].to_numpy()
            tree = DecisionTreeClassifier(max_leaf_nodes=6, min_samples_leaf=10, random_state=0)
            tree.fit(values[fit & rows], of_kind[fit & rows])
            on_fit = tree.predict_proba(values[fit & rows])[:, 1]
            limit = best_threshold(of_kind[fit & rows], on_fit)
            alarm = tree.predict_proba(values[test & rows])[:, 1] >= limit
            best = max(best, (float(f1(of_kind[test & rows], alarm)), column))
        found[kind] = best
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="one file for each seed, all banks in it")
    parser.add_argument("--nets", action="store_true", help="also a pooled net and FedAvg of it")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows, columns = [], []
    for path in arguments.files:
        frame = pd.read_parquet(path)
        x = features(frame)
        names = sorted(frame["bank"].unique())
        banks = [Bank(x[frame["bank"] == b].to_numpy(), frame[frame["bank"] == b]) for b in names]
        models = {"local": [trees(bank.train, bank.train_label) for bank in banks]}
        train = np.concatenate([bank.train for bank in banks])
        label = np.concatenate([bank.train_label for bank in banks])
        models["pooled"] = [trees(train, label)] * len(banks)
        if arguments.nets:
            scaled = Scaled(banks)
            epochs = LOCAL_EPOCHS * arguments.rounds
            models["pooled net"] = [pooled_net(banks, scaled, epochs)] * len(banks)
            models["fedavg net"] = [federated_net(banks, scaled, arguments.rounds)] * len(banks)
        for model, scores in models.items():
            for bank, name, score in zip(banks, names, scores):
                value, types = bank.judge(score)
                rows.append({"file": path, "model": model, "bank": name, "f1": value, **types})
        columns.append(single_columns(x, frame))
    table = pd.DataFrame(rows)
    print(table.groupby(["model", "bank"], sort=False).mean(numeric_only=True).round(3).to_string())
    print("\nmean of banks, by file")
    print(table.groupby(["model", "file"], sort=False)["f1"].mean().round(3).to_string())
    print("\nbest F1 of a single column against genuine payments, by file")
    for path, found in zip(arguments.files, columns):
        print(path, {kind: f"{value:.2f} {column}" for kind, (value, column) in found.items()})
    means = table.groupby("model", sort=False)["f1"].mean().round(4)
    print(json.dumps(means.to_dict()))


if __name__ == "__main__":
    main()
