-- Sweeps of a project: a space of parameters, and how far its runs have tried it.
create table sweeps (
    id text primary key,
    experiment bigint not null,
    doc text not null
);
create index sweeps_by_experiment on sweeps (experiment);
