-- What the agent does by itself when a version of a model is registered.
create table gate_policies (
    model text primary key,
    since bigint not null,
    doc text not null
);

-- Evals that a policy has begun: a start is written before the program runs, so that none is begun for ever.
create table gate_policy_tries (
    model text not null,
    version bigint not null,
    suite text not null,
    tries bigint not null,
    at bigint not null,
    outcome text not null,
    primary key (model, version, suite)
);
