"""mlflow.models.evaluate: metrics, tables and plots of a classifier land on the run."""

import mlflow
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression


@pytest.mark.filterwarnings("ignore")
def test_evaluate_a_classifier(experiment, client):
    x, y = make_classification(n_samples=200, n_features=4, random_state=2)
    frame = pd.DataFrame(x, columns=list("abcd")).assign(late=y)
    model = LogisticRegression().fit(frame[list("abcd")], frame["late"])
    with mlflow.start_run() as active:
        info = mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])
        result = mlflow.models.evaluate(
            info.model_uri,
            frame,
            targets="late",
            model_type="classifier",
            evaluators=["default"],
            evaluator_config={"default": {"log_explainer": False, "log_model_explainability": False}},
        )
    run = client.get_run(active.info.run_id)
    assert run.data.metrics["accuracy_score"] == pytest.approx(result.metrics["accuracy_score"])
    assert run.data.metrics["roc_auc"] > 0.8
    assert "confusion_matrix.png" in {f.path for f in client.list_artifacts(run.info.run_id)}
    assert len(run.inputs.dataset_inputs) == 1
    # the metrics belong to the model as well
    assert {m.key for m in mlflow.get_logged_model(info.model_id).metrics} >= {"accuracy_score", "roc_auc"}
