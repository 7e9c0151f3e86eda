create table datasets (
    name text primary key,
    created bigint not null,
    -- Numbers are never given twice.
    last_version bigint not null
);

create table dataset_versions (
    dataset text not null references datasets (name) on update cascade on delete cascade,
    version bigint not null,
    created bigint not null,
    doc text not null,
    primary key (dataset, version)
);

-- What each pack in the blob store holds: 36 bytes a chunk, its digest and its length, in the order of the bytes.
create table dataset_packs (
    pack text primary key,
    bytes bigint not null,
    chunks bytea not null
);
