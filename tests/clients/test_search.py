"""Search: the filter grammar, order, pages, for runs and experiments."""

import math

import mlflow
import pytest
from conftest import unique
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

# name, acc, lr, team, start
RUNS = [
    ("alpha one", 0.91, "0.1", "red", 1000),
    ("beta", 0.95, "0.01", "red", 2000),
    ("gamma", 0.80, "0.01", "Blue", 3000),
    ("delta", 0.95, "0.001", "blue", 4000),
    ("nan", math.nan, "0.1", "grey", 5000),
    ("bare", None, None, None, 6000),
]


@pytest.fixture(scope="module")
def filled():
    client = mlflow.MlflowClient()
    experiment_id = client.create_experiment(unique("search"))
    for name, acc, lr, team, start in RUNS:
        run = client.create_run(experiment_id, start_time=start, run_name=name)
        client.log_batch(
            run.info.run_id,
            metrics=[Metric("acc", acc, start, 0), Metric("val/loss", 1 - acc, start, 0)] if acc is not None else [],
            params=[Param("lr", lr), Param("batch size", "32")] if lr else [],
            tags=[RunTag("team", team)] if team else [],
        )
        if name == "beta":
            client.set_terminated(run.info.run_id, end_time=9000)
    return experiment_id


def names(experiment_id, filter_string="", order_by=None, **kwargs):
    found = mlflow.MlflowClient().search_runs([experiment_id], filter_string, order_by=order_by, **kwargs)
    return [run.info.run_name for run in found]


FILTERS = {
    "metrics.acc > 0.9": {"alpha one", "beta", "delta"},
    "metrics.acc >= 0.95 and params.lr = '0.01'": {"beta"},
    "metric.acc = 0.95": {"beta", "delta"},
    "metrics.acc != 0.95": {"alpha one", "gamma", "nan"},
    "metrics.acc > 0.8 AND metrics.acc < 0.95": {"alpha one"},
    "metrics.`val/loss` < 0.1": {"alpha one", "beta", "delta"},
    'metrics."val/loss" > 0.15': {"gamma"},
    "metrics.acc > -1e3": {"alpha one", "beta", "gamma", "delta"},
    "params.lr = '0.1'": {"alpha one", "nan"},
    "params.lr != '0.1'": {"beta", "gamma", "delta"},
    "params.`batch size` = '32' and params.lr LIKE '0.0%'": {"beta", "gamma", "delta"},
    "parameter.lr like '0.00_'": {"delta"},
    "tags.team = 'red'": {"alpha one", "beta"},
    "tags.team LIKE 'b%'": {"delta"},
    "tags.team ILIKE 'B%'": {"gamma", "delta"},
    "tags.team IS NULL": {"bare"},
    "tags.team IS NOT NULL and tag.team != 'red'": {"gamma", "delta", "nan"},
    "params.lr IS NULL": {"bare"},
    "attributes.run_name = 'alpha one'": {"alpha one"},
    "run_name ILIKE '%ETA'": {"beta"},
    "tags.mlflow.runName = 'gamma'": {"gamma"},
    "attributes.status = 'FINISHED'": {"beta"},
    "status != 'FINISHED' and start_time >= 5000": {"nan", "bare"},
    "attribute.start_time < 2500": {"alpha one", "beta"},
    "attr.end_time = 9000": {"beta"},
}


@pytest.mark.parametrize("filter_string", FILTERS)
def test_filter(filled, filter_string):
    found = set(names(filled, filter_string))
    # whether != holds for NaN differs between SQL engines; MLflow itself stores NaN as 0
    assert found - {"nan"} == FILTERS[filter_string] - {"nan"}


def test_filter_by_run_id_list(filled):
    client = mlflow.MlflowClient()
    ids = {r.info.run_name: r.info.run_id for r in client.search_runs([filled])}
    some = f"('{ids['beta']}', '{ids['bare']}')"
    assert set(names(filled, f"attributes.run_id IN {some}")) == {"beta", "bare"}
    assert set(names(filled, f"run_id NOT IN {some}")) == {"alpha one", "gamma", "delta", "nan"}


ORDERS = {
    "metrics.acc DESC": ["delta", "beta", "alpha one", "gamma", "nan", "bare"],
    "metrics.acc ASC": ["gamma", "alpha one", "delta", "beta", "nan", "bare"],
    "metrics.acc": ["gamma", "alpha one", "delta", "beta", "nan", "bare"],
    "params.lr": ["delta", "gamma", "beta", "nan", "alpha one", "bare"],
    "tags.team DESC": ["beta", "alpha one", "nan", "delta", "gamma", "bare"],
    "attributes.run_name": ["alpha one", "bare", "beta", "delta", "gamma", "nan"],
    "start_time ASC": ["alpha one", "beta", "gamma", "delta", "nan", "bare"],
}


@pytest.mark.parametrize("order", ORDERS)
def test_order(filled, order):
    assert names(filled, order_by=[order]) == ORDERS[order]


def test_order_by_two_and_the_default(filled):
    assert names(filled) == ["bare", "nan", "delta", "gamma", "beta", "alpha one"]
    assert names(filled, "metrics.acc > 0", order_by=["params.lr DESC", "metrics.acc"])[:3] == [
        "alpha one",
        "gamma",
        "beta",
    ]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_pages_meet_without_gap_or_overlap(filled, size):
    client, seen, token = mlflow.MlflowClient(), [], None
    while True:
        page = client.search_runs([filled], order_by=["metrics.acc DESC"], max_results=size, page_token=token)
        assert len(page) <= size
        seen += [r.info.run_name for r in page]
        token = page.token
        if not token:
            break
    assert seen == ORDERS["metrics.acc DESC"]


def test_as_a_data_frame(filled):
    frame = mlflow.search_runs([filled], "metrics.acc > 0.9", order_by=["metrics.acc"])
    assert list(frame["tags.mlflow.runName"]) == ["alpha one", "delta", "beta"]
    assert list(frame["params.lr"]) == ["0.1", "0.001", "0.01"]
    assert frame["start_time"].dt.year.eq(1970).all()


BAD = [
    "metrics.acc > 'x'",
    "params.lr = 1",
    "params.lr > '1'",
    "metrics.acc LIKE '0'",
    "metrics.acc >",
    "nonsense.acc > 1",
    "attributes.nonsense = 'x'",
    "tags.a = 'x' OR tags.b = 'y'",
    "(tags.a = 'x')",
    "metrics.acc > 1;",
    "tags.team IN ('red')",
    "run_name BETWEEN 'a' AND 'b'",
]


@pytest.mark.parametrize("filter_string", BAD)
def test_a_bad_filter_is_refused(filled, filter_string):
    with pytest.raises(MlflowException) as error:
        names(filled, filter_string)
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"


def test_quotes_and_injection_are_text(filled):
    assert names(filled, """tags.team = "x'; drop table runs; --" """) == []
    assert names(filled, "tags.team = 'it\"s'") == []
    assert len(names(filled)) == len(RUNS)


def test_experiments(client):
    prefix = unique("find")
    ids = [client.create_experiment(f"{prefix}-{i}", tags={"i": str(i)}) for i in range(5)]
    client.delete_experiment(ids[4])

    def found(**kwargs):
        return [e.name[len(prefix) + 1 :] for e in client.search_experiments(**kwargs)]

    mine = f"name LIKE '{prefix}%'"
    assert set(found(filter_string=mine)) == {"0", "1", "2", "3"}
    assert found(filter_string=mine, order_by=["name DESC"]) == ["3", "2", "1", "0"]
    assert found(filter_string=f"{mine} AND tags.i = '2'") == ["2"]
    assert found(filter_string=mine, view_type=ViewType.DELETED_ONLY) == ["4"]
    assert len(found(filter_string=mine, view_type=ViewType.ALL)) == 5
    page = client.search_experiments(filter_string=mine, order_by=["name"], max_results=3)
    rest = client.search_experiments(filter_string=mine, order_by=["name"], max_results=3, page_token=page.token)
    assert [e.name[-1] for e in [*page, *rest]] == ["0", "1", "2", "3"] and not rest.token
