-- Collections of a project: named trees of files in versions, as W&B's clients log and use them.
create table collection_versions (
    id text primary key,
    experiment bigint not null,
    collection text not null,
    version bigint not null,
    doc text not null
);
create unique index collection_versions_by_name on collection_versions (experiment, collection, version);
