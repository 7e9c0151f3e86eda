"""Predicts for an eval suite: predict.py ARTIFACT DATA OUT."""

import sys

import mlflow
import pandas

artifact, data, out = sys.argv[1:]
model = mlflow.sklearn.load_model(artifact)
rows = pandas.read_csv(data)
pandas.DataFrame({"score": model.predict_proba(rows)[:, 1]}).to_csv(out, index=False)
