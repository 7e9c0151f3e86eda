-- Documents are the state at the last fold; the journal holds what was acknowledged since.
create table experiments (
    experiment_id bigint primary key,
    doc text not null
);

create table runs (
    run_id text primary key,
    doc text not null
);

create table logged_models (
    model_id text primary key,
    doc text not null
);

-- One row a group commit: a JSON list of effects, in the order they happened.
create table tracking_journal (
    seq bigint primary key,
    effects text not null
);

-- Points of one run and key, a few thousand a row, in order of arrival.
create table metric_chunks (
    run_id text not null,
    key text not null,
    seq bigint not null,
    points bigint not null,
    value_min double precision,
    value_max double precision,
    step_min bigint not null,
    step_max bigint not null,
    payload bytea not null,
    primary key (run_id, key, seq)
);

-- Artifact folders that a registered version stands on.
create table frozen_artifacts (
    prefix text primary key,
    why text not null
);
