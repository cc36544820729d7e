"""Prints the fixtures of evaluation.rs and calibration.rs.

Run in any environment with numpy, pandas, scipy and scikit-learn:
    python evaluation.py
It writes ranking.json, cards.json and platt.json beside itself. The card precision is the
published definition of the Fraud Detection Handbook (Chapter_References, card_precision_top_k).
"""

import json
import pathlib

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score, roc_auc_score

HERE = pathlib.Path(__file__).parent


def ranking(name, scores, labels):
    scores = np.asarray(scores, dtype=np.float32)
    return {
        "name": name,
        "scores": [float(s) for s in scores],
        "labels": [bool(l) for l in labels],
        "auc": float(roc_auc_score(labels, scores)),
        "average_precision": float(average_precision_score(labels, scores)),
    }


def card_precision_top_k_day(day, k):
    day = day.groupby("card").max().sort_values(by="score", ascending=False)
    day = day.reset_index(drop=False).head(k)
    detected = list(day[day.fraud == 1].card)
    return detected, len(detected) / k


def card_precision_top_k(rows, k):
    days = sorted(rows["day"].unique())
    detected_before, per_day = [], []
    for day in days:
        of_day = rows[rows["day"] == day][["score", "card", "fraud"]]
        of_day = of_day[~of_day.card.isin(detected_before)]
        detected, precision = card_precision_top_k_day(of_day, k)
        per_day.append(precision)
        detected_before.extend(detected)
    return float(np.mean(per_day))


def cards(name, seed, n, k, n_cards):
    rng = np.random.default_rng(seed)
    fraud = rng.random(n) < 0.1
    score = (rng.normal(size=n) + 1.5 * fraud).astype(np.float32)
    rows = pd.DataFrame({
        "day": rng.integers(0, 7, n), "card": rng.integers(0, n_cards, n),
        "score": score, "fraud": fraud.astype(int),
    })
    return {
        "name": name, "k": k,
        "days": rows.day.tolist(), "cards": rows.card.tolist(),
        "scores": [float(s) for s in rows.score], "frauds": [bool(f) for f in rows.fraud],
        "card_precision": card_precision_top_k(rows, k),
    }


def platt():
    rng = np.random.default_rng(7)
    truth = rng.normal(-1.0, 1.5, 400)
    labels = rng.random(400) < 1 / (1 + np.exp(-truth))
    logits = (2.0 * truth + 0.7).astype(np.float32)

    def loss(ab):
        t = ab[0] * logits.astype(float) + ab[1]
        data = np.sum(np.logaddexp(0, t) - np.where(labels, t, 0))
        return data + 0.5 * ((ab[0] - 1) ** 2 + ab[1] ** 2)

    a, b = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-8}).x
    return {"logits": [float(s) for s in logits], "labels": [bool(l) for l in labels],
            "a": float(a), "b": float(b)}


def main():
    rng = np.random.default_rng(3)
    labels = rng.random(200) < 0.15
    smooth = rng.normal(size=200) + labels
    rankings = [
        ranking("four, by hand", [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]),
        ranking("200 without ties", smooth, labels),
        ranking("200 in steps of a half: many ties", np.round(2 * smooth) / 2, labels),
        ranking("all ties", np.full(20, 0.5), [1] * 3 + [0] * 17),
        ranking("backwards", -smooth, labels),
    ]
    (HERE / "ranking.json").write_text(json.dumps(rankings))
    made = [cards("60 cards, k 10", 1, 400, 10, 60), cards("fewer cards than k", 2, 90, 100, 30)]
    (HERE / "cards.json").write_text(json.dumps(made))
    (HERE / "platt.json").write_text(json.dumps(platt()))


if __name__ == "__main__":
    main()
