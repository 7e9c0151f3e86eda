create table eval_suites (
    name text primary key,
    updated bigint not null,
    doc text not null
);

-- Evidence: written once. The examples behind it lie in the artifact store, by digest.
create table eval_results (
    id bigint primary key,
    at bigint not null,
    model text not null,
    version bigint not null,
    suite text not null,
    -- What was evaluated: the artifact's digest, so that the result speaks of these bytes and no others.
    subject text not null,
    doc text not null
);
create index eval_results_by_subject on eval_results (suite, subject);
create index eval_results_by_model on eval_results (model, id);
