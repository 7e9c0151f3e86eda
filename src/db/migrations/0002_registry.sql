create table registered_models (
    name text primary key,
    created bigint not null,
    updated bigint not null,
    description text not null,
    tags text not null,
    -- Grows with every change of the model or its versions: compare-and-set looks here.
    generation bigint not null,
    -- Numbers are never given twice, also after a version was deleted.
    last_version bigint not null
);

create table model_versions (
    model text not null references registered_models (name) on update cascade on delete cascade,
    version bigint not null,
    created bigint not null,
    updated bigint not null,
    stage text not null,
    doc text not null,
    primary key (model, version)
);

create table model_aliases (
    model text not null references registered_models (name) on update cascade on delete cascade,
    alias text not null,
    version bigint not null,
    primary key (model, alias)
);

-- What held from when on: stages and aliases at any past moment are read from here. A null value is an end.
create table registry_history (
    seq bigint primary key,
    at bigint not null,
    model text not null,
    version bigint not null,
    -- 'stage' or 'alias:NAME'
    what text not null,
    value text,
    actor text not null,
    reason text not null
);
create index registry_history_by_model on registry_history (model, at);
